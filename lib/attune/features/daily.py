"""The log counted by day, from which the features of every date are computed; each day depends on its own rows alone."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from attune.features.windows import KINDS, exact
from attune.tables import conform

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

MAX_DWELL_SECONDS = 1800
"""A longer pause between two actions is no attention."""


@dataclass(frozen=True)
class Daily:
    """Tables of daily counts, see ``schemas.py``."""

    user_items: "DataFrame"  # user_item_days
    sessions: "DataFrame"  # user_session_days
    impressions: "DataFrame"  # impression_days


def count_days(events: "DataFrame", impressions: "DataFrame") -> Daily:
    """Daily counts of the days in the log."""
    return Daily(user_item_days(events), user_session_days(events), impression_days(impressions))


def user_item_days(events: "DataFrame") -> "DataFrame":
    """Table user_item_days. One shuffle, by user. Grain: one user, item and day with an action.

    The time to the next action is taken within a day: what follows after midnight was not known when the day ended.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    parts = {"night": 0, "morning": 6, "afternoon": 12, "evening": 18}
    micros, hour, value = F.col("_micros"), F.hour("event_ts"), F.col("value")
    visit = Window.partitionBy("user_id", "session_id", "ds").orderBy("_micros", "item_id")
    dwell = F.floor((F.lead("_micros").over(visit) - micros) / 1000)
    money = F.col("event_type").isin("purchase", "refund") & value.isNotNull()
    matched = money & ((F.col("event_type") == "purchase") | F.col("refund_of").isNotNull())
    rows = (
        events.where(F.col("user_id").isNotNull())
        .select("user_id", "session_id", "item_id", "event_type", "event_ts", "value", "refund_of", "ds")
        .repartition("user_id")
        .withColumn("_micros", F.unix_micros("event_ts"))
        .withColumn("_dwell", F.when(F.col("session_id").isNotNull(), dwell))
        .withColumn("_dwell", F.when(F.col("_dwell") <= MAX_DWELL_SECONDS * 1000, F.col("_dwell")))
    )
    counted = rows.groupBy("user_id", "item_id", "ds").agg(
        *(F.count_if(F.col("event_type") == kind).alias(num) for kind, num in KINDS.items()),
        *(F.count_if((hour >= start) & (hour < start + 6)).alias(f"num_{part}") for part, start in parts.items()),
        F.sum(F.when(money, exact(value)).otherwise(0.0)).alias("value"),
        F.sum(F.when(matched, exact(value)).otherwise(0.0)).alias("value_matched"),
        F.coalesce(F.sum("_dwell"), F.lit(0)).alias("dwell_ms"),
        F.count("_dwell").alias("num_dwells"),
        F.min("_micros").alias("first_micros"),
        F.max("_micros").alias("last_micros"),
    )
    same_day = Window.partitionBy("user_id", "ds")
    others = F.when(F.col("item_id").isNotNull(), F.count("item_id").over(same_day) - 1).otherwise(0)
    return conform(counted.withColumn("num_others", others), "user_item_days")


def user_session_days(events: "DataFrame") -> "DataFrame":
    """Table user_session_days. Grain: one visit and day."""
    from pyspark.sql import functions as F

    visits = events.where(F.col("user_id").isNotNull() & F.col("session_id").isNotNull())
    return conform(
        visits.groupBy("user_id", "session_id", "ds").agg(F.count("*").alias("num_events")), "user_session_days"
    )


def impression_days(impressions: "DataFrame") -> "DataFrame":
    """Table impression_days. Grain: one user and day, or one item and day.

    A click after midnight does not count: it was not known when the day of the impression ended.
    """
    from pyspark.sql import functions as F

    counts = (F.count("*").alias("shown"), F.count_if(F.to_date("click_ts") == F.col("ds")).alias("clicked"))

    def of(kind: str) -> "DataFrame":
        ids = impressions.where(F.col(f"{kind}_id").isNotNull())
        counted = ids.groupBy(F.col(f"{kind}_id").alias("id"), "ds").agg(*counts)
        return counted.withColumn("kind", F.lit(kind))

    return conform(of("user").unionByName(of("item")), "impression_days")


def first_days(user_items: "DataFrame") -> "DataFrame":
    """First day on which each user acted on each item. Columns user_id, item_id, ds."""
    from pyspark.sql import functions as F

    acted = user_items.where(F.col("item_id").isNotNull())
    return acted.groupBy("user_id", "item_id").agg(F.min("ds").alias("ds"))
