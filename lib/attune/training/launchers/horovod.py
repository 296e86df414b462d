"""Ranks started by Horovod: in Spark's task slots, or by its command-line launcher on machines reached by ssh."""

import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from attune.errors import MissingError, SettingsError
from attune.training.communicator import STALL_SHUTDOWN_SECONDS, HorovodRanks
from attune.training.launchers.outcome import LastOutput, captured, environment, outcome
from attune.training.plan import RankJob, RankResult
from attune.training.rank import run_elastic_rank, run_launched_rank
from attune.training.ship import shipped, shipped_in_file

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def run_on_spark(job: RankJob, spark: "SparkSession", num_ranks: int, start_timeout_seconds: int) -> list[RankResult]:
    """Ranks in Spark's task slots (horovod.spark.run). Raises MissingError where Horovod or the slots are missing."""
    timeout, nics = _timeout_error("horovod"), _interfaces(spark)

    def launch(output: LastOutput) -> Sequence[bytes | None]:
        import horovod.spark

        with _start_in_time(timeout, num_ranks, start_timeout_seconds):
            return horovod.spark.run(
                shipped(run_launched_rank, job, HorovodRanks), num_proc=num_ranks, start_timeout=start_timeout_seconds,
                use_gloo=True, env=_environment(job), stdout=output, stderr=output, verbose=0, nics=nics,
                executable=spark.sparkContext.pythonExec,
            )  # fmt: skip

    return outcome(job, num_ranks, launch)


def run_elastic(
    job: RankJob, spark: "SparkSession", num_ranks: int, min_ranks: int, start_timeout_seconds: int
) -> list[RankResult]:
    """As ``run_on_spark``, but where a rank dies the others go on (horovod.spark.run_elastic), ``min_ranks`` at least.

    A new one takes its place when Spark has started its task again. Of the results there are as many as ranks at the end.
    """
    timeout, nics = _timeout_error("horovod"), _interfaces(spark)

    def launch(output: LastOutput) -> Sequence[bytes | None]:
        import horovod.spark

        with _start_in_time(timeout, num_ranks, start_timeout_seconds), _python_of_workers(spark):
            return horovod.spark.run_elastic(
                shipped(run_elastic_rank, job), num_proc=num_ranks, min_num_proc=min_ranks, max_num_proc=num_ranks,
                start_timeout=start_timeout_seconds, elastic_timeout=start_timeout_seconds, env=_environment(job),
                stdout=output, stderr=output, verbose=0, nics=nics,
            )  # fmt: skip

    return outcome(job, num_ranks, launch, may_shrink=True)


def run_on_hosts(job: RankJob, num_ranks: int, hosts: str | None, start_timeout_seconds: int) -> list[RankResult]:
    """Ranks on this machine, or on hosts (``HOST:RANKS,...``) that ssh reaches without a password (horovod.run).

    Raises SettingsError where the hosts take fewer ranks, MissingError where Horovod is missing or a host does not answer.
    """
    timeout = _timeout_error("horovodrun")
    _check_hosts(hosts, num_ranks)
    call = shipped_in_file(Path(job.output).parent / "call.pkl", run_launched_rank, job, HorovodRanks)

    def launch(output: LastOutput) -> Sequence[bytes | None]:
        import horovod

        try:
            with captured(output), environment(_environment(job)):
                return horovod.run(
                    call, num_proc=num_ranks, hosts=hosts, use_gloo=True, start_timeout=start_timeout_seconds,
                    network_interfaces=None if hosts else ["lo"], disable_cache=True,
                )  # fmt: skip
        except (timeout, TimeoutError) as error:
            raise MissingError(
                f"the {num_ranks} ranks did not start within {start_timeout_seconds} s: see whether {hosts} answer, "
                "or raise train.start_timeout_seconds"
            ) from error
        except RuntimeError as error:
            if "via ssh" not in str(error):
                raise
            raise MissingError(
                f"train.hosts is {hosts}, but ssh does not reach all of them ({error}): let this user log in there "
                f"without a password\n{output}"
            ) from error

    return outcome(job, num_ranks, launch)


def _interfaces(spark: "SparkSession") -> set[str] | None:
    """On a local master the loopback may be the only interface there is; on a cluster Horovod finds one in common."""
    return {"lo"} if str(spark.sparkContext.master).startswith("local[") else None


@contextmanager
def _python_of_workers(spark: "SparkSession") -> Iterator[None]:
    """Elastic ranks are started with sys.executable, the driver's Python, which a cluster's nodes need not have."""
    own, sys.executable = sys.executable, spark.sparkContext.pythonExec
    try:
        yield
    finally:
        sys.executable = own


@contextmanager
def _start_in_time(timeout: type[Exception], num_ranks: int, seconds: int) -> Iterator[None]:
    try:
        yield
    except (timeout, TimeoutError) as error:
        raise MissingError(
            f"the {num_ranks} ranks did not start within {seconds} s: "
            "free as many Spark task slots, or raise train.start_timeout_seconds"
        ) from error


def _environment(job: RankJob) -> dict[str, str]:
    """What the ranks get on top of their own. Without the stall limits a rank whose partner hangs would wait for ever."""
    return {
        "HOROVOD_STALL_CHECK_TIME_SECONDS": "60",
        "HOROVOD_STALL_SHUTDOWN_TIME_SECONDS": str(STALL_SHUTDOWN_SECONDS),
        "HOROVOD_GLOO_TIMEOUT_SECONDS": str(STALL_SHUTDOWN_SECONDS),
        "HOROVOD_FUSION_THRESHOLD": str(job.fusion_mb << 20),
        "TOKENIZERS_PARALLELISM": "false",
    }


def _check_hosts(hosts: str | None, num_ranks: int) -> None:
    if hosts is None:
        return
    try:
        slots = sum(int(host.rsplit(":", 1)[1]) for host in hosts.split(","))
    except (IndexError, ValueError) as error:
        raise SettingsError(f"train.hosts is {hosts!r}: write HOST:RANKS, with commas between hosts") from error
    if slots < num_ranks:
        raise SettingsError(
            f"train.num_ranks is {num_ranks}, but train.hosts {hosts} takes {slots}: set train.num_ranks={slots} "
            "or give the hosts more"
        )


def _timeout_error(launcher: str) -> type[Exception]:
    """Horovod's own error of a start that takes too long. Raises MissingError where Horovod is not installed."""
    try:
        import horovod.spark  # noqa: F401
        from horovod.runner.common.util.timeout import TimeoutException
    except ImportError as error:
        raise MissingError(
            f"train.launcher={launcher} needs Horovod ({error}): install it (`attune doctor` tells how), "
            "or set train.launcher=torch or train.launcher=single"
        ) from error
    logging.getLogger("horovod").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="horovod.*")
    return TimeoutException
