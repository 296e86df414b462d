"""Every run leaves a summary, whatever happens to it, and an exit status that a scheduler can act on."""

import json
from pathlib import Path
from typing import Any

import pytest

from attune.errors import InputError, MissingError
from attune.run import Job, Run, job
from attune.steps import run_steps


def run(work: Job, workspace: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    status = work.main(["--set", f"workspace={workspace}", "--as-of", "2020-01-01", *arguments])
    latest = max(workspace.glob(f"runs/*-{work.name}-*/summary.json"), key=lambda file: file.stat().st_mtime_ns)
    return status, json.loads(latest.read_text())


def test_a_run_leaves_a_summary_and_prints_its_path_last(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    @job()
    def count(run: Run) -> None:
        """Count."""
        run.metric("answer", 42)
        run.skip("rest", "no need")

    status, summary = run(count, tmp_path)
    assert (status, summary["status"], summary["exit_status"]) == (0, "done", 0)
    assert (summary["metrics"], summary["skipped"]) == ({"answer": 42}, {"rest": "no need"})
    printed = Path(capsys.readouterr().out.splitlines()[-1])
    assert json.loads(printed.read_text()) == summary
    lines = [json.loads(line) for line in (printed.parent / "log.jsonl").read_text().splitlines()]
    assert lines[1]["message"] == "skipped rest: no need"


@pytest.mark.parametrize(
    ("error", "status"), [(InputError("no such file"), 3), (MissingError("no Java"), 4), (RuntimeError("a bug"), 1)]
)
def test_a_failure_has_the_exit_status_of_its_kind(tmp_path: Path, error: Exception, status: int) -> None:
    @job()
    def fail(run: Run) -> None:
        """Fail."""
        raise error

    found, summary = run(fail, tmp_path)
    assert found == summary["exit_status"] == status
    assert str(error) in summary["error"]
    trace = tmp_path / "runs" / summary["run_id"] / "traceback.txt"
    assert trace.exists() == (status == 1)


def test_wrong_usage_starts_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    @job()
    def idle(run: Run) -> None:
        """Do nothing."""

    assert idle.main(["--set", f"workspace={tmp_path}", "--set", "sede=3"]) == 2
    assert capsys.readouterr().err == "attune idle: error: unknown setting sede; did you mean 'seed'?\n"
    assert list(tmp_path.iterdir()) == []


class Steps:
    """A pipeline of two steps, the second of which fails until it is mended."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.broken = True

        @job()
        def first(run: Run) -> None:
            """Succeed."""
            self.ran.append("first")

        @job()
        def second(run: Run) -> None:
            """Fail until mended."""
            self.ran.append("second")
            if self.broken:
                raise InputError("the input is not there yet")

        @job(options={"resume": "go on"})
        def line(run: Run) -> None:
            """Both."""
            run_steps(run, (first, second))

        self.pipeline = line


def test_a_pipeline_goes_on_from_the_step_that_failed(tmp_path: Path) -> None:
    steps = Steps()
    status, summary = run(steps.pipeline, tmp_path)
    assert status == 3
    assert summary["error"].startswith("step second failed: the input is not there yet")
    assert "--resume" in summary["error"]
    assert {name: step["status"] for name, step in summary["steps"].items()} == {"first": "done", "second": "failed"}

    steps.broken = False
    status, summary = run(steps.pipeline, tmp_path, "--resume")
    assert status == 0
    assert steps.ran == ["first", "second", "second"]
    assert {name: step["status"] for name, step in summary["steps"].items()} == {"first": "done", "second": "done"}


def test_there_must_be_something_to_resume(tmp_path: Path) -> None:
    steps = Steps()
    steps.broken = False
    assert run(steps.pipeline, tmp_path)[0] == 0
    status, summary = run(steps.pipeline, tmp_path, "--resume")
    assert status == 2
    assert "no unfinished run" in summary["error"]
