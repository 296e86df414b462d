"""The training loop: one for all tasks, on one or several ranks.

What holds for several ranks: the gradients of a step are those of the mean loss over the global batch, the union of
the ranks' batches, whatever their sizes. Rows come in streams (``plan.own_streams``) that do not depend on how many ranks
there are, and what is drawn while one is learned from follows from the seed, the step and the stream. So one rank that
goes through two streams learns what two ranks with one each learn, up to rounding, and on a CPU a training that was cut
off and goes on ends with the same weights, bit for bit.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from attune.errors import SettingsError
from attune.models.precision import autocast, supports_bfloat16
from attune.training.adapt import Adapted
from attune.training.checkpoint import Checkpoints, Progressed, rows_digest
from attune.training.communicator import Communicator, gather_rows
from attune.training.gradients import large_tables, sum_gradients
from attune.training.optimizer import Optimizer
from attune.training.plan import (
    LoopSettings,
    learning_rate_factor,
    num_streams,
    own_streams,
    pad_epochs,
    stream_batches,
    stream_seed,
)
from attune.training.progress import Progress
from attune.training.reader import Rows
from attune.training.task import Batch, Task, lengths_for_batching, predict, take_batch

_WEIGHTS, _BEST, _OPTIMIZER = "weights/", "best/", "optimizer/"


@dataclass
class Trained:
    """What training found; the task's network holds the weights of the best epoch."""

    losses: list[float]  # mean loss of each step
    epochs: list[dict[str, float]]  # validation metrics after each epoch; the first is before training, where asked for
    best_epoch: int  # 0: the weights before training
    metrics: dict[str, float]  # validation metrics of the best epoch
    seconds: float
    bfloat16: bool
    resumed_at: int  # steps that an earlier run had done
    num_parameters: int
    num_trained: int  # of them


