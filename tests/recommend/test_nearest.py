"""Exact search gives what sorting all products gives; approximate search tells how much of it."""

from typing import TYPE_CHECKING

import numpy as np
import pytest

from attune.errors import InputError
from attune.recommend.nearest import approximate_index, exact_index, nearest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

RNG = np.random.default_rng(3)
ITEMS = RNG.normal(size=(3000, 16)).astype(np.float32)
QUERIES = RNG.normal(size=(40, 16)).astype(np.float32)
BEST = np.argsort(-(QUERIES @ ITEMS.T), axis=1)[:, :10]


def test_exact_lists_are_those_of_all_products(spark: "SparkSession") -> None:
    rows = [(f"user {n}", vector.tolist()) for n, vector in enumerate(QUERIES)]
    frame = spark.createDataFrame([*rows, ("nobody", None)], "id string, features array<float>")
    found = nearest(frame, exact_index(ITEMS), 10).toPandas().set_index("id")
    assert found.loc["nobody", "items"].tolist() == []
    for n, best in enumerate(BEST):
        assert found.loc[f"user {n}", "items"].tolist() == best.tolist()
        np.testing.assert_allclose(found.loc[f"user {n}", "scores"], ITEMS[best] @ QUERIES[n], rtol=1e-5)


def test_fewer_items_than_asked_for_give_all_of_them(spark: "SparkSession") -> None:
    frame = spark.createDataFrame([(7, QUERIES[0].tolist())], "id bigint, features array<float>")
    (row,) = nearest(frame, exact_index(ITEMS[:3]), 10).collect()
    assert row["id"] == 7
    assert sorted(row["items"]) == [0, 1, 2]


def test_vectors_of_another_width_are_refused(spark: "SparkSession") -> None:
    frame = spark.createDataFrame([(7, [1.0, 2.0])], "id bigint, features array<float>")
    with pytest.raises(Exception, match=r"vectors of \{2\} numbers, the items have 16"):
        nearest(frame, exact_index(ITEMS), 10).collect()
    with pytest.raises(InputError, match="queries have no column user or vector: name theirs, of id, features"):
        nearest(frame, exact_index(ITEMS), 10, key="user", vector="vector")


def test_approximate_recall_is_what_is_measured() -> None:
    index = approximate_index(ITEMS, QUERIES, 10, min_recall=0.8)
    found = index.open().search(QUERIES, 10)[1]
    share = np.mean([len(set(own) & set(best)) / 10 for own, best in zip(found, BEST, strict=True)])
    assert index.recall == pytest.approx(share)
    assert 0.8 <= index.recall < 1
    assert index.open().nprobe < index.open().nlist
    assert approximate_index(ITEMS, QUERIES, 10, min_recall=1.0).recall == 1
