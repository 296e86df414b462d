"""A node that is lost while a job works costs time and no row: SIGKILL to a worker with all its processes."""

import json
import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import pytest

from attune.jobs.clean import clean
from attune.jobs.score import score
from cluster.shop import Shop, arguments
from cluster.standalone import Cluster, Submitted, Worker, wait_until
from faults.contents import contents


@pytest.fixture(autouse=True)
def two_workers(cluster: Cluster) -> None:
    """Each test begins with two."""
    while len(cluster.workers) < 2:
        cluster.start_worker()


def copy_of(shop: Shop, folder: Path, without: Collection[str] = ()) -> Path:
    """Another workspace with the same tables, but for some, and the same models."""
    for part in ("tables", "models"):
        shutil.copytree(
            shop.workspace / part, folder / part, symlinks=True, ignore=lambda _, names: set(names) & set(without)
        )
    return folder


@dataclass(frozen=True)
class Loss:
    """An executor that was lost, and the application that lost it."""

    application: str
    executor: str

    def num_tasks(self, cluster: Cluster) -> int:
        """Tasks that went with it, as the event log tells."""
        (log,) = cluster.events.glob(f"*{self.application}*/events_*")
        events = [json.loads(line) for line in log.read_text().splitlines()]
        ended = [event for event in events if event["Event"] == "SparkListenerTaskEnd"]
        reasons = [event["Task End Reason"] for event in ended if event["Task Info"]["Executor ID"] == self.executor]
        return sum(reason["Reason"] == "ExecutorLostFailure" for reason in reasons)


def kill_at_work(cluster: Cluster, job: Submitted, begun: Callable[[], bool]) -> Loss:
    """Kill a worker whose executor computes a task, once the work has begun."""
    found: list[tuple[str, Worker]] = []

    def caught() -> bool:
        assert job.running(), job.told()
        if begun():
            busy = job.busy_executors()
            found.extend((number, w) for w in cluster.workers for number in w.executors() if number in busy)
        return bool(found)

    wait_until(caught, 300, "no executor is at work")
    executor, worker = found[0]
    application = job.application()
    assert application is not None, job.told()
    cluster.kill(worker)
    return Loss(application, executor)


def test_a_worker_killed_while_cleaning_costs_no_row(
    cluster: Cluster, shop: Shop, settings: dict[str, object], node_python: str, record_property: Callable[..., None]
) -> None:
    workspace = cluster.folder / "cleaned"
    own = {"workspace": workspace, "inputs.root": shop.workspace / "raw"}
    job = cluster.submit("clean", *arguments(settings | own), python=node_python)
    staged = (workspace / "tables").glob
    loss = kill_at_work(cluster, job, lambda: any(staged("_staging-*")))
    cluster.start_worker()
    assert job.wait() == 0, job.told()
    undisturbed, left = contents(shop.workspace), contents(workspace)
    differ = [name for name in left if left[name].digest != undisturbed[name].digest]
    assert differ == []
    assert set(left) == {name for name in clean.writes if name in undisturbed}
    assert loss.num_tasks(cluster) > 0
    record_property("lost_tasks", loss.num_tasks(cluster))


def test_a_worker_killed_while_scoring_leaves_the_work_to_the_other(
    cluster: Cluster, shop: Shop, settings: dict[str, object], node_python: str, record_property: Callable[..., None]
) -> None:
    undisturbed = contents(shop.workspace)
    made = {name for name in score.writes if name in undisturbed}
    workspace = copy_of(shop, cluster.folder / "scored", made)
    job = cluster.submit("score", *arguments(settings | {"workspace": workspace}), python=node_python)
    staged = (workspace / "tables").glob
    loss = kill_at_work(cluster, job, lambda: any(staged("_staging-*")) and not any(staged("review_sentiment")))
    assert job.wait() == 0, job.told()
    left = {name: content for name, content in contents(workspace).items() if name in score.writes}
    assert set(left) == made
    assert [name for name in left if left[name].digest != undisturbed[name].digest] == []
    assert loss.num_tasks(cluster) > 0
    record_property("lost_tasks", loss.num_tasks(cluster))
