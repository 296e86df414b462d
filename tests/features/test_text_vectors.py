"""Vectors of two models never mix."""

from typing import TYPE_CHECKING

from attune.features.text_vectors import with_vectors
from features.log import rows_by, table

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_rows_get_the_vector_of_one_version_and_kind(spark: "SparkSession") -> None:
    vectors = [
        {"id": "a", "kind": "item", "vector": [1.0, 0.0], "model_version": "old"},
        {"id": "a", "kind": "item", "vector": [0.0, 1.0], "model_version": "new"},
        {"id": "a", "kind": "user", "vector": [0.5, 0.5], "model_version": "new"},
        {"id": "b", "kind": "item", "vector": [0.6, 0.8], "model_version": "old"},
    ]
    items = table(spark, "items", [{"item_id": "a"}, {"item_id": "b"}]).select("item_id")
    rows = rows_by(with_vectors(items, table(spark, "embeddings", vectors), "item", "new"), "item_id")
    assert rows == {
        "a": {"item_id": "a", "item_vector": [0.0, 1.0], "item_vector_version": "new"},
        "b": {"item_id": "b", "item_vector": None, "item_vector_version": None},
    }
