"""What the fault tests found, kept as a result: benchmarks/results/faults.json, brought up to date by each run."""

import datetime as dt
import json
from pathlib import Path

import pytest
from measured import RESULTS, save


class _Kept:
    def __init__(self) -> None:
        self.found: dict[str, dict[str, object]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.nodeid.startswith("tests/faults/") and (report.when == "call" or report.outcome != "passed"):
            name = report.nodeid.removeprefix("tests/faults/")
            self.found[name] = {"outcome": report.outcome, "seconds": round(report.duration, 1)}

    def pytest_sessionfinish(self) -> None:
        if not self.found:
            return
        file = RESULTS / "faults.json"
        known = json.loads(file.read_text())["tests"] if file.exists() else {}
        today = dt.datetime.now(dt.UTC).date().isoformat()
        now = {name: result | {"date": today} for name, result in self.found.items()}
        # Tests that are gone stay only as long as their file is there.
        kept = {
            name: told for name, told in known.items() if (Path(__file__).parent / name.partition("::")[0]).exists()
        }
        save("faults", 7, {"tests": dict(sorted((kept | now).items()))}, ("pyspark", "pyarrow", "deltalake"))


def pytest_configure(config: pytest.Config) -> None:
    """Keep outcomes when the fault tests are asked for."""
    if any("faults" in argument for argument in config.args):
        config.pluginmanager.register(_Kept())
