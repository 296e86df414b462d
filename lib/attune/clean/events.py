"""Actions and impressions: refused, de-duplicated, cut into sessions, impressions joined to their clicks."""

import datetime as dt
from typing import TYPE_CHECKING

from attune.clean.accounting import DUPLICATE, KEPT, REFUSED, VERDICT
from attune.clean.text import redact
from attune.config import Clean
from attune.inputs import REASONS, refuse
from attune.schemas import EVENT_TYPES
from attune.tables import conform

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

AFTER_AS_OF = "event_ts is not before as_of"
_ITEMLESS = ("search",)


def judge_events(mapped: "DataFrame", settings: Clean, as_of: dt.date) -> "DataFrame":
    """Normalise mapped rows and note why some are refused. Grain: one row of the input."""
    from pyspark.sql import functions as F

    event_type = F.lower(F.trim("event_type"))
    rows = mapped.withColumns(
        {
            "event_type": event_type,
            "user_id": _id("user_id"),
            "item_id": F.when(event_type.isin(*_ITEMLESS), F.lit(None)).otherwise(_id("item_id")),
            "session_id": _id("session_id"),
            "query": redact(F.col("query")),
            "ds": F.to_date("event_ts"),
        }
    )
    identity = [F.col(c) for c in sorted(set(mapped.columns) & set(_IDENTITY))]
    rows = rows.withColumn(
        "event_id", F.coalesce(_id("event_id"), F.left(F.sha2(F.to_json(F.struct(*identity)), 256), F.lit(32)))
    )
    return refuse(
        rows,
        {
            "user_id is missing": F.col("user_id").isNull(),
            "event_ts is missing or cannot be read": F.col("event_ts").isNull(),
            f"event_ts is before {settings.min_date}": F.col("ds") < F.lit(settings.min_date),
            AFTER_AS_OF: F.col("ds") >= F.lit(as_of),
            "event_type is missing": event_type.isNull(),
            "event_type is unknown": ~event_type.isin(*EVENT_TYPES),
            "item_id is missing": F.col("item_id").isNull() & ~event_type.isin(*_ITEMLESS),
            "price is negative": F.col("price") < 0,
            "value has the wrong sign": F.when(event_type == "refund", F.col("value") > 0).otherwise(
                F.col("value") < 0
            ),
            "propensity is not between 0 and 1": ~F.col("propensity").between(0, 1),
        },
    )


_IDENTITY = (
    "user_id", "session_id", "item_id", "event_type", "event_ts", "value", "quantity", "query", "position",
    "campaign_id", "device", "country", "price", "propensity",
)  # fmt: skip


def sessionize(good: "DataFrame", settings: Clean) -> "DataFrame":
    """Mark duplicates and bots, and give each kept row its session. One shuffle, by user.

    Grain: one row of the input that was not refused so far. A session ends after a pause longer than
    ``session_gap_minutes``, also across midnight, unless the log has session ids of its own.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    same_event = Window.partitionBy("user_id", "event_id").orderBy("event_ts", "_file", "_raw")
    day = Window.partitionBy("user_id", "ds")
    in_order = Window.partitionBy("user_id", VERDICT).orderBy("event_ts", "event_id")
    visit = (
        Window.partitionBy("user_id", VERDICT).orderBy("event_ts", "event_id").rowsBetween(Window.unboundedPreceding, 0)
    )
    gap_seconds = settings.session_gap_minutes * 60
    pause = F.col("event_ts").cast("double") - F.lag("event_ts").over(in_order).cast("double")
    start = F.when(pause.isNull() | (pause > gap_seconds), F.col("event_ts"))
    return (
        good.repartition("user_id")
        .withColumn("_nth", F.row_number().over(same_event))
        .withColumn("_per_day", F.sum(F.when(F.col("_nth") == 1, 1)).over(day))
        .withColumn(
            VERDICT,
            F.when(F.col("_nth") > 1, DUPLICATE)
            .when(F.col("_per_day") > settings.bot_events_per_day, REFUSED)
            .otherwise(KEPT),
        )
        .withColumn(
            REASONS, F.when(F.col(VERDICT) == REFUSED, F.array(F.lit("user acts like a bot"))).otherwise(F.col(REASONS))
        )
        .withColumn("_start", start)
        .withColumn("_visit_start", F.last("_start", ignorenulls=True).over(visit))
        .withColumn(
            "session_id",
            F.coalesce("session_id", F.left(F.sha2(F.concat_ws("|", "user_id", "_visit_start"), 256), F.lit(32))),
        )
        .drop("_nth", "_per_day", "_start", "_visit_start")
    )


def to_events(sessionized: "DataFrame") -> "DataFrame":
    """Table events: kept actions."""
    from pyspark.sql import functions as F

    return conform(sessionized.where((F.col(VERDICT) == KEPT) & (F.col("event_type") != "impression")), "events")


def to_impressions(sessionized: "DataFrame") -> "DataFrame":
    """Table impressions: kept impressions, each with whether it was clicked later in its session."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    shown_item = Window.partitionBy("user_id", "session_id", "item_id")
    last_click = F.max(F.when(F.col("event_type") == "click", F.col("event_ts"))).over(shown_item)
    kept = sessionized.where((F.col(VERDICT) == KEPT) & F.col("event_type").isin("impression", "click"))
    return conform(
        kept.withColumn("clicked", F.coalesce(last_click >= F.col("event_ts"), F.lit(False)))
        .where(F.col("event_type") == "impression")
        .withColumnsRenamed({"event_id": "impression_id", "event_ts": "shown_ts"}),
        "impressions",
    )


def to_sessions(sessionized: "DataFrame") -> "DataFrame":
    """Table sessions: one row a visit."""
    from pyspark.sql import functions as F

    visits = sessionized.where(F.col(VERDICT) == KEPT).groupBy("user_id", "session_id")
    return conform(
        visits.agg(
            F.min("event_ts").alias("start_ts"),
            F.max("event_ts").alias("end_ts"),
            F.count("*").alias("num_events"),
            F.count_distinct("item_id").alias("num_items"),
            F.max(F.col("event_type") == "purchase").alias("converted"),
        ).withColumn("ds", F.to_date("start_ts")),
        "sessions",
    )


def _id(name: str) -> "Column":
    from pyspark.sql import functions as F

    return F.nullif(F.trim(name), F.lit(""))
