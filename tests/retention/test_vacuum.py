"""What is told beforehand is what goes; nothing that is in use does."""

import datetime as dt
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from attune import config
from attune.jobs.vacuum import vacuum
from attune.models.store import ModelStore
from attune.retention.vacuum import find_removals
from attune.tables import Tables
from retention.test_versions import age, ids, publish

NOW = time.time()


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Two versions of a table of three days, runs, models and left-overs of many ages."""
    workspace = tmp_path / "ws"
    tables = Tables(str(workspace))
    publish(tables, "sessions", {"2020-01-01": ["a"], "2020-01-02": ["b"], "2020-01-03": ["c"]})
    publish(tables, "sessions", {"2020-01-03": ["d"]}, origin="{}")
    store = ModelStore(str(workspace))
    for number in range(5):
        store.save("ranker", f"2020010{number}T000000-train-a", lambda folder: None, {"data_versions": {}})
        curves = workspace / "tensorboard" / "ranker" / f"2020010{number}T000000-train-a"
        curves.mkdir(parents=True)
        (curves / "events").write_text("x" * 10)
    store.promote("ranker", "20200101T000000-train-a")
    for days in (1, 100):
        stamp = dt.datetime.fromtimestamp(NOW - days * 86400, dt.UTC).strftime("%Y%m%dT%H%M%S")
        for folder in (
            f"runs/{stamp}-clean-abc",
            f"checkpoints/m{days}/step-1",
            f"scratch/s{days}",
            f"tables/_staging-{days}",
        ):
            (workspace / folder).mkdir(parents=True)
            (workspace / folder / "file").write_text("x" * 100)
            for path in ((workspace / folder / "file"), workspace / folder, (workspace / folder).parent):
                age(path, days)
    return workspace


def settings(workspace: Path, **retention: Any) -> list[str]:
    (workspace.parent / "shop.yaml").write_text(
        json.dumps({"workspace": str(workspace), "as_of": "2020-01-04", "retention": retention})
    )
    return ["--config", str(workspace.parent / "shop.yaml")]


def removals(workspace: Path, **retention: Any) -> set[tuple[str, str]]:
    found = find_removals(config.load([settings(workspace, **retention)[1]]), time.time() + 1)
    return {(removal.what, removal.name.split("T")[0]) for removal in found}


def test_by_default_only_what_is_old_goes(workspace: Path) -> None:
    stamp = dt.datetime.fromtimestamp(NOW - 100 * 86400, dt.UTC).strftime("%Y%m%d")
    assert removals(workspace) == {
        ("run", f"runs/{stamp}"),
        ("model", "models/ranker/20200100"),
        ("model", "tensorboard/ranker/20200100"),
        ("training", "checkpoints/m100"),
        ("left-over", "scratch/s100"),
        ("left-over", "tables/_staging-100"),
    }


def test_each_setting_keeps_what_it_says(workspace: Path) -> None:
    assert ("versions", "sessions before version 1") in removals(workspace, versions_days=0)
    assert ("rows", "sessions before 2020-01-02") in removals(workspace, rows_days={"sessions": 2})
    kinds = {what for what, _ in removals(workspace, runs_days=None)}
    assert not kinds & {"run", "training"}
    kept = {name for what, name in removals(workspace, models=0) if what == "model" and name.startswith("models")}
    assert kept == {f"models/ranker/2020010{number}" for number in (0, 2, 3, 4)}  # 1 is in use


def size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def test_a_dry_run_tells_what_a_run_then_removes(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = settings(workspace, versions_days=0, rows_days={"sessions": 2}, models=1)
    before = size(workspace)
    assert vacuum.main([*arguments, "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "Nothing was removed now." in told
    assert size(workspace) == before
    assert vacuum.main(arguments) == 0
    (file,) = workspace.glob("runs/*-vacuum-*/summary.json")
    summary = json.loads(file.read_text())
    for removed in summary["metrics"]["removed"]:
        assert f"{removed['name']}" in told
        assert f"{removed['bytes']:,} bytes" in told
    written = (file.parent, workspace / "tables" / "sessions" / "_delta_log", workspace / "tables" / "run_metrics")
    after = size(workspace) - sum(map(size, written))
    assert before - after >= summary["metrics"]["bytes_removed"] > 0
    tables = Tables(str(workspace))
    assert ids(tables, "sessions") == ["b", "d"]
    assert tables.origin_of("sessions") == {"origin": "{}"}
    assert ModelStore(str(workspace)).versions("ranker") == ["20200101T000000-train-a", "20200104T000000-train-a"]
    assert not list(workspace.glob("tables/_staging-100"))
    assert list(workspace.glob("tables/_staging-1"))
    assert vacuum.main(arguments) == 0  # now the files of the rows
    assert len(list((workspace / "tables" / "sessions").glob("ds=*/*.parquet"))) == 2
    capsys.readouterr()
    assert vacuum.main([*arguments, "--dry-run"]) == 0
    assert "sessions" not in capsys.readouterr().out


def test_nothing_is_removed_from_a_workspace_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert vacuum.main([*settings(tmp_path / "ws"), "--dry-run"]) == 0
    assert "vacuum would remove nothing" in capsys.readouterr().out
    assert os.listdir(tmp_path) == ["shop.yaml"]


def test_tables_of_a_catalog_are_refused_and_nothing_is_removed(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = {file for file in workspace.rglob("*") if file.is_file()}
    for words in (["--dry-run"], []):
        assert vacuum.main([*settings(workspace, runs_days=1), "--set", "catalog=main.shop", *words]) == 2
        assert "setting catalog: vacuum works on tables in the workspace's folders alone" in capsys.readouterr().err
    assert all(file.exists() for file in kept)
