"""Labelled choices, split by time and by user, each with what was known strictly before it."""

from typing import TYPE_CHECKING

from attune.config import Config
from attune.features.history import with_history
from attune.tables import conform

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def examples(events: "DataFrame", impressions: "DataFrame", items: "DataFrame", settings: Config) -> "DataFrame":
    """Table examples. Grain: a user's first action on an item in a visit, or an item passed over.

    Items passed over are impressions without a click, thinned by ``seed`` to ``features.negatives`` for each click of
    the user's day; on days without impressions, items drawn by popularity. What is drawn for a day depends on that day
    and earlier ones only, so later rows change no earlier example.

    Args:
        items: ``described``.
    """
    from pyspark.sql import functions as F

    weights, seed, group = settings.recommend.event_weights, settings.seed, settings.features
    acted = events.where(F.col("event_type").isin(*weights) & F.col("item_id").isNotNull())
    positives = acted.groupBy("user_id", "session_id", "item_id").agg(F.min("event_ts").alias("ts"))
    positives = positives.select("user_id", "item_id", "ts", F.to_date("ts").alias("ds")).distinct()
    shown_days = impressions.select("user_id", "ds").distinct()
    drawn = _by_popularity(positives, positives.join(shown_days, ["user_id", "ds"], "left_anti"), group.negatives, seed)
    negatives = _passed_over(impressions, group.negatives, seed).unionByName(drawn)
    labelled = positives.drop("ds").withColumn("label", F.lit(1)).unionByName(negatives.withColumn("label", F.lit(0)))
    day, place = F.to_date("ts"), (_draw("user_id", seed + 3) % 1_000_000) / 1e6
    by_time = F.when(day < F.lit(settings.valid_start), "train").when(day < F.lit(settings.test_start), "valid")
    by_user = F.when(place < group.test_user_share, "test").when(
        place < group.test_user_share + group.valid_user_share, "valid"
    )
    splits = {"split": by_time.otherwise("test"), "user_split": by_user.otherwise("train")}
    return conform(with_history(labelled, events, items).withColumns(splits), "examples")


def _passed_over(impressions: "DataFrame", negatives: int, seed: int) -> "DataFrame":
    """Impressions without a click, some for each click of the user's day. Columns user_id, item_id, ts."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    day = Window.partitionBy("user_id", "ds")
    clicks = F.count_if("clicked").over(day)
    order = F.row_number().over(day.orderBy(F.col("clicked"), _draw("impression_id", seed), "impression_id"))
    thinned = impressions.withColumns({"_kept": F.greatest(clicks, F.lit(1)) * negatives, "_nth": order})
    kept = thinned.where(~F.col("clicked") & (F.col("_nth") <= F.col("_kept")))
    return kept.select("user_id", "item_id", F.col("shown_ts").alias("ts")).distinct()


def _by_popularity(positives: "DataFrame", wanting: "DataFrame", negatives: int, seed: int) -> "DataFrame":
    """Draw items as often as they were acted on before the day of each choice. Columns user_id, item_id, ts.

    All choices are numbered day by day; a choice of a day on which n were made before draws a number below n, and takes
    the item of that choice. Items that the user took up to that day are left out, and so are the choices of the first.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    choice = F.concat_ws("|", "user_id", "item_id", F.unix_micros("ts").cast("string"))
    so_far = Window.orderBy("ds").rowsBetween(Window.unboundedPreceding, -1)
    days = positives.groupBy("ds").agg(F.count("*").alias("n"))
    days = F.broadcast(days.select("ds", F.coalesce(F.sum("n").over(so_far), F.lit(0)).alias("_before")))
    in_day = Window.partitionBy("ds").orderBy(_draw(choice, seed + 1), choice)
    numbered = positives.withColumn("_nth", F.row_number().over(in_day)).join(days, "ds")
    pool = numbered.select((F.col("_before") + F.col("_nth") - 1).alias("_slot"), F.col("item_id").alias("_drawn"))
    tickets = F.explode(F.sequence(F.lit(1), F.lit(negatives))).alias("_ticket")
    drawing = wanting.join(days, "ds").where("_before > 0").select("*", tickets)
    ticket = F.concat_ws("|", choice, F.col("_ticket").cast("string"))
    drawn = drawing.withColumn("_slot", _draw(ticket, seed + 2) % F.col("_before")).join(pool, "_slot")
    drawn = drawn.select("user_id", F.col("_drawn").alias("item_id"), "ts", "ds").distinct()
    taken = positives.groupBy("user_id", "item_id").agg(F.min("ds").alias("_taken"))
    known = drawn.join(taken, ["user_id", "item_id"], "left")
    return known.where(F.col("_taken").isNull() | (F.col("_taken") > F.col("ds"))).select("user_id", "item_id", "ts")


def _draw(key: "Column | str", seed: int) -> "Column":
    """A number from 0 that depends on the key and the seed alone, not on how rows are spread over tasks."""
    from pyspark.sql import functions as F

    return F.xxhash64(F.lit(seed), key).bitwiseAND(F.lit(2**62 - 1))
