"""Each line of the log says whose it is, so that a search over many runs finds what belongs together."""

import io
import json
import logging
import sys
import threading
from pathlib import Path

import pytest

from attune.logs import Readable, log_fields, log_of_rank, log_to
from attune.run import Run, job
from attune.secrets import register
from attune.steps import run_steps


def lines_of(workspace: Path, name: str) -> list[dict[str, object]]:
    (file,) = workspace.glob(f"runs/*-{name}-*/log.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_lines_carry_run_job_step_and_rank(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    @job()
    def first(run: Run) -> None:
        """Say something, from another thread and from ranks, too."""
        run.log("reading", rows=3)
        thread = threading.Thread(target=lambda: logging.getLogger("attune").warning("slow disk"))
        thread.start()
        thread.join()
        log_of_rank(1, "error", "lost", 1_600_000_000.0)

    @job()
    def line(run: Run) -> None:
        """One step."""
        run_steps(run, (first,))

    assert line.main(["--set", f"workspace={tmp_path}", "--as-of", "2020-01-01"]) == 0
    lines = lines_of(tmp_path, "line")
    (whole,) = (file.parent.name for file in tmp_path.glob("runs/*-line-*/summary.json"))
    (step,) = (file.parent.name for file in tmp_path.glob("runs/*-first-*/summary.json"))
    assert {(told["run_id"], told["job"]) for told in lines} == {(whole, "line")}
    by_message = {str(told["message"]): told for told in lines}
    for message in ("first started", "reading", "slow disk", "lost"):
        assert (by_message[message]["step"], by_message[message]["step_run_id"]) == ("first", step)
    assert "step" not in by_message["line started"]
    assert "step" not in lines[-1], "the step is over"
    assert by_message["reading"]["rows"] == 3
    rank = by_message["lost"]
    assert (rank["rank"], rank["level"], rank["ts"]) == (1, "error", "2020-09-13T12:26:40.000+00:00")
    assert [json.loads(told) for told in capsys.readouterr().err.splitlines()] == lines


def test_a_terminal_gets_short_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", screen)
    log_to(tmp_path / "log.jsonl")
    with log_fields(run_id="20260101T000000-pipeline-abcdef", job="pipeline"), log_fields(step="train"):
        logging.getLogger("attune").info("published items")
        log_of_rank(0, "info", "step 1 of 2", 0.0)
        log_of_rank(3, "info", "ready", 0.0)
    said = [told.partition(" ")[2] for told in screen.getvalue().splitlines()]
    assert said == ["train      published items", "train      step 1 of 2", "train      rank 3: ready"]


def test_secrets_are_hidden_in_messages_fields_and_tracebacks(tmp_path: Path) -> None:
    register("hunter2-in-the-dark")
    log_to(tmp_path / "log.jsonl")
    log = logging.getLogger("attune")
    try:
        raise OSError("no route to hunter2-in-the-dark")
    except OSError:
        log.exception(
            "%s fails", "hunter2-in-the-dark", extra={"fields": {"url": "x?p=hunter2-in-the-dark", "rows": 2}}
        )
    (line,) = (tmp_path / "log.jsonl").read_text().splitlines()
    told = json.loads(line)
    assert (told["message"], told["url"], told["rows"]) == ("<secret> fails", "x?p=<secret>", 2)
    record = logging.LogRecord("attune", logging.ERROR, "", 0, "x", (), None)
    for log_filter in log.handlers[0].filters:
        record.exc_text = "OSError: hunter2-in-the-dark"
        log_filter.filter(record) if isinstance(log_filter, logging.Filter) else log_filter(record)
    assert "hunter2" not in Readable().format(record)
    assert record.exc_text == "OSError: <secret>"
