"""What the page on operations shows works as it stands, on what a run leaves."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from attune import config
from attune.errors import InputError
from attune.run import Run, job
from attune.schemas import TABLES

PAGE = (Path(__file__).parents[1] / "docs" / "operations.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a workspace, in which one run published a table and another failed."""

    @job()
    def good(run: Run) -> None:
        """Publish."""
        run.summary["outputs"]["items"] = {"version": 3, "rows": 5}

    @job()
    def bad(run: Run) -> None:
        """Fail."""
        raise InputError("the file is not there")

    monkeypatch.chdir(tmp_path)
    for work, status in ((good, 0), (bad, 3)):
        assert work.main(["--set", "workspace=workspace", "--as-of", "2026-01-01"]) == status
    return tmp_path


def test_the_query_answers(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    (code,) = blocks("python")
    exec(code, {})  # noqa: S102
    (line,) = capsys.readouterr().out.splitlines()
    assert line.split()[-5:] == ["good", "done", "0.0", "items", "5.0"]


def test_the_log_is_searched_as_told(folder: Path) -> None:
    first = blocks("bash")[0].splitlines()[0]
    found = subprocess.run(first, shell=True, capture_output=True, text=True, check=True, cwd=folder).stdout
    assert [line for line in found.splitlines() if "bad: the file is not there" in line] == found.splitlines() != []


def test_settings_shown_are_settings(tmp_path: Path) -> None:
    shown: list[dict[str, Any]] = [yaml.safe_load(block) for block in blocks("yaml")]
    assert len(shown) == 4
    for number, block in enumerate(blocks("yaml")):
        (tmp_path / f"{number}.yaml").write_text(block)
        config.load(["demo", str(tmp_path / f"{number}.yaml")])
    assert (
        shown[0]["on_failure"]
        == yaml.safe_load((config.resources.files("attune") / "conf" / "base.yaml").read_text())["on_failure"]
    )


def test_every_column_of_run_metrics_is_told() -> None:
    told = {name for line in PAGE.splitlines() if line.startswith("| `") for name in re.findall(r"`(\w+)`", line)}
    assert set(TABLES["run_metrics"].names) <= told
