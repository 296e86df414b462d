"""Start the ranks of a training: on Spark's task slots, on hosts, or this process alone; and log what they say."""

import logging
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from attune.errors import SettingsError
from attune.training.communicator import SingleProcess
from attune.training.launchers.horovod import run_on_hosts, run_on_spark
from attune.training.launchers.torch import run_with_distributor
from attune.training.plan import RankJob, RankResult
from attune.training.rank import PROGRESS_FILE, run_rank

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_log = logging.getLogger("attune")


def run_ranks(
    job: RankJob, spark: "SparkSession", launcher: str, num_ranks: int, start_timeout_seconds: int,
    hosts: str | None = None,
) -> list[RankResult]:  # fmt: skip
    """Train on all ranks and wait for them; results in rank order.

    Raises SettingsError where there are fewer places than ranks, MissingError where a package is missing or the ranks
    do not start in time, what a rank raised, its traceback in the notes, and RankDiedError where one died.
    """
    with _follow(Path(job.output) / PROGRESS_FILE):
        if launcher == "single":
            return [run_rank(job, SingleProcess())]
        if launcher == "horovodrun":
            return run_on_hosts(job, num_ranks, hosts, start_timeout_seconds)
        if launcher == "torch":
            return run_with_distributor(job, spark, num_ranks, start_timeout_seconds)
        _check_slots(spark, num_ranks)
        return run_on_spark(job, spark, num_ranks, start_timeout_seconds)


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
