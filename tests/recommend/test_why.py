"""What one user is shown, and why, on the terminal."""

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from attune.clean.pseudonyms import pseudonym
from attune.cli import main
from attune.schemas import TABLES
from attune.tables import Tables

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

KEY = "k" * 32


@pytest.fixture
def workspace(spark: "SparkSession", tmp_path: Path) -> Path:
    tables, day = Tables(str(tmp_path), spark), dt.date(2026, 3, 1)
    hidden = pseudonym("ann", KEY.encode())
    shown = [
        ("u1", 2, "mug", 0.25, ["text"], ["New"], day), ("u1", 1, "lamp", 0.5, ["als", "ease"], ["Popular", "In your usual price range"], day),
        ("*", 1, "mug", 0.1, ["popular"], ["Popular this week"], day), (hidden, 1, "lamp", 0.75, ["als"], ["New"], day),
    ]  # fmt: skip
    items = [("lamp", "Brass lamp", None, None, None, 4.0, None), ("mug", None, None, None, None, 2.0, None)]
    for name, rows in {"recommendations": shown, "items": items}.items():
        tables.publish(tables.stage(spark.createDataFrame(rows, TABLES[name].struct()), name), {})
    return tmp_path


def why(user: str, workspace: Path, capsys: pytest.CaptureFixture[str], *more: str) -> list[list[str]]:
    capsys.readouterr()
    assert main(["why", user, "--set", f"workspace={workspace}", *more]) == 0
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def test_a_users_list_is_told_best_first(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head, _, first, second = why("u1", workspace, capsys)
    assert head == ["u1,", "as", "of", "2026-03-01"]
    assert " ".join(first) == "1 lamp Brass lamp 0.5000 als, ease Popular; In your usual price range"
    assert second == ["2", "mug", "0.2500", "text", "New"]


def test_a_stranger_sees_the_list_for_anyone(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    head, _, only = why("nobody", workspace, capsys)
    assert head[:5] == ["nobody", "is", "not", "among", "the"]
    assert only[:2] == ["1", "mug"]


def test_a_user_of_the_log_is_found_by_the_pseudonym(
    workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUR_KEY", KEY)
    _, _, only = why("ann", workspace, capsys, "--set", "clean.pseudonym_key=env:OUR_KEY")
    assert only[:5] == ["1", "lamp", "Brass", "lamp", "0.7500"]


def test_without_recommendations_the_mend_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["why", "u1", "--set", f"workspace={tmp_path}"]) == 3
    assert "run the pipeline, or the job recommend" in capsys.readouterr().err
