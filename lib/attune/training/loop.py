"""The training loop: one for all tasks, on one or several ranks.

What holds for several ranks: the gradients of a step are those of the mean loss over the global batch, the union of
the ranks' batches, whatever their sizes; so with dropout off, and the same rows in each global batch, one rank and
several give the same losses up to rounding. The rows of a global batch themselves depend on the number of ranks, since
each rank draws from the row groups that it read.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from attune.errors import SettingsError
from attune.models.batches import batches_by_length
from attune.models.encoder import layer_depth, num_layers
from attune.models.networks import pad_id
from attune.models.precision import autocast, supports_bfloat16
from attune.training.communicator import Communicator, gather_rows
from attune.training.plan import LoopSettings, learning_rate_factor, pad_epochs, rank_batches
from attune.training.progress import Progress
from attune.training.reader import Rows
from attune.training.task import Batch, Task, lengths_for_batching, take_batch

EVALUATION_TOKENS_PER_BATCH = 16384


@dataclass
class Trained:
    """What training found; the task's network holds the weights of the best epoch."""

    losses: list[float]  # mean loss of each step
    epochs: list[dict[str, float]]  # validation metrics after each epoch; the first is before training, where asked for
    best_epoch: int  # 0: the weights before training
    metrics: dict[str, float]  # validation metrics of the best epoch
    seconds: float
    bfloat16: bool


