"""Every run leaves its figures in one table, failed ones too, whatever else runs at the same moment."""

import json
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from attune import __version__, cli, run_metrics
from attune.errors import InputError
from attune.run import Run, job
from attune.run_metrics import TABLE, rows_of
from attune.schemas import TABLES
from attune.secrets import register
from attune.steps import run_steps

SUMMARY: dict[str, Any] = {
    "run_id": "r1", "job": "train", "pipeline_run_id": None, "started": "2026-03-01T04:05:06+00:00", "status": "failed",
    "as_of": "2026-03-01", "settings": "abc", "seconds": 2.5, "exit_status": 3, "error": "no rows", "error_type": "InputError",
    "inputs": {"events": {"version": 4, "rows": 10}}, "outputs": {"items": {"version": 0, "rows": 7}},
    "artefacts": {"models/ranker": "w/models/ranker/v1"}, "skipped": {"rest": "no need"},
    "metrics": {"sentiment": {"accuracy": 0.5, "undefined": float("nan"), "kept": True, "why": None}, "k": [5, 10]},
}  # fmt: skip


def table(workspace: Path) -> list[dict[str, Any]]:
    files = DeltaTable(str(workspace / "tables" / TABLE)).file_uris()
    return [row for file in sorted(files) for row in pq.read_table(file).to_pylist()]


def figures(rows: list[dict[str, Any]]) -> dict[tuple[str, str], tuple[Any, ...]]:
    return {(row["kind"], row["name"]): (row["value"], row["text"], row["version"]) for row in rows}


def test_a_summary_becomes_a_row_a_figure() -> None:
    rows = rows_of(SUMMARY)
    assert all(list(row) and set(row) == set(TABLES[TABLE].names) for row in rows)
    assert {(row["run_id"], row["status"], row["exit_status"], row["seconds"]) for row in rows} == {
        ("r1", "failed", 3, 2.5)
    }
    assert figures(rows) == {
        ("run", "seconds"): (2.5, None, None),
        ("run", "settings"): (None, "abc", None),
        ("run", "attune"): (None, __version__, None),
        ("run", "error"): (None, "no rows", None),
        ("run", "error_type"): (None, "InputError", None),
        ("metric", "sentiment.accuracy"): (0.5, None, None),
        ("metric", "sentiment.undefined"): (None, "nan", None),
        ("metric", "sentiment.kept"): (None, "true", None),
        ("metric", "sentiment.why"): (None, None, None),
        ("metric", "k.0"): (5.0, None, None),
        ("metric", "k.1"): (10.0, None, None),
        ("skipped", "rest"): (None, "no need", None),
        ("input", "events"): (10.0, None, 4),
        ("output", "items"): (7.0, None, 0),
        ("artefact", "models/ranker"): (None, "w/models/ranker/v1", None),
    }


def test_steps_and_failures_of_a_pipeline_are_in_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    register("hunter2-in-the-dark")

    @job()
    def good(run: Run) -> None:
        """Measure."""
        run.metric("answer", 42)
        run.summary["outputs"]["items"] = {"version": 1, "rows": 5}

    @job()
    def bad(run: Run) -> None:
        """Fail."""
        raise InputError("column price is gone from hunter2-in-the-dark")

    @job()
    def line(run: Run) -> None:
        """Both."""
        run_steps(run, (good, bad))

    assert line.main(["--set", f"workspace={tmp_path}", "--as-of", "2020-01-01"]) == 3
    rows = table(tmp_path)
    runs = {row["job"]: row for row in rows}
    assert {name: (row["status"], row["exit_status"]) for name, row in runs.items()} == {
        "good": ("done", 0), "bad": ("failed", 3), "line": ("failed", 3)
    }  # fmt: skip
    assert runs["line"]["pipeline_run_id"] is None
    assert {runs[name]["pipeline_run_id"] for name in ("good", "bad")} == {runs["line"]["run_id"]}
    of = {name: figures([row for row in rows if row["job"] == name]) for name in runs}
    assert of["good"]["metric", "answer"] == (42.0, None, None)
    assert of["good"]["output", "items"] == (5.0, None, 1)
    assert of["bad"]["run", "error"] == (None, "column price is gone from <secret>", None)
    assert of["line"]["step", "bad"][1] == "failed"
    assert ("output", "items") not in of["line"], "rows of a table would be counted twice"
    assert str(runs["good"]["as_of"]) == "2020-01-01"
    capsys.readouterr()
    assert cli.main(["tables", TABLE, "--set", f"workspace={tmp_path}"]) == 0
    assert f"run_metrics in {tmp_path}" in (told := capsys.readouterr().out)
    assert f"{len(rows)} " in told


def test_what_cannot_be_written_changes_no_outcome(tmp_path: Path) -> None:
    @job()
    def idle(run: Run) -> None:
        """Do nothing."""

    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / TABLE).write_text("not a folder")
    assert idle.main(["--set", f"workspace={tmp_path}", "--as-of", "2020-01-01"]) == 0
    (log,) = tmp_path.glob("runs/*/log.jsonl")
    warnings = [line for line in map(json.loads, log.read_text().splitlines()) if line["level"] == "warning"]
    assert len(warnings) == 1
    assert "table run_metrics lacks this run" in warnings[0]["message"]


def test_a_file_that_was_not_committed_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_metrics.append(str(tmp_path), rows_of(SUMMARY))
    kept = set((tmp_path / "tables" / TABLE).glob("*.parquet"))

    def fail(*_: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr(run_metrics, "_commit", fail)
    with pytest.raises(OSError, match="no space"):
        run_metrics.append(str(tmp_path), rows_of(SUMMARY))
    assert set((tmp_path / "tables" / TABLE).glob("*.parquet")) == kept


def test_runs_that_end_at_the_same_moment_are_all_there(tmp_path: Path) -> None:
    """The table does not exist yet: making it is raced for, too. Delta's writer lets other threads go on meanwhile."""
    summary, together = SUMMARY | {"metrics": {}}, threading.Barrier(6)

    def write(number: int) -> None:
        together.wait()
        for _ in range(3):
            run_metrics.append(str(tmp_path), rows_of(summary | {"run_id": f"r{number}"}))

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(write, range(6)))
    once = len(rows_of(summary))
    assert Counter(row["run_id"] for row in table(tmp_path)) == {f"r{number}": 3 * once for number in range(6)}


def test_writing_takes_less_than_a_second(tmp_path: Path) -> None:
    seconds = []
    for _ in range(3):
        began = time.monotonic()
        run_metrics.append(str(tmp_path), rows_of(SUMMARY))
        seconds.append(time.monotonic() - began)
    assert min(seconds) < 1
