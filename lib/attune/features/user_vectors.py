"""What a user likes as one vector: the mean of the text vectors of the items acted on, late and strong actions first."""

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING

from attune.features.windows import seconds_before
from attune.tables import conform

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def user_vectors(
    events: "DataFrame", item_vectors: "DataFrame", weights: Mapping[str, float], half_life_days: float, as_of: dt.date
) -> "DataFrame":
    """Table embeddings of kind user, from actions before a date. Grain: a user who acted on an item with a vector.

    Each action weighs its worth in ``weights``, halved every ``half_life_days``. Vectors have length 1.

    Args:
        item_vectors: table embeddings of kind item.
    """
    from pyspark.ml.feature import Normalizer
    from pyspark.ml.functions import array_to_vector, vector_to_array
    from pyspark.ml.stat import Summarizer
    from pyspark.sql import functions as F

    worth = F.create_map(*(F.lit(part) for pair in weights.items() for part in pair))[F.col("event_type")].cast(
        "double"
    )
    decay = F.pow(0.5, seconds_before("event_ts", as_of) / 86400 / half_life_days)
    acted = events.where((F.col("ds") < F.lit(as_of)) & F.col("event_type").isin(*weights))
    liked = acted.groupBy("user_id", "item_id").agg(F.sum(worth * decay).alias("weight"))
    vectors = item_vectors.select(
        F.col("id").alias("item_id"), "model_version", array_to_vector(F.col("vector").cast("array<double>")).alias("v")
    )
    means = (
        liked.join(vectors, "item_id")
        .groupBy("user_id", "model_version")
        .agg(Summarizer.mean(F.col("v"), F.col("weight")).alias("mean"))
    )
    normalised = Normalizer(inputCol="mean", outputCol="unit").transform(means)
    return conform(
        normalised.select(
            F.col("user_id").alias("id"),
            F.lit("user").alias("kind"),
            vector_to_array(F.col("unit")).alias("vector"),
            "model_version",
        ),
        "embeddings",
    )
