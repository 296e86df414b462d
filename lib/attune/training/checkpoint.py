"""Where a training stands, kept on disk: a run that was cut off goes on from there and ends with the same weights.

Files are safetensors and JSON, written to a hidden folder that gets its name when it is complete; one is kept.
"""

import hashlib
import json
import shutil
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from attune.errors import InputError
from attune.models.store import seal, verify
from attune.training.reader import Rows

_TENSORS, _STATE = "tensors.safetensors", "state.json"


@dataclass
class Progressed:
    """How far a training has come. ``step`` counts the steps done of the epoch under way, both from 0."""

    epoch: int = 0
    step: int = 0
    losses: list[float] = field(default_factory=list)  # mean loss of each step
    scores: list[dict[str, float]] = field(
        default_factory=list
    )  # validation metrics after each epoch; first, before any
    best_epoch: int = 0
    gained_epoch: int = 0  # the last that was better than all before
    best: float = float("-inf")
    seconds: float = 0.0  # of training, over all runs


class Checkpoints:
    """The checkpoints of one training in one folder that all ranks see.

    Args:
        folder: made when first needed; None keeps nothing.
        identity: whatever must be the same for a training to go on: settings, rows and streams.
    """

    def __init__(self, folder: str | None, identity: str, every_seconds: float,
                 clock: Callable[[], float] = time.monotonic) -> None:  # fmt: skip
        self._folder = Path(folder) if folder else None
        self._identity = identity
        self._every, self._clock = every_seconds, clock
        self._written = clock()

    def due(self) -> bool:
        """Whether it is time for another."""
        return self._folder is not None and self._clock() - self._written >= self._every

    def write(self, at: Progressed, tensors: dict[str, torch.Tensor]) -> None:
        """Keep a state in place of the one before."""
        from safetensors.torch import save_file

        assert self._folder is not None
        hidden = self._folder / f".{uuid.uuid4().hex}"
        hidden.mkdir(parents=True)
        losses = torch.tensor(at.losses, dtype=torch.float64)
        copies = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        save_file({**copies, "losses": losses}, hidden / _TENSORS)
        state = {**at.__dict__, "losses": None, "identity": self._identity}
        (hidden / _STATE).write_text(json.dumps(state), encoding="utf-8")
        seal(hidden)
        before = self._complete()
        hidden.rename(self._folder / f"step-{len(at.losses):09d}")
        for old in before:
            shutil.rmtree(old)
        self._written = self._clock()

    def read(self, say: Callable[[str], None]) -> tuple[Progressed, dict[str, torch.Tensor]] | None:
        """The latest state of the same training, or None where there is none; ``say`` is told of damaged ones."""
        from safetensors.torch import load_file

        for folder in reversed(self._complete()):
            try:
                verify(folder)
            except InputError as error:
                say(f"checkpoint left aside: {error}")
                continue
            state: dict[str, Any] = json.loads((folder / _STATE).read_text(encoding="utf-8"))
            if state.pop("identity") != self._identity:
                continue
            tensors = load_file(folder / _TENSORS)
            state["losses"] = tensors.pop("losses").tolist()
            return Progressed(**state), tensors
        return None

    def _complete(self) -> list[Path]:
        assert self._folder is not None
        return sorted(self._folder.glob("step-*"))

    @property
    def kept(self) -> bool:
        """Whether anything is kept at all."""
        return self._folder is not None


def rows_digest(rows: Rows) -> np.ndarray:
    """SHA-256 of rows, uint8 (32,)."""
    digest = hashlib.sha256()
    for name in sorted(rows.tokens):
        digest.update(rows.tokens[name].offsets.tobytes())
        digest.update(rows.tokens[name].flat.tobytes())
    for name in sorted(rows.values):
        digest.update(np.ascontiguousarray(rows.values[name]).tobytes())
    return np.frombuffer(digest.digest(), np.uint8).copy()