class Loop:
    """Trains the network of a task on the rows of this rank, in step with the other ranks."""

    def __init__(self, task: Task, settings: LoopSettings, comm: Communicator, device: torch.device) -> None:
        self.task, self.settings, self.comm, self.device = task, settings, comm, device
        self.bfloat16 = self._agree_on_bfloat16()
        task.network.to(device)
        comm.broadcast_(list(task.network.state_dict().values()))
        self._optimizer = _optimizer(task.network, settings)
        self._peak_rates = [group["lr"] for group in self._optimizer.param_groups]
        self._trained = [p for p in task.network.parameters() if p.requires_grad]

    def fit(self, train: Rows, valid: Rows, say: Callable[[str], None] = lambda line: None) -> Trained:
        """Train for the planned epochs and keep the weights that do best on the validation rows of all ranks."""
        began = time.monotonic()
        plan = self._plan(train)
        num_steps = sum(len(batches) for batches in plan)
        progress = Progress(num_steps, say)
        losses: list[float] = []
        scores: list[dict[str, float]] = [{}]
        best_epoch, best, kept = 0, float("-inf"), _copy(self.task.network)
        if self.task.may_stay_untrained:
            scores[0] = self.evaluate(valid)
            best = _score(scores[0], self.task.chosen_by)
            say(f"before training: {_describe(scores[0])}")
        for epoch, batches in enumerate(plan, start=1):
            for chosen in batches:
                self._set_rate(learning_rate_factor(len(losses), num_steps, self.settings.warmup_share))
                batch = take_batch(train, chosen, pad_id(self.task.network), self.device)
                loss, rows, tokens = self.step(batch)
                losses.append(loss)
                progress.step(loss, rows, tokens)
            scores.append(self.evaluate(valid))
            say(f"epoch {epoch} of {len(plan)}: {_describe(scores[-1])}")
            score = _score(scores[-1], self.task.chosen_by)
            # Of epochs that score alike the last has learned most; the untrained weights give way only to better ones.
            if score > best or (score == best and best_epoch):
                best, best_epoch, kept = score, epoch, _copy(self.task.network)
        if best_epoch or self.task.may_stay_untrained:
            self.task.network.load_state_dict(kept)
        else:
            best_epoch = len(plan)
        seconds = time.monotonic() - began
        return Trained(losses, scores, best_epoch, scores[best_epoch], seconds, self.bfloat16)

    def step(self, batch: Batch) -> tuple[float, int, int]:
        """One optimiser step on the global batch. Returns its mean loss, and the rows and tokens in it.

        Raises SettingsError where the loss or the gradient is no longer a number; all ranks raise together.
        """
        self.task.network.train()
        with autocast(self.device, self.bfloat16):
            loss = self.task.loss(batch, self.comm)
        if loss.objective is not None:
            loss.objective.backward()  # type: ignore[no-untyped-call]
        gradients = []
        for parameter in self._trained:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            gradients.append(parameter.grad)
        tokens = sum(int(mask.sum()) for _, mask in batch.tokens.values())
        counts = torch.tensor([loss.total, loss.weight, len(batch), tokens], dtype=torch.float64, device=self.device)
        self.comm.sum_(gradients)
        self.comm.sum_([counts])
        total, weight, rows, num_tokens = counts.tolist()
        torch._foreach_div_(gradients, weight)
        norm = nn.utils.clip_grad_norm_(self._trained, self.settings.max_grad_norm)
        if not (np.isfinite(total) and torch.isfinite(norm)):
            raise SettingsError(
                f"training diverged: loss {total / weight:g}, gradient norm {float(norm):g}; "
                f"lower the task's learning_rate (now {self.settings.learning_rate:g}) or set train.precision=float32"
            )
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return total / weight, int(rows), int(num_tokens)

    def predict(self, rows: Rows) -> np.ndarray:
        """Outputs of this rank's rows, in their order, float32 (rows, K)."""
        self.task.network.eval()
        pieces, order = [], []
        with torch.inference_mode():
            for chosen in batches_by_length(lengths_for_batching(rows), EVALUATION_TOKENS_PER_BATCH):
                with autocast(self.device, self.bfloat16):
                    outputs = self.task.outputs(take_batch(rows, chosen, pad_id(self.task.network), self.device))
                pieces.append(outputs.float().cpu().numpy())
                order.append(chosen)
        if not pieces:
            return np.empty((0, self._width()), np.float32)
        merged: np.ndarray = np.concatenate(pieces)[np.argsort(np.concatenate(order))]
        return merged

    def gather(self, rows: Rows) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Outputs and values of the rows of all ranks."""
        outputs = gather_rows(self.comm, self.predict(rows))
        dtypes = {name: np.float64 if column.dtype.kind == "f" else np.int64 for name, column in rows.values.items()}
        values = {name: gather_rows(self.comm, rows.values[name].astype(dtype)) for name, dtype in dtypes.items()}
        return outputs, values

    def evaluate(self, rows: Rows) -> dict[str, float]:
        """Metrics over the rows of all ranks, the same on each."""
        outputs, values = self.gather(rows)
        return self.task.metrics(outputs, values)

    def _plan(self, train: Rows) -> list[list[np.ndarray]]:
        """Batches of each epoch, as many as on the rank that has most."""
        epochs = rank_batches(lengths_for_batching(train), self.settings, self.comm.rank, self.comm.size)
        counts = gather_rows(self.comm, np.array([[len(batches) for batches in epochs]], np.int64))
        return pad_epochs(epochs, counts.max(axis=0).tolist())

    def _agree_on_bfloat16(self) -> bool:
        """Under ``auto`` all ranks compute alike: in bfloat16 only where each of them has it."""
        if self.settings.precision != "auto":
            return self.settings.precision == "bfloat16"
        return bool(gather_rows(self.comm, np.array([int(supports_bfloat16(self.device))])).all())

    def _set_rate(self, factor: float) -> None:
        for group, peak in zip(self._optimizer.param_groups, self._peak_rates, strict=True):
            group["lr"] = peak * factor

    def _width(self) -> int:
        return self.task.network.num_outputs * len(self.task.token_columns)


def _optimizer(network: nn.Module, settings: LoopSettings) -> torch.optim.AdamW:
    """AdamW with a rate for each layer of the encoder and one for the rest; no decay of biases and norms."""
    encoder = network.encoder
    assert isinstance(encoder, nn.Module)
    layers = num_layers(encoder)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if name.startswith("encoder."):
            depth = layer_depth(name.removeprefix("encoder."), layers)
            if settings.frozen_layers and depth <= settings.frozen_layers:
                parameter.requires_grad = False
                continue
            rate = settings.learning_rate * settings.layer_decay ** (layers - depth)
        else:
            rate = settings.head_learning_rate
        decay = settings.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((rate, decay), []).append(parameter)
    return torch.optim.AdamW(
        [{"params": parameters, "lr": rate, "weight_decay": decay} for (rate, decay), parameters in groups.items()],
        fused=True,
    )


def _copy(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}


def _score(metrics: Mapping[str, float], name: str) -> float:
    """Metric that picks the epoch; an undefined one is worst."""
    value = metrics[name]
    return float("-inf") if np.isnan(value) else value


def _describe(metrics: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())


def mean_by_quarter(losses: Sequence[float]) -> list[float]:
    """Mean loss of each quarter of the training, for the record."""
    parts: list[Any] = np.array_split(np.asarray(losses), 4) if len(losses) else []
    return [round(float(part.mean()), 4) for part in parts if len(part)]
