"""What the tests share: one Spark session for all of them, and where the real data lie."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from pipeline_run import Ran

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that uses the Spark session, so that ``-m 'not spark'`` leaves it out."""
    for item in items:
        if "spark" in getattr(item, "fixturenames", ()):
            item.add_marker("spark")


@pytest.fixture(scope="session")
def spark() -> "Iterator[SparkSession]":
    """A local session with two task slots, shared by all tests: a first action costs tens of seconds."""
    from attune.session import get_session

    session = get_session(
        "attune tests",
        {"spark.sql.shuffle.partitions": 2, "spark.ui.enabled": False, "spark.ui.showConsoleProgress": False},
    )
    yield session
    session.stop()


@pytest.fixture(scope="session")
def ran(spark: "SparkSession", tmp_path_factory: pytest.TempPathFactory) -> "Ran":
    """What one run of the pipeline left behind, to be looked at and not changed."""
    from pipeline_run import run_pipeline

    return run_pipeline(spark, tmp_path_factory.mktemp("pipeline"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real data sets; tests that need it are skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real data not found at {SHARED_DATA}")
    return SHARED_DATA
