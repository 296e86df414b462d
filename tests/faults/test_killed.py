"""Jobs and executors killed with SIGKILL at random moments: readers see old or new tables, and the next run mends all.

``ATTUNE_KILLS=3 make faults`` kills fewer; results are kept of the full number only.
"""

import os
import random
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import measured
import pyspark
import pytest

from attune.jobs.clean import clean
from faults.clean_process import CleanProcess, Shop, kill_tree, summary
from faults.contents import Content, contents, digests, files_of, unlisted, watched

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SEED = 20
NUM_KILLS = int(os.environ.get("ATTUNE_KILLS", "20"))
FIRST = "quality_results"
"""The table that is published first."""
EXECUTORS = "local-cluster[2,1,1024]"
APPLICATIONS = Path(pyspark.__file__).parent / "work"
OLD_SECONDS = 3 * 86400


@dataclass(frozen=True)
class Whole:
    """What undisturbed runs leave: before, with the old log; and after, with the new one over it."""

    shop: Shop
    old: dict[str, Content]
    new: dict[str, str]
    accounting: dict[str, Any]
    staging_seconds: float
    """From the first staged row to the first commit."""

    def results_of_runs(self, num_runs: int) -> str:
        """Digest of quality_results with the checks of so many runs; the old tables have those of one."""
        return f"rows of each run: {[self.old['quality_results'].rows] * num_runs}"


@dataclass(frozen=True)
class Moment:
    """When to kill: so long after the first staged row, or after the first file or the commit of a table is there."""

    after: str
    table: str
    milliseconds: float


