"""Groups of users with alike interests: clusters of their text vectors, described in the words of their items."""

import datetime as dt
from typing import TYPE_CHECKING

from attune.config import Score
from attune.features.words import distinct_words
from attune.session import check_ml
from attune.tables import conform

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_NAME_WORDS = 3
_TOP_ITEMS = 5
_MIN_USERS_PER_SEGMENT = 25


def cluster_users(user_vectors: "DataFrame", num_users: int, settings: Score, seed: int) -> "DataFrame":
    """Segment of each user by k-means on vectors of length 1 (so by cosine). Columns user_id, segment_id.

    Args:
        user_vectors: columns id, vector (array<float>), one row a user.
        num_users: number of its rows; fewer segments are made of few users.
    """
    from pyspark.ml.clustering import KMeans
    from pyspark.ml.functions import array_to_vector
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    k = max(1, min(settings.num_segments, num_users // _MIN_USERS_PER_SEGMENT))
    vectors = user_vectors.select(
        F.col("id").alias("user_id"), array_to_vector(F.col("vector").cast("array<double>")).alias("features")
    )
    if k == 1:
        return vectors.select("user_id", F.lit(0).alias("segment_id"))
    check_ml(vectors)
    model = KMeans(k=k, seed=seed, maxIter=20, predictionCol="cluster").fit(vectors.orderBy("user_id"))
    assigned = model.transform(vectors).select("user_id", "cluster")
    sizes = assigned.groupBy("cluster").count()
    largest_first = Window.partitionBy(F.lit(0)).orderBy(F.desc("count"), "cluster")
    numbered = sizes.select("cluster", (F.row_number().over(largest_first) - 1).alias("segment_id"))
    return assigned.join(F.broadcast(numbered), "cluster").select("user_id", "segment_id")


def user_profiles(clustered: "DataFrame", user_features: "DataFrame", as_of: dt.date) -> "DataFrame":
    """Table user_profiles. ``user_features``: those as of ``as_of``."""
    from pyspark.sql import functions as F

    figures = user_features.where(F.col("as_of") == F.lit(as_of)).withColumnRenamed("num_events_90d", "num_events")
    return conform(clustered.join(figures, "user_id"), "user_profiles")


def segments(profiles: "DataFrame", events: "DataFrame", items: "DataFrame", as_of: dt.date) -> "DataFrame":
    """Table segments: what sets each group apart. An item or word counts by its users in the group times its log lift."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    acted = events.where((F.col("ds") < F.lit(as_of)) & F.col("item_id").isNotNull())
    acted = acted.select("user_id", "item_id").distinct().join(profiles.select("user_id", "segment_id"), "user_id")
    titled = acted.join(items.select("item_id", "title"), "item_id").where("title IS NOT NULL")
    worded = titled.select("user_id", "segment_id", F.explode(distinct_words(F.col("title"))).alias("word")).distinct()
    everyone = Window.partitionBy(F.lit(0))
    figures = profiles.groupBy("segment_id").agg(
        F.count("*").alias("num_users"), F.avg("value_total").alias("value_per_user")
    )
    figures = figures.withColumn("share_users", F.col("num_users") / F.sum("num_users").over(everyone))
    words = _most_particular(worded, figures, "word", _NAME_WORDS).select(
        "segment_id", F.array_join("best", ", ").alias("name")
    )
    top = _most_particular(titled, figures, "title", _TOP_ITEMS).select("segment_id", F.col("best").alias("top_items"))
    joined = figures.join(words, "segment_id", "left").join(top, "segment_id", "left")
    return conform(joined.withColumn("as_of", F.lit(as_of)), "segments")


def _most_particular(rows: "DataFrame", figures: "DataFrame", column: str, keep: int) -> "DataFrame":
    """The values of a column that set each segment apart. Columns segment_id, best (array, strongest first)."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    counted = rows.groupBy("segment_id", column).agg(F.count_distinct("user_id").alias("n"))
    counted = counted.withColumn("n_all", F.sum("n").over(Window.partitionBy(column))).join(
        F.broadcast(figures), "segment_id"
    )
    lift = F.log((F.col("n") / F.col("num_users")) / (F.col("n_all") / (F.col("num_users") / F.col("share_users"))))
    order = Window.partitionBy("segment_id").orderBy(F.desc(F.col("n") * lift), column)
    best = counted.withColumn("rank", F.row_number().over(order)).where(F.col("rank") <= keep)
    in_order = F.array_sort(F.collect_list(F.struct("rank", column)))
    return best.groupBy("segment_id").agg(F.transform(in_order, lambda value: value[column]).alias("best"))