class Loop:
    """Trains the network of a task on the rows of this rank, in step with the other ranks.

    Args:
        checkpoints: folder in which progress is kept, and from which a training with the same settings, rows, streams and
            ``identity`` goes on; None: nothing is kept.
        identity: whatever else makes two trainings different, such as the encoder and the settings of the task.
    """

    def __init__(
        self,
        task: Task,
        settings: LoopSettings,
        comm: Communicator,
        device: torch.device,
        checkpoints: str | None = None,
        identity: str = "",
    ) -> None:
        self.task, self.settings, self.comm, self.device = task, settings, comm, device
        self.bfloat16 = self._agree_on_bfloat16()
        task.network.to(device)
        comm.broadcast_(list(task.network.state_dict().values()))
        self._num_parameters = sum(p.numel() for p in task.network.parameters())
        self._adapted = Adapted(task.network, settings)
        self._optimizer = Optimizer(task.network, settings)
        self._trained = list(self._optimizer.parameters.values())
        tables = large_tables(task.network)
        self._sparse = [parameter in tables for parameter in self._trained]
        self._folder, self._named = checkpoints, identity

    def fit(
        self, train: Sequence[Rows], valid: Rows, say: Callable[[str], None] = lambda line: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Trained:  # fmt: skip
        """Train for the planned epochs and keep the weights that do best on the validation rows of all ranks.

        ``train`` holds the rows of each of this rank's streams, see ``plan.own_streams``. Training ends early after an
        epoch for want of a better one (``patience``), and where ``stop`` is true on rank 0.
        """
        began = time.monotonic()
        rows, plan = Rows.concatenate(train), self._plan(train)
        num_steps = sum(len(steps) for steps in plan)
        checkpoints = Checkpoints(self._folder, self._identity(train), self.settings.checkpoint_minutes * 60)
        at, best = self._begin(checkpoints, valid, say)
        resumed_at, earlier_seconds = len(at.losses), at.seconds
        progress = Progress(num_steps, say, resumed_at=resumed_at)
        if not resumed_at and at.scores[0]:
            progress.epoch(0, len(plan), at.scores[0])
        while at.epoch < len(plan) and not self._out_of_patience(at):
            upcoming = iter(plan[at.epoch][at.step :])
            batches = self._take(rows, next(upcoming, []))
            while batches:
                factor = learning_rate_factor(len(at.losses), num_steps, self.settings.warmup_share)
                told = self._advance(batches, factor, checkpoints.due(), len(at.losses))
                batches = self._take(rows, next(upcoming, []))  # while a GPU computes
                loss, num_rows, tokens, due = self._read(told)
                at.losses.append(loss)
                at.step += 1
                progress.step(loss, num_rows, tokens, self.settings.learning_rate * factor)
                if due:
                    at.seconds = earlier_seconds + time.monotonic() - began
                    self._keep(checkpoints, at, best)
            best = self._end_epoch(at, valid, best)
            progress.epoch(at.epoch, len(plan), at.scores[-1], self.task.chosen_by)
            if gather_rows(self.comm, np.array([int(stop())]))[0]:
                break
        if at.best_epoch or self.task.may_stay_untrained:
            self.task.network.load_state_dict(best)
        else:
            at.best_epoch = at.epoch
        num_trained = sum(p.numel() for p in self._trained)
        self._adapted.merge()
        at.seconds = earlier_seconds + time.monotonic() - began
        return Trained(
            at.losses, at.scores, at.best_epoch, at.scores[at.best_epoch], at.seconds, self.bfloat16, resumed_at,
            self._num_parameters, num_trained,
        )  # fmt: skip

    def step(
        self, batches: Sequence[Batch], rate_factor: float = 1.0, due: bool = False, number: int = 0
    ) -> tuple[float, int, int, bool]:
        """One optimiser step on the global batch: the batches of all streams, gone through one after the other on each rank.

        ``number`` counts the steps before it, for what is drawn. Returns its mean loss, the rows and tokens in it, and whether
        ``due`` was true on rank 0. Raises SettingsError where the loss or the gradient is no longer a number; all ranks raise
        together, and the weights stay as they were.
        """
        return self._read(self._advance(batches, rate_factor, due, number))

    def _advance(self, batches: Sequence[Batch], rate_factor: float, due: bool, number: int) -> torch.Tensor:
        """Ask for a step and wait for nothing: what ``_read`` tells of it stays on the device."""
        self.task.network.train()
        told = torch.zeros(5, dtype=torch.float64, device=self.device)
        for place, batch in enumerate(batches):
            torch.manual_seed(stream_seed(self.settings, number, self.comm.rank + place * self.comm.size))
            with autocast(self.device, self.bfloat16):
                loss = self.task.loss(batch, self.comm)
            if loss.objective is not None:
                loss.objective.backward()  # type: ignore[no-untyped-call]
            told[0] += loss.total
            told[1] += loss.weight
            told[2] += len(batch)
            for _, mask in batch.tokens.values():
                told[3] += mask.sum()
        gradients = []
        for parameter in self._trained:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            gradients.append(parameter.grad)
        told[4] = float(due and self.comm.rank == 0)
        self.comm.sum_([told])
        weight = told[1].where(told[1] != 0, 1.0)  # a batch may hold nothing that counts
        half_floats = self.settings.compression == "float16"
        if half_floats:  # sums over many rows do not fit into half floats
            torch._foreach_div_(gradients, weight)
        sum_gradients(self.comm, gradients, self._sparse, half_floats)
        divisor = torch.ones_like(weight) if half_floats else weight
        norm = nn.utils.get_total_norm(gradients).double() / divisor
        # Clipping by norm and the mean are one division, which the optimiser makes on its way through the gradients.
        clipped = divisor * ((norm + 1e-6) / self.settings.max_grad_norm).clamp(min=1.0)
        self._optimizer.step(rate_factor, clipped, told[0].isfinite() & norm.isfinite())
        return torch.stack([told[0] / weight, *told[2:], norm])

    def _read(self, told: torch.Tensor) -> tuple[float, int, int, bool]:
        """Wait for a step, and refuse one that has diverged."""
        loss, rows, tokens, due, norm = told.tolist()
        if not (np.isfinite(loss) and np.isfinite(norm)):
            raise SettingsError(
                f"training diverged: loss {loss:g}, gradient norm {norm:g}; "
                f"lower the task's learning_rate (now {self.settings.learning_rate:g}) or set train.precision=float32"
            )
        return loss, int(rows), int(tokens), bool(due)

    def _take(self, rows: Rows, parts: Sequence[np.ndarray]) -> list[Batch]:
        return [take_batch(rows, part, self.task.network.pad_id, self.device) for part in parts]

    def predict(self, rows: Rows) -> np.ndarray:
        """Outputs of this rank's rows, in their order, float32 (rows, K)."""
        return predict(self.task, rows, self.device, self.bfloat16)

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

    def _plan(self, train: Sequence[Rows]) -> list[list[list[np.ndarray]]]:
        """For each epoch and step, the rows of ``Rows.concatenate(train)`` that each stream of this rank gives.

        All streams of all ranks have as many steps as the one that has most, and all ranks as many parts of a step as the
        one with most streams: a loss may ask all ranks for their rows.
        """
        starts = np.cumsum([0, *map(len, train)])
        planned = []
        streams = own_streams(self.settings, self.comm.rank, self.comm.size)
        for number, rows, start in zip(streams, train, starts[:-1], strict=True):
            epochs = stream_batches(lengths_for_batching(rows), self.settings, number, self.comm.size)
            planned.append([[batch + start for batch in batches] for batches in epochs])
        own = np.array([[len(batches) for batches in epochs] for epochs in planned], np.int64)
        most = gather_rows(self.comm, own).max(axis=0).tolist()
        missing = -(-num_streams(self.settings, self.comm.size) // self.comm.size) - len(streams)
        padded = [pad_epochs(epochs, most) for epochs in [*planned, *[[[] for _ in most]] * missing]]
        return [[list(parts) for parts in zip(*of_streams, strict=True)] for of_streams in zip(*padded, strict=True)]

    def _begin(
        self, checkpoints: Checkpoints, valid: Rows, say: Callable[[str], None]
    ) -> tuple[Progressed, dict[str, torch.Tensor]]:
        """Where to start, and the best weights so far."""
        found = checkpoints.read(say) if checkpoints.kept else None
        if found is not None:
            at, tensors = found
            self._restore(tensors)
            say(f"going on after step {len(at.losses):,}, from a checkpoint of an earlier run")
            return at, _part(tensors, _BEST)
        at = Progressed(scores=[{}])
        if self.task.may_stay_untrained:
            at.scores[0] = self.evaluate(valid)
            at.best = _score(at.scores[0], self.task.chosen_by)
        return at, _copy(self.task.network)

    def _end_epoch(self, at: Progressed, valid: Rows, best: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Measure the weights after an epoch; returns the best ones so far."""
        at.scores.append(self.evaluate(valid))
        at.epoch, at.step = at.epoch + 1, 0
        score = _score(at.scores[-1], self.task.chosen_by)
        # Of epochs that score alike the last has learned most; the untrained weights give way only to better ones.
        if score > at.best or (score == at.best and at.best_epoch):
            at.gained_epoch = at.epoch if score > at.best else at.gained_epoch
            at.best, at.best_epoch = score, at.epoch
            return _copy(self.task.network)
        return best

    def _out_of_patience(self, at: Progressed) -> bool:
        patience = self.settings.patience
        return patience is not None and at.epoch - at.gained_epoch >= patience

    def _keep(self, checkpoints: Checkpoints, at: Progressed, best: dict[str, torch.Tensor]) -> None:
        if self.comm.rank == 0:
            parts = {_WEIGHTS: self.task.network.state_dict(), _BEST: best, _OPTIMIZER: self._optimizer.state()}
            checkpoints.write(
                at, {prefix + name: value for prefix, part in parts.items() for name, value in part.items()}
            )
        self.comm.regroup()

    def _restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        self.task.network.load_state_dict(_part(tensors, _WEIGHTS))
        self._optimizer.restore(_part(tensors, _OPTIMIZER))

    def _identity(self, train: Sequence[Rows]) -> str:
        """What must be the same for a training to go on where another stopped."""
        numbered = gather_rows(
            self.comm, np.array(own_streams(self.settings, self.comm.rank, self.comm.size), np.int64)
        )
        digests = gather_rows(self.comm, np.stack([rows_digest(rows) for rows in train]))[np.argsort(numbered)]
        return (
            f"{self.settings} {type(self.task).__name__} {self._named} {[digest.tobytes().hex() for digest in digests]}"
        )

    def _agree_on_bfloat16(self) -> bool:
        """Under ``auto`` all ranks compute alike: in bfloat16 only where each of them has it."""
        if self.settings.precision != "auto":
            return self.settings.precision == "bfloat16"
        return bool(gather_rows(self.comm, np.array([int(supports_bfloat16(self.device))])).all())


def _part(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _copy(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def _score(metrics: Mapping[str, float], name: str) -> float:
    """Metric that picks the epoch; an undefined one is worst."""
    value = metrics[name]
    return float("-inf") if np.isnan(value) else value


def mean_by_quarter(losses: Sequence[float]) -> list[float]:
    """Mean loss of each quarter of the training, for the record."""
    parts: list[Any] = np.array_split(np.asarray(losses), 4) if len(losses) else []
    return [round(float(part.mean()), 4) for part in parts if len(part)]
