"""Train the sentiment model: positive or negative, learned from the stars that reviewers gave."""

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from attune.config import Config, SentimentTask
from attune.errors import InputError
from attune.models.texts import review_text
from attune.training.classification import Classification, classification_metrics
from attune.training.driver import TrainedModel, limit_rows, replayed, training
from attune.training.split import with_split, without_repeats
from attune.training.tokenise import token_column, training_rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

TASK = "sentiment"
LABELS = ("negative", "positive")
MAX_CATEGORIES = 50


def sentiment_examples(
    reviews: "DataFrame", task: SentimentTask, seed: int, before: dt.date | None = None
) -> "DataFrame":
    """Reviews with a clear rating: review_id, text, label (0 negative, 1 positive), category, split.

    The split is by item, so that no item of the test has been seen in training, and no text occurs in two splits.
    ``category`` is taken from the reviews where they have it, else null. With ``before``, only older reviews are used.
    """
    from pyspark.sql import functions as F

    if before is not None:
        reviews = reviews.where(F.col("review_ts") < F.lit(before).cast("timestamp"))
    rating = F.col("rating")
    label = F.when(rating >= task.positive_min_rating, 1).when(rating <= task.negative_max_rating, 0)
    category = F.col("category") if "category" in reviews.columns else F.lit(None).cast("string")
    rows = reviews.select(
        "review_id", "item_id", label.alias("label"), review_text(F.col("title"), F.col("body")).alias("text"),
        F.split(category, " > ")[0].alias("category"),
    )  # fmt: skip
    rows = rows.where("label is not null and text <> ''")
    rows = with_split(rows, [F.col("item_id")], task.valid_share, task.test_share, seed)
    return without_repeats(rows, "text", "review_id").select("review_id", "text", "label", "category", "split")


def train_sentiment(
    reviews: "DataFrame", settings: Config, version: str, before: dt.date | None = None,
    data_versions: Mapping[str, int] | None = None, known: "DataFrame | None" = None,
) -> TrainedModel:  # fmt: skip
    """Fine-tune the encoder on reviews with all ranks, and store it; it is used if it passes ``min_accuracy``.

    ``reviews`` has the columns of the table, and may have ``category``. Metrics: ``test`` over the held-out items,
    ``test_by_category``, ``valid`` and the course of the training. ``known``: the reviews that the model in use learned from,
    of which ``replay_share`` are learned again. Raises InputError where reviews of one label are missing or there are too few
    of them.
    """
    from pyspark.sql import functions as F

    task = settings.train.sentiment
    with training(settings, TASK, TASK, version, data_versions) as course:
        tokens = token_column(F.col("text"), course.tokenizer(), task.max_tokens)
        examples = sentiment_examples(reviews, task, settings.seed, before)
        if known is not None:
            examples = replayed(examples, known, "review_id", task.replay_share, settings.seed)
        categories = _check(examples, task)
        values = {"label": F.col("label"), "category_index": _index_of("category", categories)}
        rows = training_rows(examples, "review_id", tokens, values)
        rows = limit_rows(rows, "train", task.max_examples, settings.seed)
        head = {"labels": LABELS, "dropout": task.dropout, "label_smoothing": task.label_smoothing}
        results = course.run(rows, Classification, head, ("label", "category_index"))
        metrics = {**results[0].metrics, **_test_metrics(results[0].test, categories)}
        accuracy = metrics.get("test", {}).get("accuracy", float("nan"))
        passed = accuracy >= task.min_accuracy
        verdict = f"accuracy {accuracy:.4f} on held-out items, at least {task.min_accuracy} is asked"
        refusal = None if passed else verdict
        return course.store(results, metrics, Classification.chosen_by, refusal, verdict)


def _check(examples: "DataFrame", task: SentimentTask) -> list[str]:
    """Raise InputError where a label is missing; return the categories with most reviews."""
    counts: pd.DataFrame = examples.groupBy("label", "category").count().toPandas()  # type: ignore[assignment]
    of_label = counts.groupby("label")["count"].sum()
    for number, label in enumerate(LABELS):
        if of_label.get(number, 0) == 0:
            raise InputError(
                f"reviews: none is {label} (positive from {task.positive_min_rating:g} stars, negative up to "
                f"{task.negative_max_rating:g}): check the rating column and train.sentiment.*_rating"
            )
    totals = counts.dropna().groupby("category")["count"].sum().sort_values(ascending=False, kind="stable")
    return [str(name) for name in totals.index[:MAX_CATEGORIES]]


def _index_of(column: str, values: list[str]) -> Any:
    """Number of a value in a list, from 0; -1 where it is not in it."""
    from pyspark.sql import functions as F

    known = F.array(*(F.lit(value) for value in values)).cast("array<string>")
    return F.coalesce(F.array_position(known, F.col(column)) - 1, F.lit(-1)).cast("bigint")


def _test_metrics(test: Mapping[str, np.ndarray], categories: list[str]) -> dict[str, Any]:
    if not test:
        return {"test": {"num": 0.0, "accuracy": float("nan")}, "test_by_category": {}}
    by_category = {}
    for number, name in enumerate(categories):
        rows = test["category_index"] == number
        if rows.any():
            by_category[name] = classification_metrics(test["outputs"][rows], test["label"][rows])
    return {"test": classification_metrics(test["outputs"], test["label"]), "test_by_category": by_category}
