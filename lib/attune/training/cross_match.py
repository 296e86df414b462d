"""Train the cross-encoder of item pairs: does a user take the second item after the first."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from attune.config import Config, CrossMatchTask
from attune.training.cross_encoder import NDCG_AT, CrossEncoder, pair_metrics
from attune.training.driver import TrainedModel, limit_rows, training
from attune.training.negatives import Pool, drawn_negatives
from attune.training.reader import ROW_KEY
from attune.training.text_match import pair_split
from attune.training.tokenise import pair_column

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

TASK = "cross_match"
_MAX_VALID_POSITIVES = 1_000
"""Held-out pairs that are measured after each epoch, together with their negatives."""
_GATES = ("auc", f"ndcg@{NDCG_AT}")
_ANCHOR, _TARGET = "anchor_item", "target_item"


def train_cross_match(
    pairs: "DataFrame", items: "DataFrame", settings: Config, version: str,
    data_versions: Mapping[str, int] | None = None,
) -> TrainedModel:  # fmt: skip
    """Fine-tune a cross-encoder with all ranks to tell pairs of items from pairs that nobody made, and store it.

    ``pairs``: anchor_item, target_item and weight, see ``text_match.positive_pairs``; ``items``: item_id, text, category. The
    model is used if on held-out pairs both the area under the ROC curve and nDCG at 10 over the targets of each anchor are
    higher than those of ranking targets by how often they are taken (metric ``popularity``). Raises InputError where there
    are too few pairs.
    """
    task = settings.train.cross_match
    with training(settings, TASK, TASK, version, data_versions) as course:
        positives = readable_pairs(pairs, items, task.valid_share, settings.seed).persist()
        examples = match_examples(positives, task, settings.seed).persist()
        rows = _rows(examples, items, course.tokenizer(), task.max_tokens)
        results = course.run(rows, CrossEncoder, {"dropout": task.dropout})
        metrics = {**results[0].metrics, "popularity": popularity_metrics(examples)}
        examples.unpersist()
        positives.unpersist()
        own, least = metrics["valid"], metrics["popularity"]
        told = [f"{name} {own[name]:.4f} on held-out pairs, {least[name]:.4f} by popularity" for name in _GATES]
        refusal = None if all(own[name] > least[name] for name in _GATES) else "; ".join(told)
        return course.store(results, metrics, CrossEncoder.chosen_by, refusal, "; ".join(told))


def readable_pairs(pairs: "DataFrame", items: "DataFrame", valid_share: float, seed: int) -> "DataFrame":
    """Pairs of items that both have a text, with weight, the category of both, and a split by a hash of the pair.

    Grain: anchor_item and target_item; other columns: category, target_category, weight, split and row_key.
    """
    from pyspark.sql import functions as F

    described = items.where("text <> ''")
    anchors = described.select(F.col("item_id").alias(_ANCHOR), "category")
    targets = described.select(F.col("item_id").alias(_TARGET), F.col("category").alias("target_category"))
    return pairs.join(targets, _TARGET).join(anchors, _ANCHOR).select(
        _ANCHOR, _TARGET, "category", "target_category", "weight", pair_split(seed, valid_share).alias("split"),
        F.xxhash64(_ANCHOR, _TARGET).alias(ROW_KEY),
    )  # fmt: skip


def match_examples(pairs: "DataFrame", task: CrossMatchTask, seed: int) -> "DataFrame":
    """Labelled pairs of items. Grain: anchor_item and target_item.

    Other columns: label (1 where a user took the target after the anchor), weight, split and popularity (how often the target
    is taken in the pairs to train on). The negatives of a pair that is held out are held out with it; a negative of both
    splits is held out. Negatives weigh as much as the pair that they are drawn for, so that the share of matches is the same
    for all anchors.

    Args:
        pairs: as ``readable_pairs``; gone through several times, so better kept in memory.
    """
    from pyspark.sql import functions as F

    of_train = F.when(F.col("split") == "train", F.col("weight")).otherwise(0.0)
    popularity = pairs.groupBy(_TARGET).agg(
        F.first("target_category").alias("category"), F.sum("weight").alias("frequency"),
        F.sum(of_train).alias("popularity"),
    )  # fmt: skip
    pool = Pool.of(popularity.select(F.col(_TARGET).alias("item_id"), "category", "frequency").toPandas())
    most = None if task.max_examples is None else max(1, task.max_examples // (1 + task.num_negatives))
    some = limit_rows(pairs, "train", most, seed)
    some = limit_rows(some, "valid", _MAX_VALID_POSITIVES, seed)
    negatives = drawn_negatives(some, pairs, pool, task.num_negatives, seed)
    columns = (_ANCHOR, _TARGET, "label", "weight", "split")
    labelled = some.withColumn("label", F.lit(1.0)).select(*columns).unionByName(negatives.select(*columns))
    return labelled.join(popularity.select(_TARGET, "popularity"), _TARGET)


def popularity_metrics(examples: "DataFrame") -> dict[str, float]:
    """``pair_metrics`` of the held-out pairs where targets are ranked by how often they are taken."""
    columns = (_ANCHOR, "label", "weight", "popularity")
    held_out: pd.DataFrame = examples.where("split = 'valid'").select(*columns).toPandas()  # type: ignore[assignment]
    scores = held_out["popularity"].to_numpy(np.float64)
    groups, _ = pd.factorize(held_out[_ANCHOR])
    labels, weights = held_out["label"].to_numpy(np.float64), held_out["weight"].to_numpy(np.float64)
    found = pair_metrics(scores, labels, weights, groups)
    return {name: value for name, value in found.items() if name != "log_loss"}  # the scores are no probabilities


def _rows(examples: "DataFrame", items: "DataFrame", tokenizer_file: str, max_tokens: int) -> "DataFrame":
    """Pre-tokenised rows as ``CrossEncoder`` reads them; texts in which the tokenizer knows nothing are left out."""
    from pyspark.sql import functions as F

    paired = examples
    for side in (_ANCHOR, _TARGET):
        paired = paired.join(items.select(F.col("item_id").alias(side), F.col("text").alias(f"{side}_text")), side)
    tokens = pair_column(F.col(f"{_ANCHOR}_text"), F.col(f"{_TARGET}_text"), tokenizer_file, max_tokens)
    rows = paired.select(
        F.xxhash64(_ANCHOR, _TARGET).alias(ROW_KEY), "split", "label", "weight", F.xxhash64(_ANCHOR).alias("group"),
        tokens.alias("tokens"),
    )  # fmt: skip
    return rows.where(F.length("tokens") > 0)
