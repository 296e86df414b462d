"""Training from the tables of a workspace; what cannot be trained is skipped with the reason."""

from typing import TYPE_CHECKING

from attune.config import GatedTask
from attune.models.store import read_card
from attune.training.cross_match import train_cross_match
from attune.training.driver import TrainedModel
from attune.training.finetune import finetune
from attune.training.next_item_model import train_next_item
from attune.training.response_model import response_examples, train_response
from attune.training.sentiment import train_sentiment
from attune.training.text_match import items_with_text, positive_pairs, train_text_match
from attune.training.tune import tune

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from attune.run import Run


def train_sentiment_model(run: "Run") -> None:
    """Train sentiment from the reviews. Where there are events, only from those before the validation period."""
    from pyspark.sql import functions as F

    settings = run.settings
    if not settings.train.sentiment.enabled:
        run.skip("sentiment", "train.sentiment.enabled is false")
    elif not run.has("reviews"):
        run.skip("sentiment", "there are no reviews")
    else:
        categories = run.read_or_empty("items").select("item_id", F.col("category"))
        reviews = run.read("reviews").join(categories, "item_id", "left")
        before = settings.valid_start if run.has("events") else None
        known = _learned_from(run, "sentiment", settings.train.sentiment, "reviews")
        versions = run.versions_read("reviews", "items")
        _note(run, train_sentiment(reviews, settings, run.run_id, before, versions, known))


def train_text_match_model(run: "Run") -> None:
    """Train the match of item texts from what users acted on before the first period that the ranking learns from."""
    task = run.settings.train.text_match
    if not task.enabled:
        run.skip("text_match", "train.text_match.enabled is false")
    elif _has_pairs(run, "text_match"):
        pairs, items = _pairs(run, task.history_days)
        versions = run.versions_read("examples", "items")
        _note(run, train_text_match(pairs, items, run.settings, run.run_id, versions))


def train_cross_match_model(run: "Run") -> None:
    """Train the cross-encoder of item pairs from the same actions as the match of item texts."""
    task = run.settings.train.cross_match
    if not task.enabled:
        run.skip("cross_match", "train.cross_match.enabled is false")
    elif _has_pairs(run, "cross_match"):
        pairs, items = _pairs(run, task.history_days)
        versions = run.versions_read("examples", "items")
        _note(run, train_cross_match(pairs, items, run.settings, run.run_id, versions))


def train_next_item_model(run: "Run") -> None:
    """Train the next-item model from what users took first before the first period that the ranking learns from.

    An item that a user comes back to counts once, at the first time: the ranking asks for items that are new to him. Item
    vectors start from those of texts.
    """
    from pyspark.sql import functions as F

    settings = run.settings
    if not settings.train.next_item.enabled:
        run.skip("next_item", "train.next_item.enabled is false")
    elif not run.has("events"):
        run.skip("next_item", "there are no events")
    else:
        worth = list(settings.recommend.event_weights)
        before = (F.col("ds") < F.lit(settings.cutoffs[0])) & F.col("event_type").isin(worth)
        actions = run.read("events").where(before).groupBy("user_id", "item_id").agg(F.min("event_ts").alias("ts"))
        vectors = None
        if settings.train.next_item.text_vectors and run.has("embeddings"):
            vectors = run.read("embeddings").where("kind = 'item'").select(F.col("id").alias("item_id"), "vector")
        versions = run.versions_read("events", *(["embeddings"] if vectors is not None else []))
        _note(run, train_next_item(actions, settings, run.run_id, versions, vectors))


def train_response_model(run: "Run") -> None:
    """Train the response model from what users were shown, and whether they clicked."""
    settings = run.settings
    if not settings.train.response.enabled:
        run.skip("response", "train.response.enabled is false")
    elif not run.has("impressions"):
        run.skip("response", "there are no impressions")
    else:
        items, history = run.read_or_empty("items"), run.read_or_empty("item_history")
        examples = response_examples(run.read("impressions"), run.read("events"), items, history, settings)
        versions = run.versions_read("impressions", "events", "items", "item_history")
        _note(run, train_response(examples, settings, run.run_id, versions))


def finetune_model(run: "Run") -> None:
    """Train a model of one's own from table texts. Raises InputError where there is none."""
    texts, task = run.read("texts"), run.settings.train.finetune
    known = _learned_from(run, task.name or task.task, task, "texts")
    _note(run, finetune(texts, run.settings, run.run_id, run.versions_read("texts"), known))


def tune_model(run: "Run") -> None:
    """Choose settings of finetune. Raises InputError where there is no table of texts."""
    texts = run.read("texts")
    found = tune(texts, run.settings, run.run_id, run.versions_read("texts"))
    run.metric("tune", found)
    run.log(f"best of {len(found['trials'])} trials: {found['best']['value']:.4f} with " + " ".join(found["set"]))


def _has_pairs(run: "Run", model: str) -> bool:
    """Whether there is what pairs of items are made from; what is absent is noted."""
    for table, reason in (("examples", "there are no events"), ("items", "there are no items with texts")):
        if not run.has(table):
            run.skip(model, reason)
            return False
    return True


def _pairs(run: "Run", history_days: float) -> "tuple[DataFrame, DataFrame]":
    """Pairs of items that users acted on before the first period that the ranking learns from, and the items with texts."""
    from pyspark.sql import functions as F

    positives = run.read("examples").where((F.col("label") == 1) & (F.col("split") == "train"))
    pairs = positive_pairs(positives, history_days, run.settings.cutoffs[0])
    return pairs, items_with_text(run.read("items"))


def _learned_from(run: "Run", model: str, task: GatedTask, table: str) -> "DataFrame | None":
    """Rows of a table that the model in use learned from, where the task is to learn on from it."""
    if task.start_from == "encoder" or not run.models.has_latest(model):
        return None
    version = read_card(run.models.latest(model))["data_versions"].get(table)
    if version is None:
        return None
    run.log(f"{model}: going on from the model in use, which learned from {table} version {version}")
    return run.tables.read(table, version)


def _note(run: "Run", model: TrainedModel) -> None:
    run.metric(model.task, {**model.metrics, "rows_per_rank": list(model.rows_per_rank), "in_use": model.promoted})
    run.artefact(f"models/{model.task}", model.folder)
    run.log(f"{model.task}: {'now in use' if model.promoted else 'not used'}: {model.reason}")
