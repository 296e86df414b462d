"""Training through Spark, Horovod and petastorm, as a user runs it, on a tiny encoder."""

import datetime as dt
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from attune import config
from attune.errors import InputError, SettingsError
from attune.models.store import ModelStore, read_card
from attune.training.driver import TrainedModel, training
from attune.training.launch import task_slots
from attune.training.sentiment import sentiment_examples, train_sentiment
from attune.training.text_match import positive_pairs, train_text_match
from models.tiny_bert import write_tiny_bert
from training.examples import COLOURS, THINGS, review_texts

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@pytest.fixture
def settings(tmp_path: Path) -> config.Config:
    encoder = write_tiny_bert(tmp_path / "encoder")
    changed = {
        "workspace": tmp_path / "workspace", "train.encoder": encoder, "train.tracking": "[tensorboard]", "train.sentiment.epochs": 3, "train.sentiment.max_tokens": 64,
        "train.sentiment.learning_rate": 0.002, "train.sentiment.head_learning_rate": 0.01,
        "train.sentiment.tokens_per_batch": 512, "train.text_match.learning_rate": 0.002,
        "train.text_match.epochs": 3, "train.text_match.tokens_per_batch": 1024, "train.precision": "float32",
    }  # fmt: skip
    return config.load([], [f"{key}={value}" for key, value in changed.items()], "2026-03-01")


def reviews(spark: "SparkSession", num: int = 400) -> "DataFrame":
    texts, labels = review_texts(num)
    rows = [
        (f"r{i}", f"i{i % 80}", 5.0 if label else 1.0, None, text, dt.datetime(2026, 1, 1), "Home > X")
        for i, (text, label) in enumerate(zip(texts, labels, strict=True))
    ]
    columns = "review_id string, item_id string, rating double, title string, body string, review_ts timestamp, "
    return spark.createDataFrame(rows, columns + "category string")


