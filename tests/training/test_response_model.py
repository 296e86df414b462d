"""The response model through Spark: what each example may know, and a taste that is learned from text and behaviour."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from attune import config
from attune.errors import InputError
from attune.models.networks import read_network
from attune.models.response import ResponseModel
from attune.scoring.responses import score_responses
from attune.training.response import response_metrics
from attune.training.response_model import FEATURES, response_examples, train_response
from features.log import Row, action, shown, table, told
from models.tiny_bert import write_tiny_bert
from training.examples import review_texts

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

DAYS = {"split.test_days": 10, "split.valid_days": 10}


@pytest.fixture
def settings(tmp_path: Path) -> config.Config:
    changed = {
        "workspace": tmp_path / "workspace", "train.encoder": write_tiny_bert(tmp_path / "encoder"), "train.launcher": "single",
        "train.tracking": "[]", "train.precision": "float32", "train.response.epochs": 8, "train.response.learning_rate": 0.002,
        "train.response.head_learning_rate": 0.01, "train.response.tokens_per_batch": 512, "train.response.dropout": 0.0, **DAYS,
    }  # fmt: skip
    return config.load([], [f"{key}={value}" for key, value in changed.items()], "2020-03-01")


def examples_of(
    spark: "SparkSession", settings: config.Config, shows: list[Row], log: list[Row], items: list[Row]
) -> "DataFrame":
    tables = {"impressions": shows, "events": log, "items": items, "item_history": told(items)}
    return response_examples(*(table(spark, name, rows) for name, rows in tables.items()), settings)


def test_an_example_knows_its_text_and_what_came_before(spark: "SparkSession", settings: config.Config) -> None:
    items: list[Row] = [{"item_id": "a", "title": "Lamp", "category": "Home"}, {"item_id": "b", "category": "Toys"}]
    log = [
        action("u", "a", "2020-01-15T10:00"),
        action("u", "a", "2020-02-15T12:00"),
        action("v", "b", "2020-02-25T00:00"),
    ]
    shows = [
        shown("u", "a", "2020-01-15T12:00"), shown("u", "a", "2020-02-15T12:00", clicked=True),
        shown("u", "gone", "2020-02-25T12:00"),
    ]  # fmt: skip
    found = {row["split"]: row for row in examples_of(spark, settings, shows, log, items).collect()}
    assert {split: (row["label"], row["text"]) for split, row in found.items()} == {
        "train": (0, "Lamp\nHome"), "valid": (1, "Lamp\nHome"), "test": (0, None),
    }  # fmt: skip
    assert [found[split]["user_num_events"] for split in ("train", "valid", "test")] == [1, 1, 2]
    assert found["train"]["hours_since_pair"] == 2.0
    assert found["test"]["item_num_events"] == 0


def campaign(num: int) -> tuple[list[Row], list[Row], list[Row]]:
    """Impressions, events and items. Users click on items of good words, and all the more if they acted before."""
    rng = np.random.default_rng(5)
    texts, good = review_texts(40, 3)
    items = [{"item_id": f"i{n}", "title": text} for n, text in enumerate(texts)]
    days = [f"2020-01-{n:02d}" for n in range(2, 32)] + [f"2020-02-{n:02d}" for n in range(1, 30)]
    log = [action(f"u{n}", "i0", "2020-01-01T12:00", session=f"u{n}") for n in range(0, 60, 2)]
    shows = []
    for n in range(num):
        user, item = int(rng.integers(60)), int(rng.integers(40))
        logit = 5 * good[item] - 4 + 2 * (user % 2 == 0)
        clicked = bool(rng.random() < 1 / (1 + np.exp(-logit)))
        shows.append(shown(f"u{user}", f"i{item}", f"{days[n % len(days)]}T{n % 24:02d}:{n % 60:02d}", clicked, 1))
    return shows, log, items


def test_a_taste_is_learned_and_calibrated(spark: "SparkSession", settings: config.Config) -> None:
    shows, log, items = campaign(1200)
    examples = examples_of(spark, settings, shows, log, items).persist()
    model = train_response(examples, settings, "v1")
    test, least = model.metrics["test"], model.metrics["share_of_clicks"]
    assert test["auc"] > 0.85
    assert test["log_loss"] < least["log_loss"] - 0.1
    assert test["calibration_error"] < 0.15
    assert model.promoted
    assert "by the share of clicks" in model.reason
    stored = read_network(model.folder)
    assert isinstance(stored, ResponseModel)
    assert tuple(stored.features) == FEATURES
    asked = examples.where("split = 'test'")
    scored = score_responses(asked, ["row_key"], str(model.folder), settings).toPandas().set_index("row_key")
    labels = asked.select("row_key", "label").toPandas().set_index("row_key")["label"]
    again = response_metrics(scored["probability"].to_numpy(), labels[scored.index].to_numpy())
    assert again == pytest.approx({name: test[name] for name in again}, abs=1e-4), "as it was measured in training"
    assert set(scored["status"]) == {"scored"}
    with pytest.raises(InputError, match="have no column user_num_events"):
        score_responses(asked.drop("user_num_events"), ["row_key"], str(model.folder), settings)


def test_a_model_that_tells_nothing_is_not_used(spark: "SparkSession", settings: config.Config) -> None:
    rng = np.random.default_rng(0)
    shows, log, items = campaign(300)
    shows = [row | {"clicked": bool(rng.random() < 0.5)} for row in shows]
    model = train_response(examples_of(spark, settings, shows, log, items), settings, "v1")
    assert model.promoted == (model.metrics["test"]["log_loss"] < model.metrics["share_of_clicks"]["log_loss"])
    assert model.metrics["test"]["auc"] < 0.75


@pytest.mark.parametrize(("clicked", "said"), [(False, "none was clicked on"), (True, "all were clicked on")])
def test_impressions_that_teach_nothing_are_refused(
    spark: "SparkSession", settings: config.Config, clicked: bool, said: str
) -> None:
    shows, log, items = campaign(60)
    shows = [row | {"clicked": clicked} for row in shows]
    with pytest.raises(InputError, match=said):
        train_response(examples_of(spark, settings, shows, log, items), settings, "v1")
