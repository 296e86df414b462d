"""Somebody is told of a run that failed, once, and an alert that fails changes nothing."""

import http.server
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from attune import alerts, config
from attune.alerts import Failure, tell
from attune.errors import InputError, SettingsError
from attune.run import Run, job
from attune.steps import run_steps

SECRET = "hunter2-in-the-dark"


class Receiver:
    """A web server of this machine that keeps what is posted to it."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.posts.append((self.path, dict(self.headers), json.loads(body)))
                status = {"/refuse": 500, "/moved": 302}.get(self.path, 200)
                if self.path == "/silent":
                    receiver.silence.wait(30)
                self.send_response(status)
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            def do_GET(self) -> None:
                receiver.posts.append((self.path, {}, {}))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing on the terminal."""

        self.silence = threading.Event()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    found = Receiver()
    monkeypatch.setenv("ALERT_URL", f"{found.url}/services/{SECRET}")
    yield found
    found.silence.set()
    found.server.shutdown()
    found.server.server_close()


@job()
def broken(run: Run) -> None:
    """Fail with a secret and an address in the message."""
    raise InputError(f"column price is gone, says jo@example.com with {SECRET}")


@job()
def fine(run: Run) -> None:
    """Succeed."""


@job()
def line(run: Run) -> None:
    """Fail in the second step."""
    run_steps(run, (fine, broken))


def arguments(workspace: Path, *settings: str) -> list[str]:
    given = (f"workspace={workspace}", *settings)
    return ["--as-of", "2020-01-01", *(word for setting in given for word in ("--set", setting))]


SAVE = "import json, os, sys; json.dump([json.load(sys.stdin), {k: v for k, v in os.environ.items() if k.startswith('ATTUNE_')}], open(sys.argv[1], 'a'))"  # fmt: skip


def test_a_failed_pipeline_is_told_once_to_command_and_webhook(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KEY", SECRET)
    monkeypatch.setattr(alerts, "_TIMEOUT_SECONDS", 60)  # a machine may be busy with other tests
    for name in [name for name in os.environ if name.startswith("ATTUNE_")]:
        monkeypatch.delenv(name)
    saved = tmp_path / "told.json"
    command = json.dumps([sys.executable, "-c", SAVE, str(saved)])
    settings = (f"on_failure.command={command}", "on_failure.webhook=env:ALERT_URL", "clean.pseudonym_key=env:KEY")
    assert line.main(arguments(tmp_path / "w", *settings)) == 3
    facts, variables = json.loads(saved.read_text())
    (summary,) = (tmp_path / "w").glob("runs/*-line-*/summary.json")
    assert variables == {
        "ATTUNE_RUN_ID": summary.parent.name,
        "ATTUNE_JOB": "line",
        "ATTUNE_STATUS": "failed",
        "ATTUNE_EXIT_STATUS": "3",
        "ATTUNE_ERROR": facts["error"],
        "ATTUNE_SUMMARY": str(summary),
    }
    assert facts["error"].startswith("step broken failed: column price is gone, says <email> with <secret>")
    assert facts["text"].startswith("attune line failed with exit status 3: step broken failed: column price is gone")
    assert str(summary) in facts["text"]
    assert facts["exit_status"] == 3
    ((path, headers, posted),) = receiver.posts
    assert (path, headers["Content-Type"], posted) == (f"/services/{SECRET}", "application/json", facts)
    printed = capsys.readouterr()
    assert printed.out == f"{summary}\n"
    assert SECRET not in printed.err + saved.read_text() + summary.read_text()
    assert printed.err.count("has been told of the failure") == 2


def test_nobody_is_told_of_what_went_well(tmp_path: Path, receiver: Receiver) -> None:
    assert fine.main(arguments(tmp_path / "w", "on_failure.webhook=env:ALERT_URL")) == 0
    assert receiver.posts == []


def hooks(webhook: str | None = None, command: str | list[str] | None = None) -> config.OnFailure:
    return config.OnFailure(command=command, webhook=webhook)


@pytest.mark.parametrize(
    ("path", "said"), [("/refuse", "HTTP Error 500"), ("/moved", "HTTP Error 302"), ("/silent", "timed out")]
)
def test_a_webhook_that_does_not_take_it_is_logged(
    receiver: Receiver, path: str, said: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("ALERT_URL", receiver.url + path)
    monkeypatch.setattr(alerts, "_TIMEOUT_SECONDS", 0.5 if path == "/silent" else 60)
    monkeypatch.setattr(logging.getLogger("attune"), "propagate", True)
    tell(hooks("env:ALERT_URL"), Failure("clean", 3, "no rows"))
    assert f"on_failure.webhook failed, so that nobody was told: {said}" in caplog.text
    assert [where for where, _, _ in receiver.posts] == [path], "a redirect would arrive without what was sent"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("echo >&2 no such pager; exit 7", "exit status 7: no such pager"),
        (["/nowhere/pager"], "No such file or directory: '/nowhere/pager'"),
        ("sleep 60 & sleep 60", "no end within 0.5 s"),
    ],
)
def test_a_command_that_fails_is_logged(
    command: str | list[str], said: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(alerts, "_TIMEOUT_SECONDS", 0.5 if command == "sleep 60 & sleep 60" else 60)
    monkeypatch.setattr(logging.getLogger("attune"), "propagate", True)
    began = time.monotonic()
    tell(hooks(command=command), Failure("clean", 3, "no rows"))
    assert time.monotonic() - began < 20, "what the shell has started must not hold the run up"
    assert "on_failure.command failed, so that nobody was told: " in caplog.text
    assert said in caplog.text


def test_a_failed_alert_changes_no_exit_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = ("on_failure.command=exit 9", "on_failure.webhook=env:NO_SUCH_VARIABLE")
    assert broken.main(arguments(tmp_path / "w", *settings)) == 3
    said = capsys.readouterr().err
    assert "on_failure.command failed" in said
    assert "setting on_failure.webhook: env:NO_SUCH_VARIABLE is not set" in said


def test_the_webhook_of_a_variable_must_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file or another scheme would be opened, too."""
    monkeypatch.setenv("ALERT_URL", f"file:///etc/{SECRET}")
    with pytest.raises(SettingsError, match="env:ALERT_URL holds no URL that starts with https") as error:
        alerts._address("env:ALERT_URL")
    assert SECRET not in str(error.value)


def test_long_errors_are_cut_in_the_text_alone() -> None:
    facts = Failure("clean", 1, "x" * 9000).facts()
    assert len(str(facts["text"])) < 2200
    assert facts["error"] == "x" * 9000