class Watch:
    """Looks at a workspace as often as it can, for a run publishes a table in some milliseconds."""

    def __init__(self, workspace: Path, old: dict[str, Content]) -> None:
        self.tables = workspace / "tables"
        self.folders = {name: [self.tables / name, *(self.tables / name).glob("ds=*")] for name in old}
        self.times = {name: self._times(name) for name in old}
        self.commits = {
            name: self.tables / name / "_delta_log" / f"{table.version + 1:020}.json" for name, table in old.items()
        }

    def staged(self) -> bool:
        """Whether a run has begun to stage rows."""
        return any(self.tables.glob("_staging-*"))

    def committed(self, table: str) -> bool:
        """Whether a table has its next version."""
        return self.commits[table].exists()

    def moved(self, table: str) -> bool:
        """Whether a file has come into a table."""
        return self._times(table) != self.times[table]

    def wait(self, job: CleanProcess, moment: Moment) -> None:
        """Until a moment of a run, or its end."""
        reached = {"staging": self.staged, "move": lambda: self.moved(moment.table),
                   "commit": lambda: self.committed(moment.table)}[moment.after]  # fmt: skip
        while job.running() and not self.staged():
            time.sleep(0.005)
        while job.running() and not reached():
            time.sleep(0.0003)
        until = time.monotonic() + moment.milliseconds / 1000
        # A run that stages faster than the one that was measured is killed at its first commit.
        while job.running() and time.monotonic() < until and not (moment.after == "staging" and self.committed(FIRST)):
            time.sleep(0.0003)

    def _times(self, table: str) -> list[int]:
        return [folder.stat().st_mtime_ns for folder in self.folders[table]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    """Undisturbed runs, and the time that one of them takes to stage."""
    applications = set(APPLICATIONS.glob("app-*"))
    shop = Shop.make(tmp_path_factory.mktemp("killed"))
    old = shop.start("old", shop.folder / "old_tables")
    assert old.wait() == 0, old.told()
    workspace = shop.copy("old_tables", "new_tables")
    before = contents(workspace)
    watch = Watch(workspace, before)
    job = shop.start("new", workspace)
    watch.wait(job, Moment("staging", "", 0))
    began = time.monotonic()
    watch.wait(job, Moment("commit", FIRST, 0))
    staging_seconds = time.monotonic() - began
    assert job.wait() == 0, job.told()
    after = digests(workspace)
    assert {name for name in before if before[name].digest == after[name]} <= {"bot_events"}
    yield Whole(shop, before, after, summary(workspace)["metrics"]["accounting"], staging_seconds)
    shop.settle()
    shutil.rmtree(shop.scratch)
    # A cluster of one machine keeps what its executors wrote in the folder of Spark.
    for logs in set(APPLICATIONS.glob("app-*")) - applications:
        shutil.rmtree(logs)


def draw_moments(draw: random.Random, whole: Whole) -> list[Moment]:
    """A third while rows are staged and checked, the others while tables are published."""
    moments = []
    for number in range(NUM_KILLS):
        table = draw.choice(sorted(whole.old))
        after = ("move", "commit", "staging")[number % 3]
        longest = {"move": 4.0, "commit": 15.0, "staging": 1000 * whole.staging_seconds}[after]
        moments.append(Moment(after, "" if after == "staging" else table, round(draw.uniform(0, longest), 2)))
    return moments


def keep(name: str, figures: dict[str, Any]) -> None:
    """Write a result of the full number of kills."""
    if NUM_KILLS >= 20:
        measured.save(name, SEED, figures, ("pyspark", "pyarrow", "deltalake"))


def test_a_killed_job_leaves_old_or_new_tables_and_the_next_run_mends_all(spark: "SparkSession", whole: Whole) -> None:
    print(f"seed {SEED}")
    outcomes = []
    for number, moment in enumerate(draw_moments(random.Random(SEED), whole)):
        workspace = whole.shop.copy("old_tables", f"killed{number}")
        killed, problems = kill_once(whole, workspace, moment)
        recovered, more = recover(whole, workspace, number)
        outcomes.append({"moment": asdict(moment), **killed, **recovered, "problems": problems + more})
        print(outcomes[-1])
    assert [outcome for outcome in outcomes if outcome["problems"]] == []
    killed_runs = [outcome for outcome in outcomes if outcome["killed"]]
    assert len(killed_runs) >= 0.9 * NUM_KILLS, "the moments come too late"
    partly = [outcome for outcome in killed_runs if 0 < outcome["new_tables"] < len(whole.old)]
    assert len(partly) >= NUM_KILLS // 4, "the moments miss the publish"
    keep("faults_killed", {"master": "local[2,4]", "kills": outcomes})


def kill_once(whole: Whole, workspace: Path, moment: Moment) -> tuple[dict[str, Any], list[str]]:
    """Clean the new log, kill the job with all its processes at a moment, and judge what readers saw and what is left."""
    watch = Watch(workspace, whole.old)
    with watched(workspace) as seen:
        job = whole.shop.start("new", workspace)
        watch.wait(job, moment)
        killed = job.running()
        processes = kill_tree(job.process) if killed else 0
        left = contents(workspace)
    problems = list(seen.problems)
    for name, digests_seen in seen.digests.items():
        if not set(digests_seen) <= {whole.old[name].digest, whole.new[name]}:
            problems.append(f"{name}: a reader saw neither the old nor the new content")
    if any("_staging" in file for name in whole.old for file in files_of(workspace / "tables" / name)):
        problems.append("a staged file is visible")
    found = {
        "killed": killed,
        "processes": processes,
        "looks": seen.looks,
        "new_tables": sum(found.version > whole.old[name].version for name, found in left.items()),
        "staging_left": len(list((workspace / "tables").glob("_staging-*"))),
        "moved_uncommitted": sum(len(unlisted(workspace / "tables" / name)) for name in whole.old),
    }
    return found, problems


def recover(whole: Whole, workspace: Path, number: int) -> tuple[dict[str, Any], list[str]]:
    """Clean the new log once more: most times in this process, whose Spark is warm, and every fifth as one of its own.

    What the killed run has staged is left alone, for it may belong to a run that goes on; once it is old, it is removed.
    """
    left = list((workspace / "tables").glob("_staging-*"))
    aged = number % 2 == 0
    if aged:
        for folder in left:
            os.utime(folder, (time.time() - OLD_SECONDS,) * 2)
    began = time.monotonic()
    if number % 5 == 0:
        status = whole.shop.start("new", workspace).wait()
    else:
        status = clean.main(whole.shop.arguments("new", workspace))
    problems = [] if status == 0 else [f"the next run ends with status {status}"]
    expected = whole.new
    if (own := digests(workspace)) != expected:
        # Checks of a killed run that came to be published stand there besides those of the next run.
        once_more = expected | {"quality_results": whole.results_of_runs(3)}
        problems += [f"{name}: not the content of an undisturbed run" for name in own if own[name] != once_more[name]]
    if summary(workspace)["metrics"]["accounting"] != whole.accounting:
        problems.append("rows are accounted for otherwise")
    still = [folder for folder in left if folder.exists()]
    if still != ([] if aged else left):
        problems.append(f"staging folders {'kept' if aged else 'removed'} although {'old' if aged else 'new'}")
    return {"recovery_status": status, "recovery_seconds": round(time.monotonic() - began, 1)}, problems


def test_a_killed_executor_costs_time_and_no_row(whole: Whole) -> None:
    """A task that is run again must leave its rows once."""
    print(f"seed {SEED}")
    workspace = whole.shop.copy("old_tables", "executors")
    job = whole.shop.start("new", workspace, EXECUTORS)
    began = await_executors(job)
    num_staged = follow_staging(job, Watch(workspace, whole.old))
    seconds = time.monotonic() - began
    assert job.wait() == 0, job.told()
    assert digests(workspace) == whole.new
    draw, outcomes = random.Random(SEED), []
    for number in range(NUM_KILLS):
        workspace = whole.shop.copy("old_tables", f"executor{number}")
        # One kill in each part of the run, told by its progress: how long it takes depends on what else is running.
        after_staged = number * num_staged // NUM_KILLS
        delay = round(draw.uniform(0, seconds / num_staged), 2)
        outcomes.append(kill_executor(whole, workspace, after_staged, delay, draw))
        print(outcomes[-1])
    assert all(outcome["processes"] for outcome in outcomes)
    figures = {"master": EXECUTORS, "undisturbed_seconds": round(seconds, 1), "staged": num_staged, "kills": outcomes}
    keep("faults_killed_executors", figures)


def kill_executor(
    whole: Whole, workspace: Path, after_staged: int, delay_seconds: float, draw: random.Random
) -> dict[str, Any]:
    """Clean the new log, kill an executor so long after so many stagings have begun, and judge the end of the job."""
    watch = Watch(workspace, whole.old)
    job = whole.shop.start("new", workspace, EXECUTORS)
    began = await_executors(job)
    follow_staging(job, watch, after_staged)
    until = time.monotonic() + delay_seconds
    # Once tables are published, executors have nothing left to do.
    while job.running() and time.monotonic() < until and not watch.committed(FIRST):
        time.sleep(0.005)
    after_seconds = round(time.monotonic() - began, 1)
    running = job.executors()
    processes = kill_tree(draw.choice(running)) if running else 0
    status = job.wait()
    assert status == 0, job.told()
    assert digests(workspace) == whole.new
    assert summary(workspace)["metrics"]["accounting"] == whole.accounting
    return {
        "after_staged": after_staged,
        "delay_seconds": delay_seconds,
        "after_seconds": after_seconds,
        "processes": processes,
        "status": status,
        "seconds": round(time.monotonic() - began, 1),
    }


def follow_staging(job: CleanProcess, watch: Watch, enough: int | None = None) -> int:
    """Until a job has begun so many stagings, or to its first commit; returns how many it has begun."""
    begun: set[str] = set()
    while job.running() and not watch.committed(FIRST) and (enough is None or len(begun) < enough):
        begun |= {folder.name for folder in watch.tables.glob("_staging-*")}
        time.sleep(0.005)
    return len(begun)


def await_executors(job: CleanProcess) -> float:
    """Until an executor runs; returns when that was."""
    while job.running() and not job.executors():
        time.sleep(0.02)
    return time.monotonic()
