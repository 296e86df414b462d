"""Progress of scoring in rows: each task tells in a file of its own how far it is, and the driver adds them up.

Accumulators of Spark arrive when a task ends, and not at all through Spark Connect; a model folder is readable on all
executors anyway, and so is a folder beside it. Texts are tokenised before the first is scored, so how many rows there are is
known without counting them. A task that is tried again starts its file anew.
"""

import json
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    from attune.run import Run

Stage = Literal["tokenised", "scored"]
_EVERY_SECONDS = 10.0
_WRITE_SECONDS = 2.0


@dataclass(frozen=True)
class Done:
    """Rows, and tokens in them, of some stage."""

    rows: int = 0
    tokens: int = 0


class Tally:
    """What one task has done so far, written every few seconds and at its end.

    ``folder`` None: nowhere. Where the folder cannot be written to, there is no progress to see, and the task goes on.
    """

    def __init__(self, folder: str | None, stage: Stage, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = None if folder is None else Path(folder) / f"{stage}-{_partition()}.json"
        self._rows = self._tokens = 0
        self._clock = clock
        self._written = float("-inf")

    def add(self, rows: int, tokens: int) -> None:
        """Count rows, and the tokens in them."""
        self._rows, self._tokens = self._rows + rows, self._tokens + tokens
        if self._clock() - self._written >= _WRITE_SECONDS:
            self._write()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write()

    def _write(self) -> None:
        self._written = self._clock()
        if self._file is None:
            return
        with suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            draft = self._file.with_name(f".{self._file.name}-{uuid.uuid4().hex}")
            draft.write_text(json.dumps([self._rows, self._tokens]), encoding="utf-8")
            draft.replace(self._file)


def read_done(folder: Path, stage: Stage) -> Done:
    """What all tasks of a stage have told in a folder and those in it."""
    told = [json.loads(file.read_text(encoding="utf-8")) for file in folder.rglob(f"{stage}-*.json")]
    return Done(sum(rows for rows, _ in told), sum(tokens for _, tokens in told))


class Progress:
    """Turns what was done by now into a line; the time left goes by tokens, for long texts take longer."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._last = (0.0, Done())
        self._first: tuple[float, Done] | None = None

    def line(self, seconds: float, tokenised: Done, scored: Done) -> str | None:
        """How far it is after so many seconds; None where nothing has been heard since the last line."""
        before, self._last = self._last, (seconds, scored)
        if not scored.rows:
            return f"{self._name}: {tokenised.rows:,} rows tokenised" if tokenised.rows else None
        if scored == before[1]:
            return None
        self._first = first = self._first or before
        speed = (scored.rows - before[1].rows) / max(seconds - before[0], 1e-9)
        per_token = (seconds - first[0]) / max(scored.tokens - first[1].tokens, 1)
        left = per_token * max(tokenised.tokens - scored.tokens, 0)
        of = f"{scored.rows:,} of {max(tokenised.rows, scored.rows):,} rows scored"
        return f"{self._name}: {of}, {speed:.0f} rows/s, {left:.0f} s left"


@contextmanager
def watched(run: "Run", table: str) -> Iterator[Path]:
    """Log how far the scoring of a table is while the block runs, which writes it, and note its speed in the run's metrics.

    Yields the folder that tasks tell it in. Metric ``scoring_<table>``: ``rows_scored``, ``tokens`` in them, ``seconds`` from
    reading to the published table, and ``rows_per_second`` over all of these.
    """
    folder = run.workspace.resolve() / "scratch" / f"score-{uuid.uuid4().hex[:8]}"
    began, over = time.monotonic(), threading.Event()
    progress = Progress(table)

    def follow() -> None:
        while not over.wait(_EVERY_SECONDS):
            with suppress(OSError):  # of a shared folder; the next time it may be there
                tokenised, scored = read_done(folder, "tokenised"), read_done(folder, "scored")
                if line := progress.line(time.monotonic() - began, tokenised, scored):
                    run.log(line, rows_scored=scored.rows, rows_to_score=tokenised.rows)

    follower = threading.Thread(target=follow, daemon=True)
    follower.start()
    try:
        yield folder
        seconds = time.monotonic() - began
        if folder.is_dir():  # else no task could reach it, and nothing is known
            scored = read_done(folder, "scored")
            figures = {"rows_scored": scored.rows, "tokens": scored.tokens, "seconds": round(seconds, 1)}
            run.metric(f"scoring_{table}", {**figures, "rows_per_second": round(scored.rows / seconds, 1)})
    finally:
        over.set()
        follower.join()
        shutil.rmtree(folder, ignore_errors=True)


def _partition() -> int:
    from pyspark import TaskContext

    context = TaskContext.get()
    return context.partitionId() if context is not None else 0
