"""What the fault tests found, kept as a result: benchmarks/results/faults.json, brought up to date by each run."""

from pathlib import Path

import pytest

from kept import Kept


def pytest_configure(config: pytest.Config) -> None:
    """Keep outcomes when the fault tests are asked for."""
    if any("faults" in argument for argument in config.args):
        config.pluginmanager.register(Kept(Path(__file__).parent, ("pyspark", "pyarrow", "deltalake")))
