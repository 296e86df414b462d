"""A node that is lost while a job works costs time and no row: SIGKILL to a worker with all its processes."""

import json
import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deltalake import DeltaTable

from attune.jobs.clean import clean
from attune.jobs.score import score
from cluster.shop import Shop, arguments
from cluster.standalone import Cluster, Submitted, Worker, wait_until
from faults.contents import contents, rows_of


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


def assert_close(expected: Path, found: Path) -> None:
    """Equal rows in any order; numbers may differ in the sixth digit, for a sum depends on what it is added up with."""
    rows = [sorted(map(_split, rows_of(path, DeltaTable(path))), key=repr) for path in (expected, found)]
    assert [exact for exact, _ in rows[0]] == [exact for exact, _ in rows[1]], found.name
    for (_, ours), (_, theirs) in zip(*rows, strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=1e-6, err_msg=found.name)


def _split(row: tuple[Any, ...]) -> tuple[list[Any], list[float]]:
    """What must be equal in a row, and its numbers with digits."""
    exact, close = list[Any](), list[float]()
    for value in row:
        if isinstance(value, float):
            close.append(value)
        elif isinstance(value, list) and value and isinstance(value[0], float):
            close += value
        else:
            exact.append(value)
    return exact, close


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
    assert made == {name for name in contents(workspace) if name in score.writes}
    for name in sorted(made):
        assert_close(shop.workspace / "tables" / name, workspace / "tables" / name)
    assert loss.num_tasks(cluster) > 0
    record_property("lost_tasks", loss.num_tasks(cluster))
