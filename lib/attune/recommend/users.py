"""The user side of recommendation as of a date: one row a user, ready to become a ``Batch``."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attune.feature_registry import not_for_ranking
from attune.recommend.batch import ANYONE

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_NOT_FEATURES = ("user_id", "as_of", *not_for_ranking("user_features"))
"""Keys of user_features, and columns that are no numbers, that ``user_rows`` has already, or that repeat others."""


def user_rows(
    indexed: "DataFrame",
    regions: "DataFrame",
    max_history: int,
    labels: "DataFrame | None" = None,
) -> "DataFrame":
    """What is known of each user, and the labels where given. Grain: one user with history, region or labels.

    Columns: user_id, region, items, weights, ages and first_ages (days since the last and the first action), recent (1
    where acted on in the latest visit; the five side by side, the latest ``max_history`` items), bought (all items ever
    bought), labels (items to predict), and numbers named ``user_*`` which become features.

    Args:
        indexed: interactions with ``item`` as an index from 0.
        labels: columns user_id, item; with it the rows are the users with a label, without it those with history.
    """
    from pyspark.sql import functions as F

    entry = F.struct("age_days", "item", "weight", "session_id", "first_age_days")
    history = indexed.groupBy("user_id").agg(
        F.slice(F.array_sort(F.collect_list(entry)), 1, max_history).alias("h"),
        F.array_sort(F.collect_list(F.when(F.col("bought"), F.col("item")))).alias("bought"),
        F.avg("log_quantity").cast("float").alias("user_log_quantity"),
        F.count("*").cast("float").alias("user_items"),
        F.count_distinct("session_id").cast("float").alias("user_visits"),
        F.max("first_age_days").cast("float").alias("user_days_since_first"),
        F.min("age_days").cast("float").alias("user_days_since_last"),
    )
    known = history.select(
        "user_id",
        F.col("h.item").alias("items"),
        F.col("h.weight").cast("array<float>").alias("weights"),
        # An age of nothing would vanish from a sparse matrix.
        F.transform("h", lambda e: F.greatest(e["age_days"], F.lit(1e-5)).cast("float")).alias("ages"),
        F.transform("h", lambda e: F.greatest(e["first_age_days"], F.lit(1e-5)).cast("float")).alias("first_ages"),
        F.transform("h", lambda e: e["session_id"].eqNullSafe(F.col("h")[0]["session_id"]).cast("int")).alias("recent"),
        "bought",
        *(name for name in history.columns if name.startswith("user_") and name != "user_id"),
    )
    if labels is None:
        rows = known.withColumn("labels", F.array().cast("array<int>"))
    else:
        wanted = labels.groupBy("user_id").agg(F.array_sort(F.collect_set("item")).alias("labels"))
        rows = wanted.join(known, "user_id", "left")
    return rows.join(regions, "user_id", "left")


def add_features(rows: "DataFrame", user_features: "DataFrame | None", as_of: object) -> "DataFrame":
    """Add the numeric columns of user_features as of a date, named ``user_*``."""
    from pyspark.sql import functions as F

    if user_features is None:
        return rows
    names = [name for name in user_features.columns if name not in _NOT_FEATURES]
    dated = user_features.where(F.col("as_of") == F.lit(as_of))
    renamed = dated.select("user_id", *(F.col(name).cast("float").alias(f"user_{name}") for name in names))
    return rows.join(renamed, "user_id", "left")


def add_factors(rows: "DataFrame", user_factors: "DataFrame", user_index: "DataFrame") -> "DataFrame":
    """Add the factors of each user. ``user_index``: columns user_id, user."""
    from pyspark.sql import functions as F

    by_id = user_factors.select(F.col("id").alias("user"), F.col("features").cast("array<float>").alias("factors"))
    return rows.join(by_id.join(user_index, "user").select("user_id", "factors"), "user_id", "left")


def strangers(rows: "DataFrame", regions: "Sequence[str]") -> "DataFrame":
    """Rows for users of whom nothing is known, with the columns of ``rows``: one for anyone, and one for each region."""
    data = [(ANYONE, None)] + [(f"{ANYONE}:{region}", region) for region in regions]
    blank = rows.sparkSession.createDataFrame(data, "user_id string, region string")
    return rows.limit(0).unionByName(blank, allowMissingColumns=True)
