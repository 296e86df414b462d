"""A user's actions in time: cut into visits, and scored for how much they look like a bot's."""

from typing import TYPE_CHECKING

from attune.clean.actions import FIRST_OF_DAY
from attune.clean.events import KEY
from attune.config import Bots, Clean
from attune.tables import conform

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

COMPUTED = "^s-[0-9a-f]{32}$"
"""Form of the session ids that are made here; any other is the log's own and stays."""


def sessionize(rows: "DataFrame", settings: Clean) -> "DataFrame":
    """Give each action its session and each user's day its bot score. One sort, by time within the user.

    A session ends after a pause longer than ``session_gap_minutes``, also across midnight; its id is a hash of the user
    and its first moment. A session id of the log's own stays. Where the first row of a session comes from an earlier run
    it brings its session along, which may have begun before the rows at hand.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    in_order = Window.partitionBy(KEY, "user_id").orderBy("ds", "event_ts", "event_id")
    timed = rows.withColumns(
        {
            "_pause": (F.unix_micros("event_ts") - F.lag(F.unix_micros("event_ts")).over(in_order)) / 1e6,
            "_same_day": F.lag("ds").over(in_order) == F.col("ds"),
        }
    )
    given = F.when(~F.col("session_id").rlike(COMPUTED), F.col("session_id"))
    starts = F.coalesce(F.col("_pause") > settings.session_gap_minutes * 60, F.lit(True))
    start = F.when(starts, F.coalesce("session_id", _session_id()))
    scored = bot_score(timed, settings.bots).withColumn("_start", F.when(given.isNull(), start))
    so_far = in_order.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    return scored.withColumn(
        "session_id", F.coalesce(given, F.last("_start", ignorenulls=True).over(so_far), _session_id())
    ).drop("_pause", "_same_day", "_start")


def _session_id() -> "Column":
    from pyspark.sql import functions as F

    halves = [F.lpad(F.hex(F.xxhash64(F.lit(salt), "user_id", "event_ts")), 16, "0") for salt in ("a", "b")]
    return F.concat(F.lit("s-"), F.lower(F.concat(*halves)))


def bot_score(timed: "DataFrame", settings: Bots) -> "DataFrame":
    """Add ``bot_score`` of each user's day: the largest of three ratios to its limit, above 1 for a bot; and its name.

    Rate is the actions of the day; breadth the distinct items; regularity the limit of the coefficient of variation of
    the pauses divided by it, on days of at least ``min_events``. Needs ``_pause`` in seconds and ``_same_day``.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    day = Window.partitionBy(KEY, "user_id", "ds")
    pause = F.when(F.col("_same_day"), F.col("_pause"))
    moments = {
        "_n": F.count(F.lit(1)),
        "_items": F.count_if(F.col(FIRST_OF_DAY) & F.col("item_id").isNotNull()),
        "_pauses": F.sum(pause),
        "_squares": F.sum(pause * pause),
    }
    counted = timed.withColumns({name: column.over(day) for name, column in moments.items()})
    num = F.col("_n") - 1
    mean = F.try_divide(F.col("_pauses"), num)
    deviation = F.sqrt(F.greatest(F.try_divide(F.col("_squares"), num) - mean * mean, F.lit(0.0)))
    # Actions of one moment (the lines of an order, a page of impressions) have no rhythm.
    variation = F.when(mean > 0, F.greatest(F.try_divide(deviation, mean), F.lit(1e-3)))
    signals = {
        "rate": F.col("_n") / settings.events_per_day,
        "breadth": F.col("_items") / settings.items_per_day,
        "regularity": F.when(F.col("_n") >= settings.min_events, settings.min_pause_variation / variation),
    }
    strongest = F.greatest(
        *(F.struct(F.coalesce(s, F.lit(0.0)).alias("score"), F.lit(n).alias("signal")) for n, s in signals.items())
    )
    return (
        counted.withColumn("_bot", strongest)
        .withColumns({"bot_score": F.col("_bot.score"), "bot_signal": F.col("_bot.signal")})
        .drop("_bot", *moments)
    )


def to_sessions(events: "DataFrame", impressions: "DataFrame") -> "DataFrame":
    """Table sessions from kept actions and impressions. Grain: one visit."""
    from pyspark.sql import functions as F

    acted = events.select("user_id", "session_id", "item_id", F.col("event_ts").alias("ts"), "event_type")
    shown = impressions.select(
        "user_id", "session_id", "item_id", F.col("shown_ts").alias("ts"), F.lit("impression").alias("event_type")
    )
    visits = acted.unionByName(shown).groupBy("user_id", "session_id")
    return conform(
        visits.agg(
            F.min("ts").alias("start_ts"),
            F.max("ts").alias("end_ts"),
            F.count("*").alias("num_events"),
            F.size(F.collect_set(F.when(F.col("item_id").isNotNull(), F.xxhash64("item_id")))).alias("num_items"),
            F.max(F.col("event_type") == "purchase").alias("converted"),
        ).withColumn("ds", F.to_date("start_ts")),
        "sessions",
    )
