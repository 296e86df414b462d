"""Ranks of torch.distributed, started by Spark's TorchDistributor."""

import logging
import re
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from attune.errors import MissingError
from attune.training.communicator import TorchRanks
from attune.training.launchers.outcome import LastOutput, captured, environment, outcome
from attune.training.plan import RankJob, RankResult
from attune.training.rank import run_launched_rank
from attune.training.ship import shipped
from attune.training.traces import started

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_log = logging.getLogger("attune")


def run_with_distributor(
    job: RankJob, spark: "SparkSession", num_ranks: int, start_timeout_seconds: int
) -> list[RankResult]:
    """Ranks as processes of this machine on a local master, else as the tasks of a barrier stage.

    Raises MissingError where this Spark has no TorchDistributor, or the ranks do not start in time.
    """
    try:
        from pyspark.ml.torch.distributor import TorchDistributor
    except ImportError as error:
        raise MissingError(f"train.launcher=torch needs Spark 3.4 or later with TorchDistributor ({error})") from error
    local = re.match(r"local(\[|$)", str(spark.sparkContext.master)) is not None  # local-cluster has executors
    use_gpu = has_gpus(spark, local)
    if torch.cuda.is_available() and not use_gpu:
        _log.warning(
            "a GPU is here, but training runs on the CPU: Spark was not told of it (set "
            "spark.%s.resource.gpu.amount, and a discovery script)", "driver" if local else "task",
        )  # fmt: skip

    def launch(output: LastOutput) -> Sequence[bytes | None]:
        distributor = TorchDistributor(num_ranks, local_mode=local, use_gpu=use_gpu)
        variables = {"TOKENIZERS_PARALLELISM": "false", **({"MASTER_ADDR": "127.0.0.1"} if local else {})}
        with captured(output), environment(variables), _started_in_time(job, spark, num_ranks, start_timeout_seconds):
            return [distributor.run(shipped(run_launched_rank, job, TorchRanks))]

    return outcome(job, num_ranks, launch)


def has_gpus(spark: "SparkSession", local: bool) -> bool:
    """Whether Spark gives GPUs to the ranks."""
    if local:
        return "gpu" in spark.sparkContext.resources
    return float(spark.conf.get("spark.task.resource.gpu.amount", "0") or 0) >= 1


@contextmanager
def _started_in_time(job: RankJob, spark: "SparkSession", num_ranks: int, seconds: int) -> Iterator[None]:
    """Cancel the barrier stage whose tasks find no slots: it would wait for ever."""
    context = spark.sparkContext
    group, late = f"attune-{uuid.uuid4().hex[:8]}", threading.Event()

    def look() -> None:
        if len(started(job)) < num_ranks:
            late.set()
            context.cancelJobGroup(group)

    timer = threading.Timer(seconds, look)
    timer.daemon = True
    context.setJobGroup(group, "train", interruptOnCancel=True)
    timer.start()
    try:
        yield
    except Exception as error:
        if not late.is_set() and "[SPARK-24819]" not in str(error):
            raise
        raise MissingError(
            f"the {num_ranks} ranks did not start within {seconds} s: give Spark as many free task slots, "
            "or raise train.start_timeout_seconds"
        ) from error
    finally:
        timer.cancel()
        context.setLocalProperty("spark.jobGroup.id", None)  # type: ignore[arg-type]
        context.setLocalProperty("spark.job.description", None)  # type: ignore[arg-type]
