"""Train a model on the table of texts: one label a text."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from attune.config import Config, Finetune
from attune.errors import InputError
from attune.training.classification import Classification
from attune.training.driver import TrainedModel, limit_rows, save_tokenizer, scratch_folder, store_model, train_rows
from attune.training.split import bucket, without_repeats
from attune.training.tokenise import tokenise

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

SETTING = "finetune"
MAX_LABELS = 10_000


def finetune(
    texts: "DataFrame", settings: Config, version: str, data_versions: Mapping[str, int] | None = None
) -> TrainedModel:
    """Fine-tune the encoder on table texts with all ranks, and store it as ``models/<name>``.

    It is used if it passes ``min_score``. Metrics: ``test``, where there are test texts; ``valid``, and the course of the
    training. Raises InputError where there are fewer than two labels, or one that no training text has.
    """
    task = settings.train.finetune
    name = task.name or task.task
    with scratch_folder(settings, name) as scratch:
        tokenizer = save_tokenizer(settings, scratch, SETTING, task.max_tokens)
        examples = split_texts(texts.where("label is not null"), task, settings.seed)
        labels, weights = _labels(examples, task)
        examples = examples.join(_numbered(examples, labels), "label")
        rows = tokenise(examples, "text", ["label_index"], "text_id", tokenizer, task.max_tokens)
        rows = limit_rows(rows.withColumnRenamed("label_index", "label"), "train", task.max_examples, settings.seed)
        head = {"labels": labels, "dropout": task.dropout, "label_smoothing": task.label_smoothing,
                "class_weights": weights}  # fmt: skip
        results = train_rows(rows, Classification, head, settings, task, scratch)
        metrics: dict[str, Any] = dict(results[0].metrics)
        refusal, verdict = _gate(metrics, Classification.chosen_by, task.min_score)
        return store_model(results, name, version, settings, scratch, metrics, data_versions or {}, refusal, verdict)


def split_texts(texts: "DataFrame", task: Finetune, seed: int) -> "DataFrame":
    """Texts with ``split`` filled in: that of the input stays.

    Where the input tells none, it is drawn by a hash of the id, and of equal texts one is kept, so that none is in two
    splits. Where it tells train and test alone, the validation texts are drawn from those of train.
    """
    from pyspark.sql import functions as F

    told = {row["split"] for row in texts.select("split").distinct().collect()}
    place = bucket(seed, F.col("text_id"))
    valid = F.when(place < task.valid_share, "valid")
    if told - {None}:
        drawn = F.coalesce(valid, F.lit("train"))
        of_train = drawn if "valid" not in told else F.lit("train")
        return texts.withColumn(
            "split", F.when(F.coalesce("split", F.lit("train")) == "train", of_train).otherwise(F.col("split"))
        )
    test = F.when(place >= 1 - task.test_share, "test")
    return without_repeats(texts.withColumn("split", F.coalesce(valid, test, F.lit("train"))), "text", "text_id")


def _labels(examples: "DataFrame", task: Finetune) -> tuple[list[str], list[float] | None]:
    """Labels in order, and what each counts. Raises InputError where they cannot be learned."""
    counts: pd.DataFrame = examples.groupBy("label", "split").count().toPandas()  # type: ignore[assignment]
    of_train = counts[counts["split"] == "train"].set_index("label")["count"]
    labels = sorted(counts["label"].unique())
    if len(labels) < 2:
        raise InputError(f"texts: {len(labels)} different labels, 2 are the least to tell apart: check column label")
    if len(labels) > MAX_LABELS:
        raise InputError(f"texts: {len(labels):,} different labels, {MAX_LABELS:,} are the most: check column label")
    if unseen := [label for label in labels if label not in of_train.index]:
        raise InputError(
            f"texts: no training text has the label {unseen[0]!r} (nor {len(unseen) - 1} others): check split"
        )
    if task.class_weights == "none":
        return labels, None
    return labels, [float(of_train.sum() / (len(labels) * of_train[label])) for label in labels]


def _numbered(examples: "DataFrame", labels: list[str]) -> "DataFrame":
    from pyspark.sql import functions as F

    numbered = list(enumerate(labels))
    return F.broadcast(examples.sparkSession.createDataFrame(numbered, "label_index bigint, label string"))


def _gate(metrics: Mapping[str, Any], name: str, least: float | None) -> tuple[str | None, str]:
    """Why the model is refused, or None; and what is said of it."""
    split = "test" if "test" in metrics else "valid"
    score = metrics[split][name]
    verdict = f"{name} {score:.4f} on the {split} texts" + (
        f", at least {least:g} is asked" if least is not None else ""
    )
    return (verdict if least is not None and not score >= least else None), verdict
