"""What a user likes as one vector: the mean of the text vectors of the items acted on, late and strong actions first."""

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING

from attune.features.windows import seconds_before
from attune.session import is_connect
from attune.tables import conform

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def user_vectors(
    events: "DataFrame", item_vectors: "DataFrame", weights: Mapping[str, float], half_life_days: float, as_of: dt.date
) -> "DataFrame":
    """Table embeddings of kind user, from actions before a date. Grain: a user who acted on an item with a vector.

    Each action weighs its worth in ``weights``, halved every ``half_life_days``. Vectors have length 1.

    Args:
        item_vectors: table embeddings of kind item.
    """
    from pyspark.sql import functions as F

    worth = F.create_map(*(F.lit(part) for pair in weights.items() for part in pair))[F.col("event_type")].cast(
        "double"
    )
    decay = F.pow(0.5, seconds_before("event_ts", as_of) / 86400 / half_life_days)
    acted = events.where((F.col("ds") < F.lit(as_of)) & F.col("event_type").isin(*weights))
    liked = acted.groupBy("user_id", "item_id").agg(F.sum(worth * decay).alias("weight"))
    vectors = item_vectors.select(F.col("id").alias("item_id"), "model_version", "vector")
    weighted_sum = sum_of_arrays if is_connect(events) else sum_of_vectors
    sums = liked.join(vectors, "item_id").groupBy("user_id", "model_version").agg(weighted_sum().alias("sum"))
    length = F.sqrt(F.aggregate("sum", F.lit(0.0), lambda total, part: total + part * part))
    unit = F.transform("sum", lambda part: part / F.col("length"))
    return conform(
        sums.withColumn("length", F.when(length > 0, length).otherwise(1.0)).select(
            F.col("user_id").alias("id"), F.lit("user").alias("kind"), unit.alias("vector"), "model_version"
        ),
        "embeddings",
    )


def sum_of_vectors() -> "Column":
    """Sum of a group's ``vector``, each times its ``weight``, as an array of doubles: in part before the shuffle."""
    from pyspark.ml.functions import array_to_vector, vector_to_array
    from pyspark.ml.stat import Summarizer
    from pyspark.sql import functions as F

    return vector_to_array(Summarizer.sum(array_to_vector(F.col("vector").cast("array<double>")), F.col("weight")))


def sum_of_arrays() -> "Column":
    """The same for Spark Connect, which has no Summarizer: slower, and with a group's vectors in memory together."""
    from pyspark.sql import functions as F

    rows = F.collect_list(F.struct("weight", F.col("vector").cast("array<double>").alias("vector")))
    nothing = F.transform(rows[0]["vector"], lambda part: F.lit(0.0))

    def add(sums: "Column", row: "Column") -> "Column":
        return F.zip_with(sums, row["vector"], lambda total, part: total + part * row["weight"])

    return F.aggregate(rows, nothing, add)
