"""Start the ranks of a training: on Spark's task slots, on hosts, or this process alone; and log what they say."""

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from attune.errors import SettingsError
from attune.logs import log_of_rank
from attune.session import is_connect
from attune.training.communicator import SingleProcess
from attune.training.launchers.horovod import run_elastic, run_on_hosts, run_on_spark
from attune.training.launchers.torch import run_with_distributor
from attune.training.plan import RankJob, RankResult
from attune.training.progress import LOG_FILES, POINTS_FILE, Line, Point
from attune.training.rank import run_rank
from attune.training.tracking import Tracker

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def run_ranks(
    job: RankJob, spark: "SparkSession", launcher: str, num_ranks: int, start_timeout_seconds: int,
    hosts: str | None = None, tracker: Tracker | None = None, min_ranks: int | None = None,
) -> list[RankResult]:  # fmt: skip
    """Train on all ranks and wait for them; results in rank order. Curves go to ``tracker`` while training runs.

    With ``min_ranks`` and the launcher horovod a training goes on without ranks that die, as long as so many live.
    Raises SettingsError where there are fewer places than ranks, MissingError where a package is missing or the ranks
    do not start in time, what a rank raised, its traceback in the notes, and RankDiedError where one died.
    """
    with _follow(Path(job.output), tracker or Tracker({})):
        if launcher == "single":
            return [run_rank(job, SingleProcess())]
        if launcher == "horovodrun":
            return run_on_hosts(job, num_ranks, hosts, start_timeout_seconds)
        if launcher == "torch":
            return run_with_distributor(job, spark, num_ranks, start_timeout_seconds)
        _check_slots(spark, num_ranks)
        if min_ranks is not None:
            return run_elastic(job, spark, num_ranks, min_ranks, start_timeout_seconds)
        return run_on_spark(job, spark, num_ranks, start_timeout_seconds)


def check_launcher(spark: "SparkSession", launcher: str) -> None:
    """Raise SettingsError where this kind of session cannot start ranks: to be called before their rows are made."""
    if launcher in ("horovod", "torch") and is_connect(spark):
        raise SettingsError(
            f"train.launcher is {launcher}, which needs a classic session to start ranks in Spark's task slots, and this is one "
            "of Spark Connect: set train.launcher to single or horovodrun, or unset SPARK_REMOTE"
        )


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


@contextmanager
def _follow(output: Path, tracker: Tracker) -> Iterator[None]:
    """Log the lines that ranks add to their files, and forward the points of rank 0, as they come."""
    done = threading.Event()
    follower = threading.Thread(target=_forward, args=(output, tracker, done), daemon=True)
    follower.start()
    try:
        yield
    finally:
        done.set()
        follower.join()


def _forward(output: Path, tracker: Tracker, done: threading.Event) -> None:
    logs, points = dict[Path, _Tail](), _Tail(output / POINTS_FILE)
    while True:
        last_time = done.wait(1.0)
        files = sorted(output.glob(LOG_FILES))
        said = [Line.read(line) for file in files for line in logs.setdefault(file, _Tail(file)).new()]
        for line in sorted(said, key=lambda line: line.time):
            log_of_rank(line.rank, line.level, line.message, line.time)
        tracker.points([Point.read(line) for line in points.new()])
        if last_time:
            return


class _Tail:
    """Whole lines of a file that another process adds to."""

    def __init__(self, file: Path) -> None:
        self._file, self._position = file, 0

    def new(self) -> list[str]:
        """Lines since the last time; one that has no end yet is left for the next."""
        if not self._file.is_file():
            return []
        with self._file.open("rb") as stream:
            stream.seek(self._position)
            added = stream.read()
        whole = added[: added.rfind(b"\n") + 1]
        self._position += len(whole)
        return whole.decode("utf-8", "replace").splitlines()
