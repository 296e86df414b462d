"""What int8 costs a model that was just trained: the same validation rows in float32 and in int8, on a CPU."""

import copy
from pathlib import Path

import numpy as np
import torch

from attune.models.network import Network
from attune.models.networks import read_network
from attune.models.quantised import has_int8, quantised
from attune.training.reader import Rows
from attune.training.task import Task, lengths_for_batching, predict

SCORING_KINDS = ("classifier", "embedder", "pair_scorer")
"""Networks that are applied to whole tables, where int8 would pay."""
MIN_ROWS = 200
"""Of fewer rows a small loss cannot be told from none."""
_MAX_TOKENS = 16_384
"""Validation tokens that are gone through, about: some ten seconds of a CPU for an encoder like MiniLM."""


def measure_int8(task: Task, rows: Rows, folder: Path) -> dict[str, float | str] | None:
    """Metric of a stored network on validation rows in float32 and in int8; ``loss`` is the first minus the second.

    ``largest_change`` and ``mean_change`` are of the task's outputs, such as a probability. ``task`` is that of the network,
    and stays as it is. Rows: the first of those given, which are in an order of their own, that make 16,384 tokens, and 200 at
    least. None where there are not as many, where the network scores no tables, or torch has no int8.
    """
    if task.network.kind not in SCORING_KINDS or len(rows) < MIN_ROWS or not has_int8():
        return None
    stored = read_network(folder)
    within = int((np.cumsum(lengths_for_batching(rows)) <= _MAX_TOKENS).sum())
    some = rows.take(np.arange(max(MIN_ROWS, within)))
    exact, rounded = _outputs(task, stored, some), _outputs(task, quantised(stored), some)
    values = {
        name: column.astype(np.float64 if column.dtype.kind == "f" else np.int64)
        for name, column in some.values.items()
    }
    before, after = (task.metrics(outputs, values)[task.chosen_by] for outputs in (exact, rounded))
    change = np.abs(exact - rounded)
    return {
        "metric": task.chosen_by, "num": float(len(some)), "float32": before, "int8": after, "loss": before - after,
        "largest_change": float(change.max()), "mean_change": float(change.mean()),
    }  # fmt: skip


def _outputs(task: Task, network: Network, rows: Rows) -> np.ndarray:
    other = copy.copy(task)
    other.network = network  # type: ignore[misc]
    return predict(other, rows, torch.device("cpu"), bfloat16=False)
