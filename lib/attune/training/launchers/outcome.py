"""What became of the ranks: their results, the error that came first, or the rank that died."""

import os
import pickle
import re
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout

from attune.errors import AttuneError
from attune.training.plan import RankJob, RankResult
from attune.training.traces import results_left, started, traces_folder

_KEPT_CHARS = 8000
_PARTNER_LOST = re.compile(
    r"HorovodInternalError|DistBackendError|DistNetworkError|Connection (closed|reset) by peer|Broken pipe|Socket closed"
    r"|Timed out waiting|remote process exited"
)
"""What a rank says that only lost another one, and is not the cause."""
_FIRST_DEAD = (
    re.compile(r"Process name: (?P<rank>\d+)\s+Exit code: (?P<code>-?\d+)"),  # Horovod
    re.compile(
        r"Root Cause.*?rank\s*: (?P<rank>\d+) \(local_rank.*?exitcode\s*: (?P<code>-?\d+)", re.DOTALL
    ),  # torchrun
)


class RankDiedError(RuntimeError):
    """A rank's process ended before its work did."""


class LastOutput:
    """Stream that the output of the ranks is copied to; the last of it explains a rank that was killed."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self._text = ""

    def write(self, text: str | bytes) -> int:
        """Take some output."""
        added = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        self._text = (self._text + added)[-_KEPT_CHARS:]
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""

    def isatty(self) -> bool:
        """Never."""
        return False

    def __str__(self) -> str:
        return self._text.strip()


def outcome(
    job: RankJob, num_ranks: int, launch: Callable[[LastOutput], Sequence[bytes | None]], may_shrink: bool = False
) -> list[RankResult]:
    """Results of the ranks in rank order; ``launch`` starts them, waits, and returns the pickled results it got.

    ``may_shrink``: whether fewer ranks than were started may end well. Raises what a rank raised, its traceback in the
    notes; RankDiedError where one died without a word.
    """
    traces_folder(job).mkdir(parents=True)
    output, returned, failure = LastOutput(), [], None
    try:
        with kept_signal_handlers():
            returned = [pickle.loads(result) for result in launch(output) if result is not None]
    except AttuneError:
        raise
    except Exception as error:  # noqa: BLE001 - raised again unless a rank tells more
        failure = error
    if may_shrink and failure is None:
        num_ranks = len(returned)
    results = {result.rank: result for result in (*results_left(job), *returned)}
    _raise_first(job, list(results.values()), num_ranks, failure, output)
    return [results[rank] for rank in range(num_ranks)]


def _raise_first(
    job: RankJob, results: Sequence[RankResult], num_ranks: int, failure: Exception | None, output: LastOutput
) -> None:
    """Raise the error that came first: of ranks that only lost their partner, the partner's."""
    failed = [result for result in results if result.error is not None]
    causes = [result for result in failed if not _PARTNER_LOST.search(str(result.error))]
    dead = sorted(set(range(num_ranks)) - {result.rank for result in results})
    if causes or (failed and not dead):
        cause = (causes or failed)[0]
        assert cause.error is not None
        cause.error.add_note(f"on rank {cause.rank} of {num_ranks}:\n{cause.traceback}")
        raise cause.error
    if dead:
        died = RankDiedError(_describe_death(dead, num_ranks, started(job), f"{failure}\n{output}"))
        died.add_note(f"last output of the ranks:\n{output or '(none)'}")
        raise died from failure
    if failure is not None:
        failure.add_note(f"last output of the ranks:\n{output}")
        raise failure


def _describe_death(dead: Sequence[int], num_ranks: int, begun: set[int], said: str) -> str:
    found = next((match for pattern in _FIRST_DEAD if (match := pattern.search(said))), None)
    if found and int(found["rank"]) in dead:
        dead, code = [int(found["rank"])], int(found["code"])
    else:
        code = 0
    who, how = f"rank {' and '.join(map(str, dead))} of {num_ranks}", _describe_exit(code) if code else "without a word"
    if not begun & set(dead):
        return f"{who} ended before it began to train ({how}): its last output below tells why"
    text = f"{who} died while training ({how}), and the others were stopped"
    if "SIGKILL" in how:
        text += (
            "; where the machine has run out of memory, lower the task's tokens_per_batch or max_examples, "
            "or train.num_ranks"
        )
    return text


def _describe_exit(code: int) -> str:
    """An exit status in words; a shell gives signal 9 as 137, Python as -9."""
    number = -code if code < 0 else code - 128
    if 0 < number < 65 and number in set(signal.Signals):
        return f"killed by signal {number}, {signal.Signals(number).name}"
    return f"exit status {code}"


@contextmanager
def captured(output: LastOutput) -> Iterator[None]:
    """What launchers print of the ranks goes to ``output``; the log keeps its own stream."""
    with redirect_stdout(output), redirect_stderr(output):  # type: ignore[type-var]
        yield


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Variables of this process, which the ranks inherit, for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def kept_signal_handlers() -> Iterator[None]:
    """Horovod takes SIGINT and SIGTERM for itself and keeps them; without this the driver could not be stopped later."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)
