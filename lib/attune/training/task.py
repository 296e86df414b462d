"""What a task gives to the training loop: a network, a loss, a forecast and its metrics.

A new task is one module that implements ``Task``; the loop, the reader and the launcher do not change.
Shapes: B rows of a batch, T tokens, N rows of all ranks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch

from attune.models.batches import batches_by_length
from attune.models.network import Network
from attune.models.precision import autocast
from attune.training.communicator import Communicator
from attune.training.reader import Rows

_EVALUATION_TOKENS_PER_BATCH = 16384


@dataclass(frozen=True)
class Batch:
    """Rows of one rank in one step, on its device; a rank that has run out of rows gets a batch of none."""

    tokens: Mapping[str, tuple[torch.Tensor, torch.Tensor]]  # name -> ids and mask, int64 (B, T)
    values: Mapping[str, torch.Tensor]  # name -> (B,)

    def __len__(self) -> int:
        return len(next(iter(self.tokens.values()))[0])


@dataclass(frozen=True)
class Loss:
    """Loss of one rank in one step.

    The gradients of ``objective``, summed over the ranks and divided by the summed ``weight``, are the gradients of
    the mean loss over the global batch. ``total`` is this rank's own part of the summed loss, for the log. Numbers may stay
    on the device: fetching one makes the processor wait for the GPU.
    """

    objective: torch.Tensor | None  # None on a rank without rows
    total: torch.Tensor | float
    weight: torch.Tensor | float


class Task(Protocol):
    """One task. Objects are made on each rank and are not sent between them."""

    @property
    def network(self) -> Network:
        """What is trained."""

    @property
    def token_columns(self) -> tuple[str, ...]:
        """Columns of token ids that a row has."""

    @property
    def value_columns(self) -> tuple[str, ...]:
        """Columns of numbers that a row has."""

    @property
    def chosen_by(self) -> str:
        """Metric, higher is better, that picks the best epoch."""

    @property
    def may_stay_untrained(self) -> bool:
        """Whether the weights before the first step are a candidate."""

    def loss(self, batch: Batch, comm: Communicator) -> Loss:
        """Loss of a training batch."""

    def outputs(self, batch: Batch) -> torch.Tensor:
        """What the metrics need of each row, float32 (B, K)."""

    def metrics(self, outputs: np.ndarray, values: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Metrics over the rows of all ranks: outputs (N, K) and values (N,)."""


@runtime_checkable
class Calibrated(Protocol):
    """A task whose probabilities are fitted once more after training."""

    def calibrate(self, outputs: np.ndarray, values: Mapping[str, np.ndarray]) -> None:
        """Fit to the validation rows of all ranks: outputs (N, K) and values (N,)."""


def lengths_for_batching(rows: Rows) -> np.ndarray:
    """Tokens that each row costs: those of its longest text, times the number of texts."""
    per_column = [column.lengths for column in rows.tokens.values()]
    longest: np.ndarray = np.maximum.reduce(per_column) * len(per_column)
    return longest


def take_batch(rows: Rows, chosen: np.ndarray, pad_id: int, device: torch.device) -> Batch:
    """Chosen rows as padded tensors on a device."""
    tokens = {}
    for name, column in rows.tokens.items():
        ids, mask = column.padded(chosen, pad_id)
        tokens[name] = (ids.to(device), mask.to(device))
    values = {name: torch.from_numpy(column[chosen]).to(device) for name, column in rows.values.items()}
    return Batch(tokens, values)


def predict(task: Task, rows: Rows, device: torch.device, bfloat16: bool) -> np.ndarray:
    """Outputs of rows, in their order, float32 (rows, K)."""
    task.network.eval()
    pieces, order = [], []
    with torch.inference_mode():
        # Without rows one batch of none tells the width of the outputs.
        batches = batches_by_length(lengths_for_batching(rows), _EVALUATION_TOKENS_PER_BATCH)
        for chosen in batches or [np.empty(0, np.int64)]:
            with autocast(device, bfloat16):
                outputs = task.outputs(take_batch(rows, chosen, task.network.pad_id, device))
            pieces.append(outputs.float().cpu().numpy())
            order.append(chosen)
    merged: np.ndarray = np.concatenate(pieces)[np.argsort(np.concatenate(order))]
    return merged
