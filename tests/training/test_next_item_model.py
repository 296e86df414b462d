"""The next-item model through Spark: rows by hand, a course that can be learned, a stored catalogue."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from attune import config
from attune.errors import InputError
from attune.models.item_sequence import CATALOGUE
from attune.models.networks import read_network
from attune.training.next_item_model import _catalogue, _rows, popularity, train_next_item, user_sequences

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def actions(spark: "SparkSession", by_user: dict[str, str]) -> "DataFrame":
    """Users and their items, a letter each, in the order of time; told in another order."""
    rows = [(user, item, place) for user, items in by_user.items() for place, item in enumerate(items)]
    return spark.createDataFrame(rows[::-1], "user_id string, item_id string, ts int")


def test_rows_hold_what_comes_before_the_item_asked_for(spark: "SparkSession") -> None:
    sequences = user_sequences(actions(spark, {"u": "abac", "v": "bad", "w": "aa", "x": "baba"}))
    counts = _catalogue(sequences)
    assert list(counts["item_id"]) == ["b", "a", "c", "d"], "by how often they are learned from"
    assert list(counts["n"]) == [3, 2, 0, 0]
    names = dict(enumerate(counts["item_id"], start=1))
    found: dict[str, list[str]] = {"train": [], "valid": [], "test": []}
    for row in _rows(sequences, counts).collect():
        found[row["split"]].append("".join(names[n] for n in np.frombuffer(row["items"], "<i4")))
    assert {split: sorted(rows) for split, rows in found.items()} == {
        "train": ["ab", "b", "ba"], "valid": ["aba", "ba", "bab"], "test": ["abac", "baba", "bad"],
    }  # fmt: skip
    ranks = {item: number for number, item in names.items()}
    ndcg = np.mean([1 / np.log2(1 + ranks[item]) for item in "cad"])
    assert popularity(_rows(sequences, counts))["ndcg@10"] == pytest.approx(ndcg)


@pytest.fixture
def settings(tmp_path: Path) -> config.Config:
    changed = {
        "workspace": tmp_path, "train.launcher": "single", "train.tracking": "[]", "train.next_item.width": 16, "train.next_item.epochs": 15,
        "train.next_item.tokens_per_batch": 256, "train.next_item.learning_rate": 0.01, "train.next_item.dropout": 0.0,
        "train.precision": "float32",
    }  # fmt: skip
    return config.load([], [f"{key}={value}" for key, value in changed.items()], "2026-03-01")


def test_a_course_is_learned_and_its_catalogue_stored(spark: "SparkSession", settings: config.Config) -> None:
    letters = "abcdefgh"
    walks = {f"u{n}": "".join(letters[(n + step) % 8] for step in range(4 + n % 5)) for n in range(120)}
    vectors: list[tuple[Any, Any]] = [(item, [float(n), 1.0, 0.0]) for n, item in enumerate(letters[:6])]
    texts = spark.createDataFrame(vectors, "item_id string, vector array<float>")
    model = train_next_item(actions(spark, walks), settings, "v1", text_vectors=texts)
    assert model.metrics["test"]["num"] == 120
    assert model.metrics["test"]["ndcg@10"] > 0.95 > model.metrics["popularity"]["ndcg@10"]
    assert model.promoted
    items = json.loads((model.folder / CATALOGUE).read_text())
    assert sorted(items) == sorted(letters)
    assert read_network(model.folder).num_items == 8


def test_users_with_too_little_are_refused_by_name(spark: "SparkSession", settings: config.Config) -> None:
    with pytest.raises(InputError, match="no user has 3 actions"):
        train_next_item(actions(spark, {"u": "ab"}), settings, "v1")


def test_items_of_one_moment_are_in_no_order_that_could_be_learned(spark: "SparkSession") -> None:
    """Orders are told with one time for all their items: sorted by id, the next id would always be foretold."""
    rows = [(f"u{user}", item, 0) for user in range(40) for item in "abcd"]
    taken = user_sequences(spark.createDataFrame(rows, "user_id string, item_id string, ts int"))
    orders = {row["user_id"]: "".join(row["items"]) for row in taken.collect()}
    assert len(set(orders.values())) > 12, "of 24 orders that four items can have"
    assert {"".join(sorted(order)) for order in orders.values()} == {"abcd"}
    again = user_sequences(spark.createDataFrame(rows[::-1], "user_id string, item_id string, ts int"))
    assert {row["user_id"]: "".join(row["items"]) for row in again.collect()} == orders
