"""Train the text match model: items that one user acts on in a row get vectors that point the same way."""

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING

from attune.config import Config, TextMatchTask
from attune.models.texts import item_text
from attune.training.driver import TrainedModel, limit_rows, training
from attune.training.matching import RECALL_AT, Matching
from attune.training.reader import ROW_KEY
from attune.training.split import bucket
from attune.training.tokenise import token_column

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

TASK = "text_match"
MAX_VALID_PAIRS = 2_000
"""Each held-out pair is compared with all items of the held-out pairs."""


def positive_pairs(positives: "DataFrame", history_days: float, before: dt.date) -> "DataFrame":
    """Pairs of items that a user acted on one after the other: anchor_item, target_item, weight (how often).

    ``positives``: user_id, item_id, ts of each positive action. Repeats of the same item in a row are one. Only actions
    before a date count, and only pairs no more than ``history_days`` apart.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    by_time = Window.partitionBy("user_id").orderBy("ts", "item_id")
    seconds = F.col("ts").cast("double") - F.lag(F.col("ts").cast("double")).over(by_time)
    actions = positives.where(F.col("ts") < F.lit(before).cast("timestamp"))
    successive = actions.select(
        F.lag("item_id").over(by_time).alias("anchor_item"), F.col("item_id").alias("target_item"), seconds.alias("gap")
    )
    pairs = successive.where(F.col("anchor_item") != F.col("target_item")).where(F.col("gap") <= history_days * 86400)
    return pairs.groupBy("anchor_item", "target_item").agg(F.count("*").cast("double").alias("weight"))


def items_with_text(items: "DataFrame") -> "DataFrame":
    """item_id, category and ``text``, as models that match items read it, of each row of the table items."""
    from pyspark.sql import functions as F

    columns = (F.col(name) for name in ("title", "description", "category", "brand"))
    return items.select("item_id", "category", item_text(*columns).alias("text"))


def pair_split(seed: int, valid_share: float) -> "Column":
    """``train`` or ``valid`` by a hash of anchor_item and target_item, the same in either direction."""
    from pyspark.sql import functions as F

    ordered = (F.least("anchor_item", "target_item"), F.greatest("anchor_item", "target_item"))
    return F.when(bucket(seed, *ordered) < valid_share, "valid").otherwise("train")


def train_text_match(
    pairs: "DataFrame", items: "DataFrame", settings: Config, version: str,
    data_versions: Mapping[str, int] | None = None,
) -> TrainedModel:  # fmt: skip
    """Fine-tune the encoder so that paired items are near, with all ranks, and store it as the latest.

    ``pairs``: anchor_item, target_item and perhaps weight; ``items``: item_id, text. Validation pairs are held out by a
    hash of the pair, in either direction. Where tuning does not find more of their targets than the encoder did before,
    the untuned weights are kept, and metrics say ``tuned: false``. Raises InputError where there are too few pairs.
    """
    task = settings.train.text_match
    with training(settings, TASK, TASK, version, data_versions) as course:
        rows = match_rows(pairs, items, task, settings.seed, course.tokenizer())
        rows = limit_rows(rows, "train", task.max_examples, settings.seed)
        rows = limit_rows(rows, "valid", MAX_VALID_PAIRS, settings.seed)
        head = {"temperature": task.temperature, "dropout": task.dropout}
        results = course.run(rows, Matching, head)
        metrics = dict(results[0].metrics)
        epochs = metrics["epochs"]
        metrics.update(tuned=metrics["best_epoch"] > 0, untuned=epochs[0])
        name = f"recall@{RECALL_AT}"
        tuned = max(epoch[name] for epoch in epochs[1:])
        reason = f"{name} of held-out pairs: {epochs[0][name]:.4f} untuned, {tuned:.4f} tuned; the better is stored"
        return course.store(results, metrics, Matching.chosen_by, None, reason)


def match_rows(
    pairs: "DataFrame", items: "DataFrame", task: TextMatchTask, seed: int, tokenizer_file: str
) -> "DataFrame":
    """Pre-tokenised pairs of items that both have a text; each item is tokenised once."""
    from pyspark.sql import functions as F

    if "weight" not in pairs.columns:
        pairs = pairs.withColumn("weight", F.lit(1.0))
    tokens = items.where("text <> ''").select(
        "item_id", F.xxhash64("item_id").alias("id"),
        token_column(F.col("text"), tokenizer_file, task.max_tokens).alias("tokens"),
    ).where(F.length("tokens") > 0)  # fmt: skip
    for side in ("anchor", "target"):
        of_side = tokens.select(
            F.col("item_id").alias(f"{side}_item"), F.col("id").alias(f"{side}_id"), F.col("tokens").alias(side)
        )
        pairs = pairs.join(of_side, f"{side}_item")
    of_target = pairs.groupBy("target_item").agg(F.sum("weight").alias("target_weight"))
    total = pairs.agg(F.sum("weight").alias("total_weight"))
    pairs = pairs.join(of_target, "target_item").crossJoin(F.broadcast(total))
    return pairs.select(
        F.xxhash64("anchor_item", "target_item").alias(ROW_KEY), pair_split(seed, task.valid_share).alias("split"),
        "anchor_id", "target_id", F.log(F.col("target_weight") / F.col("total_weight")).alias("target_log_q"), F.col("weight").cast("double").alias("weight"),
        "anchor", "target",
    )  # fmt: skip
