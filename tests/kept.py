"""Outcomes of slow tests, kept as a result: benchmarks/results/NAME.json, brought up to date by each run."""

import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from measured import RESULTS, save


class Kept:
    """Plugin that keeps what the tests of one folder found, under the name of the folder."""

    def __init__(self, folder: Path, packages: Sequence[str]) -> None:
        self._folder, self._packages = folder, packages
        self._found: dict[str, dict[str, object]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        place = f"tests/{self._folder.name}/"
        if report.nodeid.startswith(place) and (report.when == "call" or report.outcome != "passed"):
            outcome = {"outcome": report.outcome, "seconds": round(report.duration, 1)}
            self._found[report.nodeid.removeprefix(place)] = outcome | dict(report.user_properties)

    def pytest_sessionfinish(self) -> None:
        if not self._found:
            return
        file = RESULTS / f"{self._folder.name}.json"
        known = json.loads(file.read_text())["tests"] if file.exists() else {}
        today = dt.datetime.now(dt.UTC).date().isoformat()
        now = {name: result | {"date": today} for name, result in self._found.items()}
        # Tests that are gone stay only as long as their file is there.
        kept = {name: told for name, told in known.items() if (self._folder / name.partition("::")[0]).exists()}
        save(self._folder.name, 7, {"tests": dict(sorted((kept | now).items()))}, self._packages)
