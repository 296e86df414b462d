"""Train the next-item model: which item of the catalogue a user takes next, from what the user took before."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from attune.config import Config
from attune.errors import InputError
from attune.models.item_sequence import CATALOGUE
from attune.training.driver import TrainedModel, limit_rows, training
from attune.training.next_item import NextItem, rank_metrics
from attune.training.rank import NETWORK_FOLDER
from attune.training.reader import ROW_KEY
from attune.training.tokenise import number_column

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

TASK = "next_item"
MIN_ACTIONS = 3
"""Of a user: one to learn from, one to choose the best epoch by, one to be measured on."""


def train_next_item(
    actions: "DataFrame", settings: Config, version: str, data_versions: Mapping[str, int] | None = None,
    text_vectors: "DataFrame | None" = None,
) -> TrainedModel:  # fmt: skip
    """Learn from every user's actions but the last two, choose the epoch by the last but one, and measure on the last.

    The model is used if it ranks the last items better than popularity does. ``actions``: user_id, item_id, ts; ties in
    time are ordered by lot. Users with fewer than three actions are left out.
    ``text_vectors``: item_id, vector, from which item vectors start. Metrics: ``test``, over all items of the catalogue;
    ``popularity``, those of ranking by how often items were taken in training. Raises InputError without such users.
    """
    task = settings.train.next_item
    with training(settings, TASK, TASK, version, data_versions) as course:
        sequences = user_sequences(actions).persist()
        counts = _catalogue(sequences)
        rows = limit_rows(_rows(sequences, counts), "train", task.max_examples, settings.seed)
        arguments: dict[str, Any] = {
            "num_items": len(counts), "width": task.width, "layers": task.layers, "heads": task.heads,
            "max_positions": task.max_tokens - 1, "dropout": task.dropout, "num_negatives": task.num_negatives,
            "item_counts": counts["n"].tolist(),
        }  # fmt: skip
        if text_vectors is not None:
            arguments["text_vectors"] = _save_vectors(text_vectors, counts, course.scratch)
        results = course.run(rows, NextItem, arguments, encoder="")
        metrics = {**results[0].metrics, "num_items": len(counts), "popularity": popularity(rows)}
        sequences.unpersist()
        (course.output / NETWORK_FOLDER / CATALOGUE).write_text(
            json.dumps(counts["item_id"].tolist(), ensure_ascii=False) + "\n", encoding="utf-8"
        )
        name = NextItem.chosen_by
        score, least = metrics["test"][name], metrics["popularity"][name]
        verdict = f"{name} {score:.4f} on users' last items, {least:.4f} by popularity"
        refusal = None if score > least else verdict
        return course.store(results, metrics, name, refusal, verdict)


def user_sequences(actions: "DataFrame") -> "DataFrame":
    """Columns user_id and items, in the order of time, of users with three actions or more.

    Items of one moment, such as those of one order, stand in an order by lot, another for each user: in that of their ids they
    would be easy to foretell, and nothing else would be learned.
    """
    from pyspark.sql import functions as F

    taken = F.sort_array(F.collect_list(F.struct("ts", F.xxhash64("user_id", "item_id").alias("lot"), "item_id")))
    by_user = (
        actions.where("user_id is not null and item_id is not null")
        .groupBy("user_id")
        .agg(F.transform(taken, lambda a: a["item_id"]).alias("items"))
    )
    return by_user.where(F.size("items") >= MIN_ACTIONS)


def _catalogue(sequences: "DataFrame") -> pd.DataFrame:
    """All items, those first that are taken most often in what is learned from: item_id, n (0 where only later)."""
    from pyspark.sql import functions as F

    placed = sequences.select(F.posexplode("items").alias("place", "item_id"), F.size("items").alias("size"))
    taken = F.count_if(F.col("place") < F.col("size") - 2).alias("n")
    counts = placed.groupBy("item_id").agg(taken).orderBy(F.desc("n"), "item_id").toPandas()
    if not len(counts):
        raise InputError(f"no user has {MIN_ACTIONS} actions on items: a next-item model has nothing to learn from")
    return pd.DataFrame(counts)


def _rows(sequences: "DataFrame", counts: pd.DataFrame) -> "DataFrame":
    """Rows for the three splits: each user's items up to the last but two, to the last but one, and to the last."""
    from pyspark.sql import functions as F

    numbers = sequences.sparkSession.createDataFrame(
        [(item, number) for number, item in enumerate(counts["item_id"], start=1)], "item_id string, number int"
    )
    placed = sequences.select("user_id", F.posexplode("items").alias("place", "item_id"))
    in_order = F.sort_array(F.collect_list(F.struct("place", "number")))
    users = placed.join(F.broadcast(numbers), "item_id").groupBy("user_id").agg(in_order.alias("taken"))
    left_out = {"train": 2, "valid": 1, "test": 0}
    parts = F.array(
        *(F.struct(F.lit(split).alias("split"), F.lit(n).alias("left_out")) for split, n in left_out.items())
    )
    each = users.select("user_id", F.transform("taken", lambda one: one["number"]).alias("numbers"), F.inline(parts))
    items = F.slice("numbers", 1, F.size("numbers") - F.col("left_out"))
    return each.select(F.xxhash64("user_id").alias(ROW_KEY), "split", number_column(items).alias("items"))


def popularity(rows: "DataFrame") -> dict[str, float]:
    """Metrics of ranking all items by how often they were taken in training: items are numbered by just that."""
    from pyspark.sql import functions as F

    last = F.substring("items", -4, 4)
    asked = rows.where("split = 'test'").select(last.alias("last")).collect()
    return rank_metrics(np.frombuffer(b"".join(row["last"] for row in asked), "<i4").astype(np.float64))


def _save_vectors(vectors: "DataFrame", counts: pd.DataFrame, scratch: Path) -> str:
    """Text vectors in the order of the catalogue, nan for items without one, as a file that all ranks see."""
    found = {row["item_id"]: row["vector"] for row in vectors.select("item_id", "vector").collect()}
    width = len(next(iter(found.values()), [0.0]))
    matrix = np.full((len(counts), width), np.nan, np.float32)
    for number, item in enumerate(counts["item_id"]):
        matrix[number] = found.get(item, np.nan)
    file = scratch / "text_vectors.npy"
    np.save(file, matrix, allow_pickle=False)
    return str(file)
