"""Items that the same users act on, most of all in the same visit: item-to-item neighbours."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def neighbours(latest: "DataFrame", session_bonus: float, shrink: float, keep: int) -> "DataFrame":
    """The ``keep`` nearest neighbours of each item. Columns item (int index), neighbour (int index), similarity.

    Cosine over users of the square roots of their decayed weights (Sarwar et al. 2001, doi:10.1145/371920.372071); a pair of
    one visit counts ``1 + session_bonus`` times. Similarities of rarely met pairs are shrunk: times n / (n + shrink)
    for a pair met by n users.

    Args:
        latest: interactions capped by user, with ``item`` as an index from 0.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    root = latest.select(
        "user_id", "item", F.sqrt("weight").cast("float").alias("root"), F.xxhash64("session_id").alias("visit")
    )
    norms = root.groupBy("item").agg(F.sqrt(F.sum(F.col("root") * F.col("root"))).alias("norm"))
    left, right = root.alias("a"), root.alias("b")
    met = F.when(F.col("a.visit") == F.col("b.visit"), 1 + session_bonus).otherwise(1.0)
    pairs = (
        left.join(right, (F.col("a.user_id") == F.col("b.user_id")) & (F.col("a.item") < F.col("b.item")))
        .groupBy(F.col("a.item").alias("low"), F.col("b.item").alias("high"))
        .agg(F.sum(F.col("a.root") * F.col("b.root") * met).alias("dot"), F.count("*").alias("n"))
    )
    cosine = (
        pairs.join(F.broadcast(norms.toDF("low", "low_norm")), "low")
        .join(F.broadcast(norms.toDF("high", "high_norm")), "high")
        .withColumn("similarity", F.expr("dot / (low_norm * high_norm)") * F.col("n") / (F.col("n") + shrink))
    )
    both = cosine.select(
        F.explode(F.array(F.struct(F.col("low").alias("item"), F.col("high").alias("neighbour")),
                          F.struct(F.col("high").alias("item"), F.col("low").alias("neighbour")))).alias("pair"),
        "similarity",
    ).select("pair.item", "pair.neighbour", "similarity")  # fmt: skip
    nearest_first = Window.partitionBy("item").orderBy(F.desc("similarity"), "neighbour")
    ranked = both.withColumn("_nth", F.row_number().over(nearest_first)).where(F.col("_nth") <= keep)
    return ranked.select("item", "neighbour", F.col("similarity").cast("float").alias("similarity"))
