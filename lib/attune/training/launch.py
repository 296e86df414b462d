"""Start the ranks of a training: Horovod on Spark's task slots, or this process alone."""

import logging
import os
import pickle
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from attune.errors import MissingError, SettingsError
from attune.training.communicator import STALL_SHUTDOWN_SECONDS, SingleProcess
from attune.training.plan import RankJob, RankResult
from attune.training.rank import PROGRESS_FILE, run_horovod_rank, run_rank
from attune.training.ship import shipped

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_log = logging.getLogger("attune")


def run_ranks(
    job: RankJob, spark: "SparkSession", launcher: str, num_ranks: int, start_timeout_seconds: int
) -> list[RankResult]:
    """Train on all ranks and wait for them; results in rank order.

    Raises SettingsError where Spark has fewer task slots than ranks, MissingError where Horovod is not installed or
    the ranks do not start in time, and what a rank raised, its traceback in the notes.
    """
    with _follow(Path(job.output) / PROGRESS_FILE):
        if launcher == "single":
            return [run_rank(job, SingleProcess())]
        _check_slots(spark, num_ranks)
        results = _run_horovod(job, spark, num_ranks, start_timeout_seconds)
    _raise_first(results)
    return results


def _run_horovod(job: RankJob, spark: "SparkSession", num_ranks: int, start_timeout_seconds: int) -> list[RankResult]:
    try:
        import horovod.spark
        from horovod.runner.common.util.timeout import TimeoutException
    except ImportError as error:
        raise MissingError(
            f"train.launcher=horovod needs Horovod ({error}): install it (`attune doctor` tells how), "
            "or set train.launcher=single"
        ) from error
    _quiet_horovod()
    output = _LastLines()
    # On a local master the loopback may be the only interface there is; on a cluster Horovod finds one in common.
    nics = {"lo"} if str(spark.sparkContext.master).startswith("local[") else None
    try:
        results = horovod.spark.run(
            shipped(run_horovod_rank, job), num_proc=num_ranks, start_timeout=start_timeout_seconds, use_gloo=True,
            env=_environment(), stdout=output, stderr=output, verbose=0, nics=nics,
        )  # fmt: skip
    except (TimeoutException, TimeoutError) as error:
        raise MissingError(
            f"the {num_ranks} ranks did not start within {start_timeout_seconds} s: "
            "free as many Spark task slots, or raise train.start_timeout_seconds"
        ) from error
    except Exception as error:
        error.add_note(f"last output of the ranks:\n{output}")
        raise
    return [pickle.loads(result) for result in results]


def _environment() -> dict[str, str]:
    """What the ranks get on top of their executor's environment.

    Without the stall limits a rank whose partner died would wait for ever.
    """
    return {
        "HOROVOD_STALL_CHECK_TIME_SECONDS": "60",
        "HOROVOD_STALL_SHUTDOWN_TIME_SECONDS": str(STALL_SHUTDOWN_SECONDS),
        "HOROVOD_GLOO_TIMEOUT_SECONDS": str(STALL_SHUTDOWN_SECONDS),
        "TOKENIZERS_PARALLELISM": "false",
    }


def _check_slots(spark: "SparkSession", num_ranks: int) -> None:
    slots = task_slots(spark)
    if slots is not None and slots < num_ranks:
        raise SettingsError(
            f"train.num_ranks is {num_ranks}, but Spark has {slots} task slots ({spark.sparkContext.master}): "
            f"set train.num_ranks={slots} or give Spark more, such as MASTER=local[{num_ranks}]"
        )


def task_slots(spark: "SparkSession") -> int | None:
    """Tasks that can run at once on a local master; None on a cluster, where executors come and go."""
    match = re.fullmatch(r"local(?:\[(\*|\d+)(?:,.*)?\])?", str(spark.sparkContext.master))
    if match is None:
        return None
    cores = (os.cpu_count() or 1) if match[1] == "*" else int(match[1] or 1)
    return cores // int(spark.conf.get("spark.task.cpus", "1") or 1)


def _raise_first(results: Sequence[RankResult]) -> None:
    """Raise the error that came first: ranks that only lost their partner say so, and are not the cause."""
    failed = [result for result in results if result.error is not None]
    if not failed:
        return
    cause = next((r for r in failed if "HorovodInternalError" not in str(r.error)), failed[0])
    error = cause.error
    assert error is not None
    error.add_note(f"on rank {cause.rank} of {len(results)}:\n{cause.traceback}")
    raise error


def _quiet_horovod() -> None:
    import warnings

    logging.getLogger("horovod").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="horovod.*")


class _LastLines:
    """Stream that Horovod copies the output of the ranks to; the last of it explains a rank that was killed."""

    def __init__(self) -> None:
        self._text = ""

    def write(self, text: str | bytes) -> None:
        """Take some output."""
        added = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        self._text = (self._text + added)[-4000:]

    def flush(self) -> None:
        """Nothing is held back."""

    def __str__(self) -> str:
        return self._text.strip()


@contextmanager
def _follow(file: Path) -> Iterator[None]:
    """Log the lines that rank 0 adds to a file, as they come."""
    done = threading.Event()
    follower = threading.Thread(target=_log_lines, args=(file, done), daemon=True)
    follower.start()
    try:
        yield
    finally:
        done.set()
        follower.join()


def _log_lines(file: Path, done: threading.Event) -> None:
    position = 0
    while True:
        last_time = done.wait(1.0)
        if file.is_file():
            with file.open(encoding="utf-8") as stream:
                stream.seek(position)
                lines = stream.read()
                position = stream.tell()
            for line in lines.splitlines():
                _log.info("%s", line)
        if last_time:
            return
