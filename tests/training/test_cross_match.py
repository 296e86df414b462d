"""Pairs of items that users made are told from pairs that nobody made: negatives that are drawn fairly, and a model that learns."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from attune import config
from attune.errors import InputError
from attune.models.networks import read_network
from attune.models.pair_scorer import PairScorer
from attune.models.store import ModelStore
from attune.training.cross_match import match_examples, popularity_metrics, readable_pairs, train_cross_match
from attune.training.negatives import Pool, drawn_negatives
from models.tiny_bert import write_tiny_bert
from training.examples import COLOURS, THINGS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

FREQUENCIES = pd.DataFrame(
    {
        "item_id": ["a", "b", "c", "d", "e"],
        "category": ["x", None, "x", "y", "y"],
        "frequency": [1.0, 2.0, 3.0, 4.0, 0.0],
    }
)


def shares(items: np.ndarray) -> dict[str, float]:
    return {item: round(count / len(items), 2) for item, count in sorted(Counter(items).items())}


def test_items_are_drawn_by_frequency_and_category() -> None:
    pool = Pool.of(FREQUENCIES)
    uniform = (np.arange(10_000) + 0.5) / 10_000
    draw = lambda category: shares(pool.draw(uniform, pd.Series([category] * len(uniform), dtype=object)))
    assert draw(None) == {"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4}
    assert draw("x") == {"a": 0.25, "c": 0.75}
    assert draw("y") == {"d": 1.0}
    assert draw("of no item") == draw(None)


def test_ends_of_the_range_are_items() -> None:
    pool = Pool.of(FREQUENCIES)
    assert pool.draw(np.array([0.0, 1 - 2**-53]), pd.Series([None, None])).tolist()[0] == "b"
    assert set(pool.draw(np.array([0.0, 1 - 2**-53]), pd.Series(["x", "y"]))) <= {"a", "d", "e"}


NAMES = [f"{colour} {thing}" for colour in COLOURS[:4] for thing in THINGS[:6]]
CATEGORY = {name: name.split()[1] for name in NAMES}
HALF = {name: COLOURS.index(name.split()[0]) // 2 for name in NAMES}


def items(spark: "SparkSession") -> "DataFrame":
    rows = [(name, name, CATEGORY[name]) for name in NAMES]
    return spark.createDataFrame([*rows, ("mute", "", "lamp")], "item_id string, text string, category string")


def pairs(spark: "SparkSession", weight: float = 2.0) -> "DataFrame":
    """Each item is followed by all others whose colour is of the same half; one is followed by one without a text."""
    rows = [(a, b, weight) for a in NAMES for b in NAMES if a != b and HALF[a] == HALF[b]]
    return spark.createDataFrame(
        [*rows, (NAMES[0], "mute", 9.0)], "anchor_item string, target_item string, weight double"
    )


def examples(spark: "SparkSession", task: config.CrossMatchTask, partitions: int = 1) -> pd.DataFrame:
    made = readable_pairs(pairs(spark).repartition(partitions), items(spark), task.valid_share, 7).persist()
    found: pd.DataFrame = match_examples(made, task, 7).toPandas()  # type: ignore[assignment]
    made.unpersist()
    return found


@pytest.fixture
def settings(tmp_path: Path) -> config.Config:
    changed = {
        "workspace": tmp_path / "workspace", "train.encoder": write_tiny_bert(tmp_path / "encoder"), "train.launcher": "single",
        "train.tracking": "[]", "train.precision": "float32", "train.cross_match.learning_rate": 0.006,
        "train.cross_match.head_learning_rate": 0.006, "train.cross_match.epochs": 24, "train.cross_match.num_negatives": 2, "train.cross_match.tokens_per_batch": 128,
        "train.cross_match.dropout": 0.0,
    }  # fmt: skip
    return config.load([], [f"{key}={value}" for key, value in changed.items()], "2026-03-01")


def test_examples_are_what_users_made_and_what_nobody_made(spark: "SparkSession", settings: config.Config) -> None:
    task = settings.train.cross_match
    found = examples(spark, task)
    assert not found.duplicated(["anchor_item", "target_item"]).any()
    assert "mute" not in set(found["target_item"])
    same = found["anchor_item"].map(HALF) == found["target_item"].map(HALF)
    assert (same == (found["label"] == 1)).all(), "nothing that was taken, and no item after itself, is a negative"
    positives, negatives = found[found["label"] == 1], found[found["label"] == 0]
    assert len(positives) == len(NAMES) * (len(NAMES) // 2 - 1)
    assert 0.6 < negatives["weight"].sum() / (2.0 * task.num_negatives * len(positives)) <= 1
    hard = negatives["anchor_item"].map(CATEGORY) == negatives["target_item"].map(CATEGORY)
    assert negatives["weight"][hard].sum() > 0.3 * negatives["weight"].sum(), "by chance it would be a sixth"
    held_out = positives[positives["split"] == "valid"]
    unordered = positives.assign(pair=[frozenset(p) for p in positives[["anchor_item", "target_item"]].to_numpy()])
    assert unordered.groupby("pair")["split"].nunique().max() == 1
    assert 0.02 < len(held_out) / len(positives) < 0.25
    again = examples(spark, task, partitions=3)
    order = ["anchor_item", "target_item"]
    pd.testing.assert_frame_equal(
        *(frame.sort_values(order, ignore_index=True)[sorted(frame.columns)] for frame in (found, again))
    )


def test_examples_are_limited_together_with_their_negatives(spark: "SparkSession", settings: config.Config) -> None:
    task = settings.train.cross_match.model_copy(update={"max_examples": 50, "num_negatives": 4})
    found = examples(spark, task)
    train = found[found["split"] == "train"]
    assert (train["label"] == 1).sum() == 10
    assert 10 <= (train["label"] == 0).sum() <= 40


def test_at_most_so_many_items_are_drawn_for_a_pair(spark: "SparkSession") -> None:
    columns = "anchor_item string, target_item string, category string, weight double, split string"
    positives = spark.createDataFrame([("a", "b", "x", 3.0, "train"), ("d", "c", None, 1.0, "valid")], columns)
    pool = Pool.of(FREQUENCIES)
    found: pd.DataFrame = drawn_negatives(positives, positives, pool, 6, 7).toPandas()
    of_a, of_d = (set(found[found["anchor_item"] == anchor]["target_item"]) for anchor in "ad")
    assert of_a
    assert of_a <= {"c", "d"}
    assert of_d
    assert of_d <= {"a", "b"}
    assert set(zip(found["anchor_item"], found["split"], strict=True)) == {("a", "train"), ("d", "valid")}
    assert found[found["anchor_item"] == "a"]["weight"].eq(3.0).all()
    one: pd.DataFrame = drawn_negatives(positives, positives, pool, 1, 7).toPandas()
    assert one.groupby("anchor_item").size().le(1).all()


def test_what_goes_together_is_learned_and_stored(spark: "SparkSession", settings: config.Config) -> None:
    model = train_cross_match(pairs(spark), items(spark), settings, "v1")
    assert model.metrics["valid"]["auc"] > 0.8 > model.metrics["popularity"]["auc"]
    assert model.metrics["valid"]["ndcg@10"] > model.metrics["popularity"]["ndcg@10"]
    assert model.promoted
    assert isinstance(read_network(ModelStore(settings.workspace).latest("cross_match")), PairScorer)


def test_a_model_that_popularity_beats_is_not_used(spark: "SparkSession", settings: config.Config) -> None:
    """Some items follow any other, the others two each: a model whose rate is nearly 0 learns nothing of it."""
    often = NAMES[:6]
    rows = [(a, b, 1.0) for a in NAMES for b in often if a != b]
    rows += [(NAMES[(6 + n + step) % len(NAMES)], b, 1.0) for n, b in enumerate(NAMES[6:]) for step in (1, 2)]
    followed = spark.createDataFrame(rows, "anchor_item string, target_item string, weight double")
    task = settings.train.cross_match.model_copy(
        update={"learning_rate": 1e-9, "head_learning_rate": 1e-9, "epochs": 1}
    )
    train = settings.train.model_copy(update={"cross_match": task})
    model = train_cross_match(followed, items(spark), settings.model_copy(update={"train": train}), "v1")
    assert model.metrics["popularity"]["auc"] > 0.7
    assert not model.promoted
    assert "by popularity" in model.reason


def test_popularity_is_that_of_the_pairs_to_train_on(spark: "SparkSession") -> None:
    columns = "anchor_item string, label double, weight double, popularity double, split string"
    rows = [("a", 1.0, 1.0, 5.0, "valid"), ("a", 0.0, 1.0, 2.0, "valid"), ("a", 0.0, 1.0, 9.0, "train")]
    found = popularity_metrics(spark.createDataFrame(rows, columns))
    assert (found["auc"], found["ndcg@10"], found["num"]) == (1.0, 1.0, 2.0)


def test_too_few_pairs_are_refused_by_name(spark: "SparkSession", settings: config.Config) -> None:
    with pytest.raises(InputError, match="too few examples to train"):
        train_cross_match(pairs(spark).limit(2), items(spark), settings, "v1")
