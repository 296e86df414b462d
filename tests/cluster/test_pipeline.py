"""The whole pipeline on a standalone cluster whose nodes have a Python without any package."""

import subprocess

import pytest

from attune.jobs.clean import clean
from attune.jobs.featurize import featurize
from cluster.shop import Shop, arguments
from cluster.standalone import ROOT, VERSION, Cluster, get_json, node_environment, wait_until
from faults.contents import contents


def test_nodes_have_none_of_the_packages(cluster: Cluster) -> None:
    """Else the other tests would prove nothing."""
    for package in ("torch", "pyspark", "numpy", "attune"):
        tried = subprocess.run(
            [f"python{VERSION}", "-c", f"import {package}"], env=node_environment(), cwd=cluster.folder,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert f"No module named '{package}'" in tried.stderr


def test_every_step_is_done_on_the_executors(shop: Shop) -> None:
    steps = shop.job.summary["steps"]
    assert {step["status"] for step in steps.values()} == {"done"}
    assert next(iter(steps)) == "generate"
    assert (shop.workspace / "report.html").is_file()


def test_cleaned_rows_and_features_are_those_of_one_machine(
    shop: Shop, cluster: Cluster, settings: dict[str, object]
) -> None:
    """Where a row was computed must not be seen in it."""
    workspace = cluster.folder / "one_machine"
    own = {"workspace": workspace, "inputs.root": shop.workspace / "raw"}
    for step in ("clean", "featurize"):
        command = [str(ROOT / "spark-submit.sh"), "--master", "local[2,4]", step]
        done = subprocess.run(
            [*command, *arguments(settings | own)], cwd=cluster.folder, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    on_cluster, alone = contents(shop.workspace), contents(workspace)
    compared = {name for name in (*clean.writes, *featurize.writes) if name in alone}
    assert {"events", "reviews", "sessions", "quarantine", "user_features", "examples"} <= compared
    assert all(alone[name].rows > 0 for name in ("events", "reviews", "quarantine", "user_features", "examples"))
    differ = [name for name in sorted(compared) if on_cluster[name].digest != alone[name].digest]
    assert differ == []


@pytest.mark.parametrize("model", ["sentiment", "text_match"])
def test_horovod_ranks_ran_on_both_workers(shop: Shop, model: str) -> None:
    metrics = shop.summary("train")["metrics"][model]
    assert sorted(place["executor"] for place in metrics["places"]) == ["0", "1"]
    assert all(rows["train"] > 0 for rows in metrics["rows_per_rank"])


def test_a_history_server_shows_the_whole_application(shop: Shop, cluster: Cluster) -> None:
    """Settings of the event log are the user's own, passed on by spark-submit.sh."""
    with cluster.history_server() as url:
        wait_until(lambda: bool(get_json(f"{url}/applications")), 120, "the history server shows nothing")
        (application,) = [told for told in get_json(f"{url}/applications") if told["name"] == "attune pipeline"]
        assert application["attempts"][-1]["completed"]
        stages = get_json(f"{url}/applications/{application['id']}/stages")
        assert {stage["status"] for stage in stages} <= {"COMPLETE", "SKIPPED"}
        executors = get_json(f"{url}/applications/{application['id']}/allexecutors")
        assert {executor["id"] for executor in executors if executor["completedTasks"]} == {"0", "1"}