def curve(settings: config.Config, name: str) -> list[float]:
    """Values that TensorBoard shows of the training of sentiment v1."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(Path(settings.workspace) / "tensorboard" / "sentiment" / "v1"))
    events.Reload()
    return [point.value for point in events.Scalars(name)]


def test_two_horovod_ranks_read_different_rows_and_learn(spark: "SparkSession", settings: config.Config) -> None:
    model = train_sentiment(reviews(spark), settings, "v1", data_versions={"reviews": 4})
    assert len(model.rows_per_rank) == 2
    examples = sentiment_examples(reviews(spark), settings.train.sentiment, settings.seed)
    counts = {row["split"]: row["count"] for row in examples.groupBy("split").count().collect()}
    for split, count in counts.items():
        shares = [rows[split] for rows in model.rows_per_rank]
        assert sum(shares) == count
        assert split != "train" or min(shares) > count / 3
        shards = model.metrics["shards"][split]
        assert (shards["rows"], shards["row_groups"] % 2) == (count, 0)
        assert shards["tokens_of_largest_group"] - shards["tokens_of_smallest_group"] <= 2 * 64
    assert model.metrics["test"]["accuracy"] > 0.9
    assert model.metrics["test"]["num"] == counts["test"]
    by_category = model.metrics["test_by"]["category"]
    assert by_category["Home"] == model.metrics["test"], "all are of one category"
    assert model.metrics["test_by"]["language"] == {}
    assert model.promoted
    assert ModelStore(settings.workspace).latest("sentiment") == model.folder
    assert read_card(model.folder)["data_versions"] == {"reviews": 4}
    assert list((Path(settings.workspace) / "scratch").iterdir()) == []
    assert curve(settings, "valid/accuracy") == pytest.approx(
        [epoch["accuracy"] for epoch in model.metrics["epochs"][1:]]
    )
    assert len(curve(settings, "train/loss")) >= 3
    assert min(curve(settings, "train/learning_rate")) > 0


@pytest.mark.parametrize(("launcher", "reader"), [("torch", "pyarrow"), ("horovodrun", "petastorm")])
def test_the_other_launchers_and_readers_learn_the_same(
    spark: "SparkSession", settings: config.Config, launcher: str, reader: str
) -> None:
    """In two ranks each, and in one that goes through the parts of both, dropout included: what differs is how ranks are
    started, how they add up and what reads the rows."""

    def train(version: str, **changed: object) -> TrainedModel:
        own = settings.train.model_copy(update={"tracking": [], "reader": reader, **changed})
        return train_sentiment(reviews(spark), settings.model_copy(update={"train": own}), version)

    model, alone = train("v1", launcher=launcher), train("v2", launcher="single", accumulation=2)
    assert len(model.rows_per_rank) == 2
    assert len(alone.rows_per_rank) == 1
    assert settings.train.sentiment.dropout > 0
    assert model.metrics["loss_by_quarter"] == pytest.approx(alone.metrics["loss_by_quarter"], abs=2e-4)
    assert model.metrics["test"]["accuracy"] > 0.9
    assert model.promoted


def test_an_error_on_the_ranks_reaches_the_driver_with_its_traceback(
    spark: "SparkSession", settings: config.Config, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("attune"), "propagate", True)
    caplog.set_level(logging.INFO, "attune")
    task = settings.train.sentiment.model_copy(update={"learning_rate": 1e30, "head_learning_rate": 1e30})
    train = settings.train.model_copy(update={"sentiment": task})
    with pytest.raises(SettingsError, match="training diverged") as caught:
        train_sentiment(reviews(spark, 100), settings.model_copy(update={"train": train}), "v1")
    assert "loop.py" in "".join(caught.value.__notes__)
    said = [(record.fields["rank"], record.levelname, record.getMessage()) for record in caplog.records
            if hasattr(record, "fields")]  # fmt: skip
    for rank in range(2):
        assert any(who == rank and "one of 2 ranks" in message for who, _, message in said)
    assert any(level == "ERROR" and "training diverged" in message for _, level, message in said)
    assert ModelStore(settings.workspace).versions("sentiment") == []


def test_text_match_learns_what_goes_together(spark: "SparkSession", settings: config.Config) -> None:
    """In one process, which takes the same path but for Horovod."""
    names = [f"{colour} {thing}" for colour in COLOURS for thing in THINGS]
    items = spark.createDataFrame([(name, name) for name in names], "item_id string, text string")
    same_colour = [(a, b) for a in names for b in names if a != b and a.split()[0] == b.split()[0]]
    pairs = spark.createDataFrame(same_colour, "anchor_item string, target_item string")
    single = settings.train.model_copy(update={"launcher": "single"})
    model = train_text_match(pairs, items, settings.model_copy(update={"train": single}), "v1")
    assert model.metrics["tuned"]
    assert model.metrics["valid"]["recall@10"] > model.metrics["untuned"]["recall@10"] + 0.05
    assert sum(model.rows_per_rank[0].values()) == len(same_colour)
    assert model.promoted


def test_one_label_only_is_refused_by_name(spark: "SparkSession", settings: config.Config) -> None:
    with pytest.raises(InputError, match="none is negative"):
        train_sentiment(reviews(spark, 40).where("rating = 5"), settings, "v1")


def test_texts_longer_than_the_encoder_reads_are_refused(settings: config.Config) -> None:
    def tokenizer(max_tokens: int) -> str:
        task = settings.train.sentiment.model_copy(update={"max_tokens": max_tokens})
        train = settings.train.model_copy(update={"sentiment": task})
        with training(settings.model_copy(update={"train": train}), "sentiment", "sentiment", "v1") as course:
            file = course.tokenizer()
            assert Path(file).exists()
        return file

    with pytest.raises(SettingsError, match=r"train.sentiment.max_tokens is 65, .* set train.sentiment.max_tokens=64"):
        tokenizer(65)
    assert not Path(tokenizer(64)).exists(), "it is gone with the training"


def test_more_ranks_than_slots_are_refused(spark: "SparkSession", settings: config.Config) -> None:
    slots = task_slots(spark)
    assert slots is not None
    train = settings.train.model_copy(update={"num_ranks": slots + 1})
    with pytest.raises(SettingsError, match=r"train\.num_ranks"):
        train_sentiment(reviews(spark, 200), settings.model_copy(update={"train": train}), "v1")


def test_sentiment_examples_keep_items_and_texts_apart(spark: "SparkSession", settings: config.Config) -> None:
    texts, _ = review_texts(200)
    rows = [
        (f"r{i}", f"i{i % 50}", 5.0 if i % 3 else 1.0, "T", t, dt.datetime(2026, 1, 1)) for i, t in enumerate(texts)
    ]
    repeated = [(f"x{i}", f"j{i}", 5.0, "t", texts[i].upper() + "!", dt.datetime(2026, 1, 1)) for i in range(100)]
    extra = [
        ("mid", "i1", 3.0, "T", "so so", dt.datetime(2026, 1, 1)),
        ("late", "i1", 5.0, "T", "late one", dt.datetime(2026, 2, 1)),
        ("none", "i1", 5.0, None, " ", dt.datetime(2026, 1, 1)),
    ]
    columns = "review_id string, item_id string, rating double, title string, body string, review_ts timestamp"
    frame = spark.createDataFrame(rows + repeated + extra, columns)
    found = sentiment_examples(frame, settings.train.sentiment, 7, dt.date(2026, 2, 1)).toPandas()
    assert not set(found["review_id"]) & {"mid", "late", "none"}
    words = found["text"].str.lower().str.replace("!", "").str.strip()
    assert words.is_unique
    assert len(found) == len({t.lower() for t in texts})
    items = {r[0]: r[1] for r in rows + repeated}
    assert found.groupby(found["review_id"].map(items))["split"].nunique().max() == 1
    shares = found["split"].value_counts(normalize=True)
    assert 0.55 < shares["train"] < 0.9
    assert set(shares.index) == {"train", "valid", "test"}


def test_positive_pairs_are_successive_items_within_the_history(spark: "SparkSession") -> None:
    day = dt.datetime(2026, 1, 1)
    actions = [
        ("u", "a", day), ("u", "b", day + dt.timedelta(days=1)), ("u", "b", day + dt.timedelta(days=2)),
        ("u", "c", day + dt.timedelta(days=40)), ("u", "d", day + dt.timedelta(days=41)),
        ("u", "e", day + dt.timedelta(days=60)), ("v", "a", day), ("v", "b", day + dt.timedelta(hours=1)),
    ]  # fmt: skip
    frame = spark.createDataFrame(actions, "user_id string, item_id string, ts timestamp")
    found = positive_pairs(frame, 30, (day + dt.timedelta(days=50)).date()).collect()
    assert {tuple(row) for row in found} == {("a", "b", 2.0), ("c", "d", 1.0)}
