"""Labelled choices, split by time, each with what was known strictly before it."""

import datetime as dt
from collections.abc import Iterable
from typing import TYPE_CHECKING

from attune.tables import conform

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

NEGATIVES_PER_POSITIVE = 4
_POOL_SIZE = 9973
_KEY = ("user_id", "item_id", "ts", "label")


def examples(
    events: "DataFrame",
    impressions: "DataFrame",
    label_events: Iterable[str],
    valid_start: dt.date,
    test_start: dt.date,
    seed: int,
) -> "DataFrame":
    """Table examples. Grain: a user's first action on an item in a session, or an item passed over.

    Items passed over are impressions without a click, thinned by ``seed`` to ``NEGATIVES_PER_POSITIVE`` for each click;
    a user without impressions gets as many items drawn by popularity from those never acted on.
    """
    from pyspark.sql import functions as F

    acted = events.where(F.col("event_type").isin(*label_events) & F.col("item_id").isNotNull())
    positives = acted.groupBy("user_id", "session_id", "item_id").agg(F.min("event_ts").alias("ts"))
    positives = positives.select("user_id", "item_id", "ts", F.lit(1).alias("label")).distinct()
    shown_users = impressions.select("user_id").distinct()
    negatives = _passed_over(impressions, seed).unionByName(
        _by_popularity(positives.join(shown_users, "user_id", "left_anti"), positives, seed)
    )
    labelled = positives.unionByName(negatives)
    day = F.to_date("ts")
    split = F.when(day < F.lit(valid_start), "train").when(day < F.lit(test_start), "valid").otherwise("test")
    return conform(_with_history(labelled, events).withColumn("split", split), "examples")


def _passed_over(impressions: "DataFrame", seed: int) -> "DataFrame":
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    user = Window.partitionBy("user_id")
    clicks = F.count_if("clicked").over(user)
    order = F.row_number().over(user.orderBy(F.col("clicked"), _draw("impression_id", seed), "impression_id"))
    thinned = impressions.withColumns({"_kept": F.greatest(clicks, F.lit(1)) * NEGATIVES_PER_POSITIVE, "_nth": order})
    kept = thinned.where(~F.col("clicked") & (F.col("_nth") <= F.col("_kept")))
    return kept.select("user_id", "item_id", F.col("shown_ts").alias("ts"), F.lit(0).alias("label")).distinct()


def _by_popularity(wanting: "DataFrame", positives: "DataFrame", seed: int) -> "DataFrame":
    """Draw items as often as they are acted on, from a pool of hashed choices; those the user ever took are left out.

    The pool has a fixed number of slots; one that no choice falls into takes its neighbour's.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    choice = F.concat_ws("|", "user_id", "item_id", F.col("ts").cast("string"))
    pool = positives.groupBy((_draw(choice, seed) % _POOL_SIZE).alias("_slot")).agg(
        F.min(F.struct(_draw(choice, seed + 1).alias("draw"), "item_id"))["item_id"].alias("_drawn")
    )
    slots = positives.sparkSession.range(_POOL_SIZE).select(F.col("id").alias("_slot"))
    before, after = Window.orderBy("_slot"), Window.orderBy(F.desc("_slot"))
    neighbours = [F.last("_drawn", ignorenulls=True).over(window) for window in (before, after)]
    pool = slots.join(pool, "_slot", "left").select("_slot", F.coalesce(*neighbours).alias("_drawn"))
    ticket = F.explode(F.sequence(F.lit(1), F.lit(NEGATIVES_PER_POSITIVE))).alias("_k")
    drawn = wanting.select("user_id", "item_id", "ts", ticket)
    slot = _draw(F.concat_ws("|", choice, F.col("_k").cast("string")), seed + 2) % _POOL_SIZE
    drawn = (
        drawn.withColumn("_slot", slot).join(pool, "_slot").select("user_id", F.col("_drawn").alias("item_id"), "ts")
    )
    taken = positives.select("user_id", "item_id").distinct()
    return drawn.distinct().join(taken, ["user_id", "item_id"], "left_anti").withColumn("label", F.lit(0))


def _draw(key: "Column | str", seed: int) -> "Column":
    """A number from 0 that depends on the key and the seed alone, not on how rows are spread over tasks."""
    from pyspark.sql import functions as F

    return F.xxhash64(F.lit(seed), key).bitwiseAND(F.lit(2**62 - 1))


def _with_history(labelled: "DataFrame", events: "DataFrame") -> "DataFrame":
    """Add counts of what the user did, and what was done to the item, strictly before each example."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    nothing = {"ts": F.col("event_ts"), "label": F.lit(None).cast("int")}
    both = labelled.unionByName(events.withColumns(nothing).select(*_KEY)).withColumn("_us", F.unix_micros("ts"))
    event = F.col("label").isNull()
    earlier = Window.orderBy("_us").rangeBetween(Window.unboundedPreceding, -1)
    by_user, by_item = earlier.partitionBy("user_id"), earlier.partitionBy("item_id")
    return both.withColumns(
        {
            "user_num_events": F.count_if(event).over(by_user),
            "hours_since_user": (F.col("_us") - F.max(F.when(event, F.col("_us"))).over(by_user)) / 3.6e9,
            "item_num_events": F.count_if(event).over(by_item),
        }
    ).where(F.col("label").isNotNull())
