"""Text features: the pooled encoder vector of each user or item, of one model version."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def with_vectors(rows: "DataFrame", embeddings: "DataFrame", kind: str, model_version: str) -> "DataFrame":
    """Add ``<kind>_vector`` (array<float>, length 1) and ``<kind>_vector_version``; null where there is no such vector.

    Vectors of two models lie in different spaces, so only those of ``model_version`` are joined: rows keep a model and
    its vectors together, also while a new version is being written.

    Args:
        rows: any rows with a column ``user_id`` or ``item_id``, by ``kind``.
        embeddings: table embeddings.
        kind: user or item.
    """
    from pyspark.sql import functions as F

    own = embeddings.where((F.col("kind") == kind) & (F.col("model_version") == model_version)).select(
        F.col("id").alias(f"{kind}_id"),
        F.col("vector").alias(f"{kind}_vector"),
        F.col("model_version").alias(f"{kind}_vector_version"),
    )
    return rows.join(own, f"{kind}_id", "left")
