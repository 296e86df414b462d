"""Train a model of one's own on the table of texts: labels, hidden words, pairs, or copy."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from attune.config import Config, Finetune
from attune.errors import InputError
from attune.models.fresh import Sizes
from attune.models.networks import TOKENIZER
from attune.training.causal_language import CausalLanguage
from attune.training.classification import Classification
from attune.training.cross_encoder import CrossEncoder
from attune.training.driver import TrainedModel, Training, limit_rows, replayed, training
from attune.training.masked_language import MaskedLanguage
from attune.training.multi_label import MAX_LABELS as MOST_OF_MANY
from attune.training.multi_label import MultiLabelClassification
from attune.training.split import bucket, without_repeats
from attune.training.task import Task
from attune.training.tokenise import pair_column, token_column, training_rows
from attune.training.tracking import Sink
from attune.training.vocabulary import learn_vocabulary

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

SETTING = "finetune"
MOST_LABELS = 10_000
_VOCABULARY_TEXTS = 200_000
"""Texts at most that a vocabulary is learned from."""


@dataclass(frozen=True)
class Lesson:
    """What one kind of task makes of labelled texts."""

    task: Callable[..., Task]
    arguments: dict[str, Any]
    examples: "DataFrame"
    values: "Mapping[str, Column]" = field(default_factory=dict)  # columns of numbers that a row has
    slices: Mapping[str, list[str]] = field(default_factory=dict)  # those of them that test texts are measured by


def finetune(
    texts: "DataFrame", settings: Config, version: str, data_versions: Mapping[str, int] | None = None,
    known: "DataFrame | None" = None, watcher: Sink | None = None,
) -> TrainedModel:  # fmt: skip
    """Train on table texts with all ranks, and store the model as ``models/<name>``.

    ``known``: the texts that the model in use learned from, of which ``replay_share`` are learned again; ``watcher`` is told
    of the curves. The model is used if it passes ``min_score`` and does not do worse than the one in use. Metrics: ``test``,
    where there are test texts, and of single labels ``test_by``; ``valid``, and the course of the training. Raises InputError
    where the labels cannot be learned.
    """
    from pyspark.sql import functions as F

    task = settings.train.finetune
    name = task.name or task.task
    with training(settings, name, SETTING, version, data_versions, watcher) as course:
        examples = split_texts(texts, task, settings.seed)
        if known is not None:
            examples = replayed(examples, known, "text_id", task.replay_share, settings.seed)
        lesson = _LESSONS[task.task](examples, task)
        encoder, tokenizer = _encoder(course, lesson)
        tokens = token_column(F.col("text"), tokenizer, task.max_tokens)
        if lesson.task is CrossEncoder:
            tokens = pair_column(F.col("text"), F.col("other_text"), tokenizer, task.max_tokens)
        rows = training_rows(lesson.examples, "text_id", tokens, lesson.values)
        rows = limit_rows(rows, "train", task.max_examples, settings.seed)
        results = course.run(rows, lesson.task, lesson.arguments, lesson.slices, encoder)
        metrics: dict[str, Any] = dict(results[0].metrics)
        chosen_by: str = lesson.task.chosen_by  # type: ignore[attr-defined]
        refusal, verdict = _gate(metrics, chosen_by, task.min_score)
        return course.store(results, metrics, chosen_by, refusal, verdict)


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
        of_train = F.lit("train") if "valid" in told else F.coalesce(valid, F.lit("train"))
        known = F.coalesce("split", F.lit("train"))
        return texts.withColumn("split", F.when(known == "train", of_train).otherwise(known))
    test = F.when(place >= 1 - task.test_share, "test")
    return without_repeats(texts.withColumn("split", F.coalesce(valid, test, F.lit("train"))), "text", "text_id")


def _classification(texts: "DataFrame", task: Finetune) -> Lesson:
    from pyspark.sql import functions as F

    examples = texts.where("label is not null")
    counts: pd.DataFrame = examples.groupBy("label", "split").count().toPandas()  # type: ignore[assignment]
    labels = _learnable(counts, 2, MOST_LABELS)
    weights = None
    if task.class_weights == "balanced":
        of_train = counts[counts["split"] == "train"].set_index("label")["count"]
        weights = [float(of_train.sum() / (len(labels) * of_train[label])) for label in labels]
    numbered = examples.sparkSession.createDataFrame(list(enumerate(labels)), "label_index bigint, label string")
    arguments = {"labels": labels, "dropout": task.dropout, "label_smoothing": task.label_smoothing,
                 "label_weights": weights}  # fmt: skip
    examples = examples.join(F.broadcast(numbered), "label")
    return Lesson(Classification, arguments, examples, {"label": F.col("label_index")}, {"label": labels})


def _multi_label(texts: "DataFrame", task: Finetune) -> Lesson:
    """A text without a label has none of them."""
    from pyspark.sql import functions as F

    listed = F.array_distinct(F.filter(F.transform(F.split("label", r"\|"), F.trim), lambda label: label != ""))
    examples = texts.withColumn("_labels", F.coalesce(listed, F.array().cast("array<string>")))
    each = examples.select(F.explode("_labels").alias("label"), "split").groupBy("label", "split").count()
    counts: pd.DataFrame = each.toPandas()  # type: ignore[assignment]
    labels = _learnable(counts, 1, MOST_OF_MANY)
    holds = [F.when(F.array_contains("_labels", label), F.lit(1 << n)).otherwise(0) for n, label in enumerate(labels)]
    bits = sum(holds, F.lit(0).cast("bigint"))
    return Lesson(MultiLabelClassification, {"labels": labels, "dropout": task.dropout}, examples, {"labels": bits})


def _cross_encoder(texts: "DataFrame", task: Finetune) -> Lesson:
    """Labels are numbers from 0, no match, to 1."""
    from pyspark.sql import functions as F

    label = F.expr("try_cast(label AS double)")
    examples = texts.where("other_text is not null").withColumn("_match", label)
    if examples.isEmpty():
        raise InputError(
            "texts: no text has another beside it: map column other_text (inputs.texts.columns), run clean again"
        )
    wrong = examples.where("_match is null or _match not between 0 and 1").select("label").first()
    if wrong is not None:
        raise InputError(f"texts: label {wrong['label']!r} of a pair is no number from 0 to 1: check column label")
    values = {"label": F.col("_match"), "weight": F.coalesce("weight", F.lit(1.0)), "group": F.xxhash64("text")}
    return Lesson(CrossEncoder, {"dropout": task.dropout}, examples, values)


def _masked_language(texts: "DataFrame", task: Finetune) -> Lesson:
    return Lesson(MaskedLanguage, {"dropout": task.dropout, "sizes": _sizes(task)}, texts)


def _causal_language(texts: "DataFrame", task: Finetune) -> Lesson:
    return Lesson(CausalLanguage, {"dropout": task.dropout, "sizes": _sizes(task)}, texts)


_LESSONS: "dict[str, Callable[[DataFrame, Finetune], Lesson]]" = {
    "classification": _classification,
    "multi_label": _multi_label,
    "cross_encoder": _cross_encoder,
    "masked_language": _masked_language,
    "causal_language": _causal_language,
}


def _learnable(counts: pd.DataFrame, least: int, most: int) -> list[str]:
    """Labels in order. Raises InputError where they are too few or too many, or one stands in no training text."""
    labels = sorted(counts["label"].unique())
    if not least <= len(labels) <= most:
        raise InputError(
            f"texts: {len(labels):,} different labels, from {least} to {most:,} can be learned: check column label"
        )
    known = set(counts.loc[counts["split"] == "train", "label"])
    if unseen := [label for label in labels if label not in known]:
        raise InputError(
            f"texts: no training text has the label {unseen[0]!r} ({len(unseen)} such): check column split"
        )
    return labels


def _sizes(task: Finetune) -> Sizes | None:
    """Size of a network that starts from nothing; None: the encoder goes on."""
    if task.from_scratch is None:
        return None
    return Sizes(**task.from_scratch.model_dump(), max_positions=task.max_tokens)


def _encoder(course: Training, lesson: Lesson) -> tuple[str, str]:
    """Name of the encoder, and the file of its tokenizer; of a new one the vocabulary is learned from the training texts."""
    sizes = lesson.arguments.get("sizes")
    if sizes is None:
        return course.settings.train.encoder, course.tokenizer()
    some = lesson.examples.where("split = 'train'").orderBy("text_id").limit(_VOCABULARY_TEXTS).select("text")
    tokenizer = learn_vocabulary((row["text"] for row in some.toLocalIterator()), sizes.vocab_size)
    tokenizer.save(str(course.scratch / TOKENIZER))
    # Of a small corpus fewer pieces are learned than were asked for.
    lesson.arguments["sizes"] = replace(sizes, vocab_size=tokenizer.get_vocab_size())
    return str(course.scratch), str(course.scratch / TOKENIZER)


def _gate(metrics: Mapping[str, Any], name: str, least: float | None) -> tuple[str | None, str]:
    """Why the model is refused, or None; and what is said of it."""
    split = "test" if "test" in metrics else "valid"
    score = metrics[split][name]
    asked = f", at least {least:g} is asked" if least is not None else ""
    verdict = f"{name} {score:.4f} on the {split} texts{asked}"
    return (verdict if least is not None and not score >= least else None), verdict
