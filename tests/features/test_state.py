"""A run for a new interval counts only the days that changed, and gets what a run over everything gets."""

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from attune import config
from attune.features.build import publish_examples, publish_features
from attune.features.state import changed_days
from attune.run import Run, start
from features.log import ITEMS, Row, action, shown, table, told

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FEATURES = ("user_features", "item_features", "user_item_features")
FIRST, SECOND = dt.date(2020, 2, 20), dt.date(2020, 2, 21)


def _day(day: str, users: str = "uvw") -> list[Row]:
    return [
        action(user, item, f"{day}T1{hour}:00", kind, 7.25, session=f"{user}{day}")
        for user in users
        for hour, (item, kind) in enumerate((("a", "click"), ("b", "view"), ("b", "purchase")))
    ]


OLD = _day("2020-02-01") + _day("2020-02-10", "u") + _day("2020-02-19", "vw")
NEW = _day("2020-02-20", "ux")
LATE = [action("v", "c", "2020-02-10T08:00", "click", session="late")]
SHOWS = [shown("u", "a", "2020-02-19T10:00", True), shown("v", "c", "2020-02-01T10:00")]


def _run(folder: Path, as_of: dt.date, since: dt.date | None) -> Run:
    settings = config.load(["demo"], [f"workspace={folder}"], str(as_of), str(since) if since else None)
    return start("featurize", settings)


def _write(run: Run, rows: list[Row], name: str = "events", days: set[str] | None = None) -> None:
    frame = table(run.spark, name, rows)
    if days is None:
        run.write({name: frame})
    else:
        run.write({name: frame}, None, "partitions", days)


def _rows(run: Run, name: str, as_of: dt.date) -> list[str]:
    return sorted(map(repr, run.tables.read(name).where(f"as_of = DATE'{as_of}'").collect()))


def _files(run: Run) -> dict[str, set[str]]:
    actions = run.tables.delta("user_item_days").get_add_actions(flatten=True)
    found: dict[str, set[str]] = {}
    for path, day in zip(actions["path"].to_pylist(), actions["partition.ds"].to_pylist(), strict=True):
        found.setdefault(str(day), set()).add(path)
    return found


@pytest.fixture(scope="module")
def kept(spark: "SparkSession", tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A workspace with features as of the first date, from counts kept by day."""
    run = _run(tmp_path_factory.mktemp("kept"), FIRST, FIRST - dt.timedelta(days=1))
    _write(run, OLD)
    _write(run, SHOWS, "impressions")
    _write(run, told(ITEMS), "item_history")
    publish_features(run)
    return run


def test_an_interval_gives_what_all_days_give_and_counts_changed_days_only(kept: Run, tmp_path: Path) -> None:
    first = {name: _rows(kept, name, FIRST) for name in FEATURES}
    before = _files(kept)
    late_day = [row for row in OLD + LATE if str(row["ds"]) == "2020-02-10"]
    _write(kept, late_day + NEW, days={"2020-02-10", "2020-02-20"})
    following = _run(Path(kept.settings.workspace), SECOND, FIRST)
    publish_features(following)
    after = _files(following)
    assert {day for day in after if after[day] != before.get(day)} == {"2020-02-10", "2020-02-20"}

    whole = _run(tmp_path, SECOND, None)
    _write(whole, OLD + LATE + NEW)
    _write(whole, SHOWS, "impressions")
    _write(whole, told(ITEMS), "item_history")
    publish_features(whole)
    for name in FEATURES:
        rows = _rows(following, name, SECOND)
        assert rows == _rows(whole, name, SECOND), name
        assert len(rows) >= 3
        assert _rows(following, name, FIRST) == first[name], "features of an earlier date were touched"
    assert not whole.tables.exists("user_item_days"), "a run over all days keeps no counts"

    publish_features(following)
    assert _files(following) == after
    assert "up to date" in following.summary["skipped"]["user_item_days"]


def test_a_day_that_is_gone_is_forgotten(kept: Run) -> None:
    """Rows erased from the log must not live on in the counts."""
    erased = _run(Path(kept.settings.workspace), SECOND, FIRST)
    left = [row for row in OLD if str(row["ds"]) != "2020-02-01"]
    _write(erased, left)
    publish_features(erased)
    assert "2020-02-01" not in _files(erased)
    assert erased.tables.rows("user_item_days") == len({(row["user_id"], row["item_id"], row["ds"]) for row in left})


def test_changed_days_are_told_by_files(kept: Run) -> None:
    version = kept.tables.version("events")
    assert changed_days(kept.tables, "events", version, version) == set()
    _write(kept, _day("2020-02-19", "z"), days={"2020-02-19"})
    assert changed_days(kept.tables, "events", version, version + 1) == {"2020-02-19"}
    assert changed_days(kept.tables, "events", version + 99, version + 1) is None


def test_examples_are_left_alone_by_a_run_for_an_interval(kept: Run) -> None:
    publish_examples(kept)
    assert "since is set" in kept.summary["skipped"]["examples"]
    assert not kept.tables.exists("examples")
