"""Sessions of Spark Connect, as far as no Spark is needed: what cannot be is said before any work is done."""

import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from attune import config
from attune.errors import MissingError, SettingsError
from attune.run import start
from attune.session import check_ml, get_session, is_connect, is_elsewhere
from attune.training.launch import check_launcher


def connect_session(version: str = "4.0.5") -> Any:
    """What passes for a session, or a frame, of Spark Connect."""
    session = type("SparkSession", (SimpleNamespace,), {"__module__": "pyspark.sql.connect.session"})(
        version=version, conf={}
    )
    session.sparkSession = session
    return session


def test_a_server_that_is_not_there_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: it refuses whoever comes
        port = taken.getsockname()[1]
        monkeypatch.setenv("SPARK_REMOTE", f"sc://127.0.0.1:{port}/;token=secret")
        with pytest.raises(MissingError, match=f"SPARK_REMOTE is sc://127.0.0.1:{port}, but no server") as raised:
            get_session("test")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("launcher", ["horovod", "torch"])
def test_ranks_in_task_slots_need_a_classic_session(launcher: str) -> None:
    with pytest.raises(
        SettingsError, match=f"train.launcher is {launcher}.*set train.launcher to single or horovodrun"
    ):
        check_launcher(connect_session(), launcher)


def test_other_launchers_and_sessions_are_fine() -> None:
    for launcher in ("single", "horovodrun"):
        check_launcher(connect_session(), launcher)
    check_launcher(SimpleNamespace(version="4.0.5"), "horovod")  # type: ignore[arg-type]


def test_machine_learning_came_to_spark_connect_with_spark_4() -> None:
    check_ml(connect_session())
    with pytest.raises(MissingError, match=r"Spark Connect of Spark 3\.5\.9"):
        check_ml(connect_session("3.5.9"))


def test_a_server_elsewhere_needs_paths_that_it_finds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its working folder is another: a relative workspace would be written there, and committed here."""
    session = connect_session()
    monkeypatch.setattr("attune.session.get_session", lambda name, options: session)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPARK_REMOTE", "sc://cluster:15002")
    assert is_connect(session)
    assert is_elsewhere(session)
    with pytest.raises(SettingsError, match="workspace is shop, and Spark Connect's server"):
        start("clean", config.load(["demo"], ["workspace=shop"])).spark  # noqa: B018 - the session is made
    with pytest.raises(SettingsError, match=r"inputs\.root is raw"):
        start("clean", config.load(["demo"], [f"workspace={tmp_path}/a", "inputs.root=raw"])).spark  # noqa: B018
    assert start("clean", config.load(["demo"], [f"workspace={tmp_path}/b"])).spark is session
    monkeypatch.setenv("SPARK_REMOTE", "local[2]")
    assert start("clean", config.load(["demo"], ["workspace=shop"])).spark is session
