"""Train the response model: the probability that a user clicks on the item shown, from its text and what both did before."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attune.config import Config
from attune.errors import InputError
from attune.feature_registry import EXAMPLE_FEATURES
from attune.features.described import described
from attune.features.history import with_history
from attune.training.driver import TrainedModel, limit_rows, training
from attune.training.reader import ROW_KEY
from attune.training.response import Response
from attune.training.text_match import items_with_text
from attune.training.tokenise import token_column

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

TASK = "response"
FEATURES = tuple(feature.name for feature in EXAMPLE_FEATURES)
MAX_HELD_OUT = 20_000
"""Impressions at most that choose the epoch and the calibration, and as many that are only measured."""


def train_response(
    examples: "DataFrame", settings: Config, version: str, data_versions: Mapping[str, int] | None = None
) -> TrainedModel:
    """Learn from the impressions before the validation period, calibrate on that period, measure on the test period.

    The model is used if its probabilities tell more of the test impressions than the share of clicks in training does.
    ``examples``: ``response_examples``. Metrics: ``test``; ``share_of_clicks``, that of telling the same share of each. Raises
    InputError where there are only clicks, or none, to learn from.
    """
    from pyspark.sql import functions as F

    task = settings.train.response
    with training(settings, TASK, TASK, version, data_versions) as course:
        # As models.response.signed_log does it.
        scaled = {name: F.signum(name) * F.log1p(F.abs(name)) for name in FEATURES}
        examples = examples.withColumns(scaled).persist()
        means, deviations, clicks = _of_training(examples)
        numbers = [F.coalesce(name, F.lit(float("nan"))).alias(f"f{n}") for n, name in enumerate(FEATURES)]
        tokens = token_column(F.coalesce("text", F.lit("")), course.tokenizer(), task.max_tokens)
        rows = examples.select(ROW_KEY, "split", "label", *numbers, tokens.alias("tokens"))
        arguments = {"means": means, "deviations": deviations, "dropout": task.dropout, "features": FEATURES}
        results = course.run(rows, Response, arguments)
        examples.unpersist()
        metrics: dict[str, Any] = dict(results[0].metrics)
        verdict, refusal = "there are no impressions in the test period", None
        if "test" in metrics:
            found, share = metrics["test"]["log_loss"], metrics["test"]["positive_share"]
            least = -share * math.log(clicks) - (1 - share) * math.log1p(-clicks)
            metrics["share_of_clicks"] = {"log_loss": least}
            verdict = f"log loss {found:.4f} on later impressions, {least:.4f} by the share of clicks"
            refusal = None if found < least else verdict
        return course.store(results, metrics, Response.chosen_by, refusal, verdict)


def response_examples(
    impressions: "DataFrame", events: "DataFrame", items: "DataFrame", item_history: "DataFrame", settings: Config
) -> "DataFrame":
    """Impressions of the three periods with what was known strictly before each, thinned by seed to ``max_examples``.

    Columns: row_key, split, label (1 clicked, 0 not), text of the item (null without one), and ``FEATURES``, unscaled.
    """
    from pyspark.sql import functions as F

    day, task = F.to_date("shown_ts"), settings.train.response
    split = F.when(day < F.lit(settings.valid_start), "train").when(day < F.lit(settings.test_start), "valid")
    labelled = impressions.where("item_id is not null").select(
        F.xxhash64("impression_id").alias(ROW_KEY), "user_id", "item_id", F.col("shown_ts").alias("ts"),
        F.col("clicked").cast("bigint").alias("label"), split.otherwise("test").alias("split"),
    )  # fmt: skip
    for part, most in (("train", task.max_examples), ("valid", MAX_HELD_OUT), ("test", MAX_HELD_OUT)):
        labelled = limit_rows(labelled, part, most, settings.seed)
    known = with_history(labelled, events, described(item_history))
    return known.join(items_with_text(items), "item_id", "left").select(ROW_KEY, "split", "label", "text", *FEATURES)


def _of_training(examples: "DataFrame") -> tuple[list[float], list[float], float]:
    """Mean and deviation of each feature in the training rows, and the share of clicks there."""
    from pyspark.sql import functions as F

    wanted = {f"mean_{name}": F.mean(name) for name in FEATURES} | {
        f"by_{name}": F.stddev_pop(name) for name in FEATURES
    }
    told = examples.where("split = 'train'").agg(
        F.mean("label").alias("clicks"), *(column.alias(name) for name, column in wanted.items())
    )
    row = told.first()
    clicks = None if row is None else row["clicks"]
    if clicks in (None, 0.0, 1.0):
        said = "there are none" if clicks is None else "none was clicked on" if clicks == 0 else "all were clicked on"
        raise InputError(f"impressions to learn responses from: {said}: check the input's event types and split.*_days")
    assert row is not None
    return [row[f"mean_{n}"] or 0.0 for n in FEATURES], [row[f"by_{n}"] or 0.0 for n in FEATURES], float(clicks)
