"""Progress of a long training: lines for people and points for curves, every few seconds.

Each rank writes its lines to a file of the output folder, and rank 0 the points, too. The driver reads them as they grow, so
that ranks need no package that draws or stores curves, and what they say stands in the log of the run.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

LOG_FILES = "log-*.jsonl"
"""In the output folder: what each rank says, for the driver to log."""
POINTS_FILE = "points.jsonl"
"""In the output folder: a point of the curves a line."""


@dataclass(frozen=True)
class Point:
    """Values of some curves at one step."""

    step: int
    time: float  # seconds since 1970
    values: Mapping[str, float]

    def line(self) -> str:
        """As a line of JSON."""
        return json.dumps({"step": self.step, "time": self.time, "values": dict(self.values)})

    @staticmethod
    def read(line: str) -> "Point":
        """From a line of JSON."""
        told = json.loads(line)
        return Point(told["step"], told["time"], told["values"])


@dataclass(frozen=True)
class Line:
    """What a rank said for people."""

    rank: int
    time: float  # seconds since 1970
    message: str
    level: Literal["info", "warning", "error"] = "info"

    def line(self) -> str:
        """As a line of JSON."""
        return json.dumps(asdict(self))

    @staticmethod
    def read(line: str) -> "Line":
        """From a line of JSON."""
        return Line(**json.loads(line))


class Reporter:
    """What a rank tells, into files, visible at once; an object takes a line when it is called."""

    def __init__(self, output: Path, rank: int = 0, clock: Callable[[], float] = time.time) -> None:
        output.mkdir(parents=True, exist_ok=True)
        self._lines = output / LOG_FILES.replace("*", str(rank))
        self._points, self._rank, self._clock = output / POINTS_FILE, rank, clock

    def __call__(self, line: str) -> None:
        """Add a line for people."""
        _append(self._lines, Line(self._rank, self._clock(), line).line())

    def error(self, line: str) -> None:
        """Add a line of what went wrong."""
        _append(self._lines, Line(self._rank, self._clock(), line, "error").line())

    def point(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point for curves."""
        _append(self._points, Point(step, self._clock(), values).line())


class Progress:
    """Says now and then how far training is; ``say`` takes a line, and where it is a ``Reporter``, points, too.

    ``resumed_at``: steps of ``num_steps`` that an earlier run had done.
    """

    def __init__(
        self, num_steps: int, say: Callable[[str], None], every_seconds: float = 10.0,
        clock: Callable[[], float] = time.monotonic, resumed_at: int = 0,
    ) -> None:  # fmt: skip
        self._num_steps, self._say, self._every, self._clock = num_steps, say, every_seconds, clock
        self._resumed_at = resumed_at
        self._began = self._said = clock()
        self._done = resumed_at
        self._steps = self._rows = self._tokens = 0
        self._loss = 0.0
        self._rate: float | None = None

    def step(self, loss: float, rows: int, tokens: int, rate: float | None = None) -> None:
        """Count one step of the global batch, which was taken at this learning rate."""
        self._done += 1
        self._steps, self._rows, self._tokens = self._steps + 1, self._rows + rows, self._tokens + tokens
        self._loss += loss
        self._rate = rate
        now = self._clock()
        if now - self._said < self._every:
            return
        seconds = now - self._said
        left = (now - self._began) / (self._done - self._resumed_at) * (self._num_steps - self._done)
        self._say(
            f"step {self._done} of {self._num_steps}: loss {self._loss / self._steps:.4f}, "
            f"{self._rows / seconds:.0f} examples/s, {self._tokens / seconds:.0f} tokens/s, {left:.0f} s left"
        )
        self._draw(now)

    def epoch(self, epoch: int, num_epochs: int, metrics: Mapping[str, float], chosen_by: str | None = None) -> None:
        """Tell the validation metrics after an epoch; epoch 0 is before training. One of them chooses the epoch."""
        described = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        self._say(f"epoch {epoch} of {num_epochs}: {described}" if epoch else f"before training: {described}")
        if self._steps:  # a training of seconds has a curve, too
            self._draw(self._clock())
        chosen = {} if chosen_by is None else {"valid/chosen": metrics[chosen_by]}
        self._point({"epoch": float(epoch), **{f"valid/{name}": value for name, value in metrics.items()}, **chosen})

    def _draw(self, now: float) -> None:
        """A point of what came since the last one."""
        seconds = max(now - self._said, 1e-9)
        rate = {} if self._rate is None else {"train/learning_rate": self._rate}
        self._point(
            {"train/loss": self._loss / self._steps, **rate, "train/rows_per_second": self._rows / seconds,
             "train/tokens_per_second": self._tokens / seconds}
        )  # fmt: skip
        self._said, self._steps, self._rows, self._tokens, self._loss = now, 0, 0, 0, 0.0

    def _point(self, values: Mapping[str, float]) -> None:
        if isinstance(self._say, Reporter):
            self._say.point(self._done, values)


def _append(file: Path, line: str) -> None:
    with file.open("a", encoding="utf-8") as stream:
        stream.write(line + "\n")
