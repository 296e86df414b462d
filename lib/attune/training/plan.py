"""Settings of one training, as plain values that travel to the ranks, and the plan of its steps."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from attune.models.batches import epoch_batches
from attune.training.task import Task


@dataclass(frozen=True)
class LoopSettings:
    """What the loop needs of the settings; meanings and units stand in ``conf/base.yaml``."""

    epochs: int
    tokens_per_batch: int  # over all ranks
    learning_rate: float
    head_learning_rate: float
    warmup_share: float
    weight_decay: float
    max_grad_norm: float
    frozen_layers: int = 0
    layer_decay: float = 1.0
    patience: int | None = None
    lora_rank: int = 0
    optimizer: str = "adamw"
    accumulation: int = 1  # streams of rows for each rank
    ranks: int | None = None  # that the streams are made for; None: as many as there are
    compression: str = "none"
    gradient_checkpointing: bool = False
    compile: bool = False
    checkpoint_minutes: float = 10.0
    precision: str = "auto"
    seed: int = 0


@dataclass(frozen=True)
class RankJob:
    """Everything a rank needs to train: the task and how to make it, where its rows lie, where the result goes."""

    task: Callable[..., Task]  # makes the task from the encoder and its settings; a class or function of a module
    task_settings: Mapping[str, Any]
    encoder: str
    max_tokens: int
    data: Mapping[str, str]  # train, valid and perhaps test -> URL of a folder of Parquet files
    written: Mapping[str, tuple[int, int]]  # split -> rows and tokens that its files hold, as counted when written
    output: str  # folder that rank 0 writes the network to
    loop: LoopSettings
    checkpoints: str | None = None  # folder to go on from where a run was cut off; None: nothing is kept
    threads: int | None = None  # of a rank on a CPU; None: its machine's cores divided by the ranks there
    # Value column -> names of its numbers, from 0, by which the test rows are measured; rows of other numbers by none.
    slices: Mapping[str, Sequence[str]] = field(default_factory=dict)
    fusion_mb: int = 64  # MiB of gradients that Horovod sends together
    reader: str = "auto"  # petastorm, pyarrow or auto
    rival: str | None = None  # folder of the model in use, which is measured on the same test rows
    start: str | None = None  # folder of a model whose weights training starts from; None: the encoder's
    identity: str = ""  # what makes this training another one than those of the same rows and loop, see ``Loop``
    settings_key: str = "train.<task>"  # where the settings of the task stand, for messages


@dataclass(frozen=True)
class RankResult:
    """What comes back from a rank. Metrics are the same on all ranks."""

    rank: int
    rows: Mapping[str, int] = field(default_factory=dict)  # split -> rows that this rank read
    metrics: Mapping[str, Any] = field(default_factory=dict)
    place: Mapping[str, str | None] = field(default_factory=dict)  # host and executor that it ran on
    error: Exception | None = None
    traceback: str = ""


def own_streams(settings: LoopSettings, rank: int, size: int) -> list[int]:
    """Streams of rows that a rank draws from.

    A global batch is made of a part of every stream, and a stream holds the same rows however many ranks there are. So
    one rank that goes through two parts before each step (accumulation 2) learns what two ranks of one part each learn,
    and a training goes on as it was when a rank is lost and the others take over its streams.

    >>> settings = LoopSettings(1, 1, 1, 1, 0, 0, 1, accumulation=2)
    >>> own_streams(settings, 1, 3)
    [1, 4]
    """
    return list(range(rank, num_streams(settings, size), size))


def num_streams(settings: LoopSettings, size: int) -> int:
    """Streams of rows in all, of so many ranks."""
    return settings.accumulation * (settings.ranks or size)


def stream_seed(settings: LoopSettings, step: int, stream: int) -> int:
    """Seed of what is drawn while a stream's part of a step is learned, such as dropout: the same on whatever rank."""
    return int(np.random.SeedSequence([settings.seed, step, stream]).generate_state(1, np.uint64)[0])


def stream_batches(lengths: np.ndarray, settings: LoopSettings, stream: int, size: int) -> list[list[np.ndarray]]:
    """Batches of each epoch from the rows of one stream, under its part of the budget.

    Streams may give different numbers of batches; ``pad_epochs`` makes them equal.
    """
    budget = max(1, settings.tokens_per_batch // num_streams(settings, size))
    return [epoch_batches(lengths, budget, settings.seed, epoch, stream) for epoch in range(settings.epochs)]


def pad_epochs(epochs: list[list[np.ndarray]], num_steps: list[int]) -> list[list[np.ndarray]]:
    """Add batches of no rows until epoch e has ``num_steps[e]``, spread so that they do not all fall at its end."""
    padded = []
    for batches, steps in zip(epochs, num_steps, strict=True):
        none = np.empty(0, np.int64)
        full = set(np.linspace(0, steps - 1, len(batches)).round().astype(int).tolist()) if batches else set()
        remaining = iter(batches)
        padded.append([next(remaining) if step in full else none for step in range(steps)])
    return padded


def learning_rate_factor(step: int, num_steps: int, warmup_share: float) -> float:
    """Factor of the peak rate at a step, from 0: linear warm-up, then linear decay to nearly zero.

    >>> [round(learning_rate_factor(s, 10, 0.2), 3) for s in (0, 1, 2, 9)]
    [0.5, 1.0, 1.0, 0.125]
    """
    warmup = max(1, round(warmup_share * num_steps)) if warmup_share > 0 else 0
    if step < warmup:
        return (step + 1) / warmup
    return (num_steps - step) / max(1, num_steps - warmup)
