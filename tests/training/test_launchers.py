"""What each launcher says where it cannot start, and which of several errors is the cause."""

import logging
import os
import pickle
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from attune.errors import InputError, MissingError, SettingsError
from attune.training import launch
from attune.training.communicator import SingleProcess
from attune.training.launch import run_ranks
from attune.training.launchers.outcome import LastOutput, RankDiedError, environment, outcome
from attune.training.plan import LoopSettings, RankJob, RankResult
from attune.training.progress import Reporter
from attune.training.traces import leave_result, mark_started

SPARK: Any = SimpleNamespace(
    sparkContext=SimpleNamespace(master="local[2,4]", resources={}),
    conf=SimpleNamespace(get=lambda name, default: default),
)


@pytest.fixture
def job(tmp_path: Path) -> RankJob:
    loop = LoopSettings(2, 256, 0.001, 0.01, 0.1, 0.01, 1.0, 0)
    return RankJob(dict, {}, "minilm", 16, {}, {}, str(tmp_path / "output"), loop)  # type: ignore[arg-type]


class Kept(logging.Handler):
    """Keeps what is logged, whatever earlier runs of jobs have made of the logger."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def test_what_ranks_say_is_logged_under_their_number_and_time(job: RankJob, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also a line that is written while the last look at the files is awaited, and one that another rank said before."""

    def fake_rank(job: RankJob, comm: SingleProcess) -> RankResult:
        Reporter(Path(job.output), 1, clock=lambda: 20.0).error("lost")
        Reporter(Path(job.output), clock=lambda: 10.0)("step 1 of 2")
        return RankResult(0)

    monkeypatch.setattr(launch, "run_rank", fake_rank)
    kept, logger = Kept(), logging.getLogger("attune")
    monkeypatch.setattr(logger, "handlers", [kept])
    monkeypatch.setattr(logger, "level", logging.INFO)
    logger.manager._clear_cache()  # of which levels are enabled
    run_ranks(job, SPARK, "single", 1, 10)
    said = [(r.fields["rank"], r.levelname, r.created, r.getMessage()) for r in kept.records]
    assert said == [(0, "INFO", 10.0, "step 1 of 2"), (1, "ERROR", 20.0, "lost")]


@pytest.mark.parametrize("launcher", ["horovod", "horovodrun"])
def test_without_horovod_the_mend_is_named(job: RankJob, launcher: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "horovod.spark", None)
    with pytest.raises(MissingError, match=rf"train.launcher={launcher} needs Horovod .*train.launcher=torch"):
        run_ranks(job, SPARK, launcher, 2, 10)


def test_without_torch_distributor_the_mend_is_named(job: RankJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark.ml.torch.distributor", None)
    with pytest.raises(MissingError, match=r"needs Spark 3.4 or later"):
        run_ranks(job, SPARK, "torch", 2, 10)


def test_more_ranks_than_task_slots_are_refused(job: RankJob) -> None:
    with pytest.raises(SettingsError, match=r"train.num_ranks is 3, but Spark has 2 task slots"):
        run_ranks(job, SPARK, "horovod", 3, 10)


@pytest.mark.parametrize(("hosts", "said"), [("a:1,b:1", "takes 2: set train.num_ranks=2"), ("a", "write HOST:RANKS")])
def test_hosts_that_do_not_suffice_are_refused(job: RankJob, hosts: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        run_ranks(job, SPARK, "horovodrun", 3, 10, hosts=hosts)


def launched(job: RankJob, *results: RankResult, raises: Exception | None = None, said: str = "") -> list[RankResult]:
    """Outcome of two ranks that leave these results."""

    def launch(output: LastOutput) -> Sequence[bytes | None]:
        for rank in range(2):
            mark_started(job, rank)
        for result in results:
            leave_result(job, result)
        output.write(said)
        if raises:
            raise raises
        return [pickle.dumps(result) for result in results]

    return outcome(job, 2, launch)


def test_results_come_in_rank_order(job: RankJob) -> None:
    assert [r.rank for r in launched(job, RankResult(1), RankResult(0))] == [0, 1]


@pytest.mark.parametrize(
    "partner", ["HorovodInternalError: Allreduce failed", "RuntimeError: [gloo] Connection closed by peer [127.0.0.1]"]
)
def test_the_cause_is_not_the_rank_that_lost_its_partner(job: RankJob, partner: str) -> None:
    with pytest.raises(InputError, match="no rows") as caught:
        launched(
            job, RankResult(0, error=RuntimeError(partner), traceback="lost"),
            RankResult(1, error=InputError("no rows"), traceback="File rank.py"), raises=RuntimeError("exit code 1"),
        )  # fmt: skip
    assert caught.value.__notes__ == ["on rank 1 of 2:\nFile rank.py"]


HOROVOD = "The first process to do so was:\nProcess name: 1\nExit code: 137\n"
TORCH = "rank      : 0 (local_rank: 0)\n exitcode  : -15 (pid: 8)\nRoot Cause (first observed failure):\n[0]:\n  rank      : 1 (local_rank: 1)\n  exitcode  : -9 (pid: 7)"  # fmt: skip


@pytest.mark.parametrize(("raises", "said"), [(RuntimeError(HOROVOD), ""), (None, TORCH)], ids=["horovod", "torchrun"])
def test_the_rank_that_died_first_is_named(job: RankJob, raises: Exception | None, said: str) -> None:
    with pytest.raises(
        RankDiedError, match=r"^rank 1 of 2 died while training \(killed by signal 9, SIGKILL\)"
    ) as caught:
        launched(job, raises=raises, said=said)
    assert caught.value.__notes__[0].startswith("last output of the ranks:")


def test_a_rank_that_ended_without_a_word_is_named(job: RankJob) -> None:
    lost = RankResult(0, error=RuntimeError("HorovodInternalError: lost"), traceback="")
    with pytest.raises(RankDiedError, match="rank 1 of 2 died while training"):
        launched(job, lost)


def test_a_launcher_that_fails_for_itself_says_so(job: RankJob) -> None:
    with pytest.raises(OSError, match="no space") as caught:
        launched(job, RankResult(0), RankResult(1), raises=OSError("no space"), said="hello")
    assert "hello" in caught.value.__notes__[0]


def test_signal_handlers_and_environment_are_given_back(job: RankJob) -> None:
    """Horovod keeps them, so that a job could not be stopped once it had trained."""
    before = signal.getsignal(signal.SIGTERM)

    def launch(output: LastOutput) -> Sequence[bytes | None]:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        return [pickle.dumps(RankResult(rank)) for rank in range(2)]

    outcome(job, 2, launch)
    assert signal.getsignal(signal.SIGTERM) is before
    with environment({"ATTUNE_ONE": "1", "PATH": "x"}):
        assert os.environ["ATTUNE_ONE"] == "1"
    assert "ATTUNE_ONE" not in os.environ
    assert os.environ["PATH"] != "x"
