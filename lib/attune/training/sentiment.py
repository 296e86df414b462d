"""Train the sentiment model: positive or negative, learned from the stars that reviewers gave."""

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from attune.config import Config, SentimentTask
from attune.errors import InputError
from attune.models.texts import review_text
from attune.training.classification import Classification
from attune.training.driver import TrainedModel, limit_rows, replayed, training
from attune.training.split import with_split, without_repeats
from attune.training.tokenise import token_column, training_rows

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

TASK = "sentiment"
LABELS = ("negative", "positive")
SLICED_BY = ("category", "language")
MAX_SLICES = 50


def sentiment_examples(
    reviews: "DataFrame", task: SentimentTask, seed: int, before: dt.date | None = None
) -> "DataFrame":
    """Reviews with a clear rating: review_id, text, label (0 negative, 1 positive), category, language, split.

    The split is by item, so that no item of the test has been seen in training, and no text occurs in two splits.
    ``category`` and ``language`` are taken from the reviews where they have them, else null. With ``before``, only older
    reviews are used.
    """
    from pyspark.sql import functions as F

    if before is not None:
        reviews = reviews.where(F.col("review_ts") < F.lit(before).cast("timestamp"))
    rating = F.col("rating")
    label = F.when(rating >= task.positive_min_rating, 1).when(rating <= task.negative_max_rating, 0)
    category, language = (
        F.col(name) if name in reviews.columns else F.lit(None).cast("string") for name in ("category", "language")
    )
    rows = reviews.select(
        "review_id", "item_id", label.alias("label"), review_text(F.col("title"), F.col("body")).alias("text"),
        F.split(category, " > ")[0].alias("category"), language.alias("language"),
    )  # fmt: skip
    rows = rows.where("label is not null and text <> ''")
    rows = with_split(rows, [F.col("item_id")], task.valid_share, task.test_share, seed)
    return without_repeats(rows, "text", "review_id").drop("item_id")


def train_sentiment(
    reviews: "DataFrame", settings: Config, version: str, before: dt.date | None = None,
    data_versions: Mapping[str, int] | None = None, known: "DataFrame | None" = None,
) -> TrainedModel:  # fmt: skip
    """Fine-tune the encoder on reviews with all ranks, and store it; it is used if it passes ``min_accuracy``.

    ``reviews`` has the columns of the table, and may have ``category``. Metrics: ``test`` over the held-out items,
    ``test_by`` category and language, ``valid`` and the course of the training. ``known``: the reviews that the model in use
    learned from, of which ``replay_share`` are learned again. Raises InputError where reviews of one label are missing or
    there are too few of them.
    """
    from pyspark.sql import functions as F

    task = settings.train.sentiment
    with training(settings, TASK, TASK, version, data_versions) as course:
        tokens = token_column(F.col("text"), course.tokenizer(), task.max_tokens)
        examples = sentiment_examples(reviews, task, settings.seed, before)
        if known is not None:
            examples = replayed(examples, known, "review_id", task.replay_share, settings.seed)
        slices = _check(examples, task)
        values = {"label": F.col("label"), **{name: _index_of(name, common) for name, common in slices.items()}}
        rows = training_rows(examples, "review_id", tokens, values)
        rows = limit_rows(rows, "train", task.max_examples, settings.seed)
        head = {"labels": LABELS, "dropout": task.dropout, "label_smoothing": task.label_smoothing}
        results = course.run(rows, Classification, head, slices)
        metrics = results[0].metrics
        accuracy = metrics.get("test", {}).get("accuracy", float("nan"))
        passed = accuracy >= task.min_accuracy
        verdict = f"accuracy {accuracy:.4f} on held-out items, at least {task.min_accuracy} is asked"
        refusal = None if passed else verdict
        return course.store(results, metrics, Classification.chosen_by, refusal, verdict)


def _check(examples: "DataFrame", task: SentimentTask) -> dict[str, list[str]]:
    """Raise InputError where a label is missing; return the categories and the languages with most reviews."""
    counts: pd.DataFrame = examples.groupBy("label", *SLICED_BY).count().toPandas()  # type: ignore[assignment]
    of_label = counts.groupby("label")["count"].sum()
    for number, label in enumerate(LABELS):
        if of_label.get(number, 0) == 0:
            raise InputError(
                f"reviews: none is {label} (positive from {task.positive_min_rating:g} stars, negative up to "
                f"{task.negative_max_rating:g}): check the rating column and train.sentiment.*_rating"
            )
    slices = {}
    for column in SLICED_BY:
        totals = counts.groupby(column)["count"].sum().sort_values(ascending=False, kind="stable")
        slices[column] = [str(name) for name in totals.index[:MAX_SLICES]]
    return slices


def _index_of(column: str, values: list[str]) -> "Column":
    """Number of a value in a list, from 0; -1 where it is not in it."""
    from pyspark.sql import functions as F

    known = F.array(*(F.lit(value) for value in values)).cast("array<string>")
    return F.coalesce(F.call_function("array_position", known, F.col(column)) - 1, F.lit(-1)).cast("bigint")
