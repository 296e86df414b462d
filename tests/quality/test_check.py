"""What is wrong with a table stops it before anyone reads it, is told whole, and stays on record."""

import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from attune import config
from attune.errors import InputError
from attune.quality import check
from attune.quality.measure import measure
from attune.quality.stability import psi
from attune.run import Run, start
from attune.schemas import TABLES
from attune.tables import Replace, Tables

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Rows = Sequence[Mapping[str, object]]
DAY = dt.date(2020, 1, 1)


class Shop:
    """A workspace that tables are staged in, checked and published."""

    def __init__(self, spark: "SparkSession", folder: Path) -> None:
        self.spark, self.folder = spark, folder
        self.checks: dict[str, list[dict[str, Any]]] = {}
        self.num_runs = 0

    def frame(self, table: str, rows: Rows) -> "DataFrame":
        names = TABLES[table].names
        return self.spark.createDataFrame([tuple(row.get(c) for c in names) for row in rows], TABLES[table].struct())

    def run(
        self, tables: Mapping[str, Rows], since: dt.date | None = None, as_of: dt.date = dt.date(2020, 2, 1)
    ) -> Run:
        """Stage, check and publish as a job does."""
        given = {table: self.checks.get(table, []) for table in TABLES}
        overrides = [f"workspace={self.folder}", f"quality={json.dumps(given)}"]
        run = start("clean", config.load([], overrides, str(as_of), str(since) if since else None))
        self.num_runs += 1
        run.run_id = f"run-{self.num_runs}"  # ids sort by their second, and the runs of a test fall into one
        staged = run.stage({name: self.frame(name, rows) for name, rows in tables.items()})
        check(run, staged)
        by_day = {name: table for name, table in staged.items() if since and "ds" in TABLES[name].partition_by}
        replace: dict[str, Replace] = {name: "partitions" if name in by_day else "table" for name in staged}
        for name, table in staged.items():
            run.publish({name: table}, replace=replace[name])
        return run

    def results(self, *columns: str, **wanted: object) -> list[Any]:
        """Columns of the results kept, in the order of runs and checks, of those rows that have the wanted values."""
        rows = self.tables.read("quality_results").collect()
        rows = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
        rows.sort(key=lambda row: row["run_id"])
        return [row[columns[0]] if len(columns) == 1 else tuple(row[c] for c in columns) for row in rows]

    @property
    def tables(self) -> Tables:
        return Tables(str(self.folder), self.spark)


@pytest.fixture
def shop(spark: "SparkSession", tmp_path: Path) -> Shop:
    return Shop(spark, tmp_path)


def events(number: int, day: dt.date = DAY, **columns: Callable[[int], object] | object) -> list[dict[str, object]]:
    """Events of a day; a column is a value, or a function of the row's number."""
    noon = dt.datetime.combine(day, dt.time(12))
    return [
        {"event_id": f"{day}-{i}", "user_id": f"u{i}", "event_ts": noon, "ds": day}
        | {name: value(i) if callable(value) else value for name, value in columns.items()}
        for i in range(number)
    ]


def test_each_check_finds_what_a_count_by_hand_finds(shop: Shop) -> None:
    rows = events(
        10,
        user_id=lambda i: None if i < 2 else "u",
        quantity=lambda i: [None, -1.0, 0.0, 5.0, 6.0, float("nan"), float("inf"), None, 1.0, 1.0][i],
        event_type=lambda i: "click" if i < 7 else "klick" if i < 9 else None,
        item_id=lambda i: ["a", "b", "c", "c", None, "a", "a", "a", "a", "a"][i],
        session_id=lambda i: [None, None, "s", "s", "s", "t", "v", "w", "x", "y"][i],
    )
    shop.checks["events"] = [
        {"check": "nulls", "column": "user_id", "max_share": 0.2},
        {"check": "range", "column": "quantity", "min": 0, "max": 5, "max_share": 0.5},
        {"check": "range", "column": "quantity", "min": 0, "max_share": 0.25},
        {"check": "range", "column": "position", "min": 1},
        {"check": "values", "column": "event_type", "allowed": ["click"], "max_share": 0.23},
        {"check": "unique", "columns": ["session_id", "ds"]},
        {"check": "references", "column": "item_id", "table": "items", "max_share": 0.33},
        {"check": "fresh", "column": "event_ts", "max_days": 30},
        {"check": "fresh", "column": "ds", "max_days": 31},
        {"check": "volume"},
    ]
    for number in (4, 5, 6, 7):
        shop.checks["events"][number]["severity"] = "warn" if number != 5 else "error"
    with pytest.raises(InputError, match="1 quality check failed, nothing is published: events, unique of session_id"):
        shop.run({"events": rows, "items": [{"item_id": "a"}, {"item_id": "b"}, {"item_id": "b"}, {}]})
    found = shop.results("check_name", "column_name", "value", "high", "passed", table_name="events")
    assert found == [
        ("nulls", "user_id", 0.2, 0.2, True),
        ("range", "quantity", 0.5, 0.5, True),  # -1, 6, NaN and infinity of eight values
        ("range", "quantity", 0.25, 0.25, True),  # -1 and NaN
        ("range", "position", 0.0, 0.0, True),
        ("values", "event_type", pytest.approx(2 / 9), 0.23, True),
        ("unique", "session_id, ds", pytest.approx(0.3), 0.0, False),
        ("references", "item_id", pytest.approx(2 / 9), 0.33, True),
        ("fresh", "event_ts", 30.5, 30.0, False),
        ("fresh", "ds", 31.0, 31.0, True),
        ("volume", None, 10.0, None, None),
    ]
    assert set(shop.results("run_id", "job", "as_of", "num_rows")) == {("run-1", "clean", dt.date(2020, 2, 1), 10)}


def test_a_failure_stops_all_tables_of_the_run_and_is_told_whole(shop: Shop) -> None:
    good = {"events": events(4), "items": [{"item_id": "a"}]}
    shop.checks = {
        "events": [{"check": "nulls", "column": "user_id"}],
        "items": [
            {"check": "unique", "columns": ["item_id"]},
            {"check": "nulls", "column": "title", "max_share": 0.4, "severity": "warn"},
        ],
    }
    run = shop.run(good)
    assert [shop.tables.version(name) for name in good] == [0, 0]
    noted = run.summary["metrics"]["quality"]
    assert {name: [(c["check"], c["value"], c["passed"]) for c in checks] for name, checks in noted.items()} == {
        "events": [("nulls", 0.0, True)],
        "items": [("unique", 0.0, True), ("nulls", 1.0, False)],
    }
    with pytest.raises(InputError) as error:
        shop.run({"events": events(4, user_id=lambda i: None if i else "u"), "items": [{"item_id": "a"}] * 2})
    assert str(error.value) == (
        "2 quality checks failed, nothing is published: "
        "events, nulls of user_id: 75% of rows have no value, over 0% (quality.events[0].max_share); "
        "items, unique of item_id: 50% of rows repeat another's, over 0% (quality.items[0]); "
        "mend the data, or the settings named"
    )
    assert error.value.exit_status == 3
    assert [shop.tables.version(name) for name in good] == [0, 0]
    assert list(shop.folder.rglob("_staging-*")) == []
    assert shop.results("value", "passed", run_id="run-2") == [(0.75, False), (0.5, False), (1.0, False)]


def test_tables_without_checks_are_not_looked_at(shop: Shop) -> None:
    run = shop.run({"events": events(1)})
    assert "quality" not in run.summary["metrics"]
    assert not shop.tables.exists("quality_results")


def test_a_run_of_one_day_is_held_against_other_days(shop: Shop) -> None:
    shop.checks["events"] = [{"check": "volume", "min_ratio": 0.5, "max_ratio": 2, "runs": 3}]
    days = [DAY + dt.timedelta(days=n) for n in range(8)]
    shop.run({"events": [row for day in days[:4] for row in events(10, day)]}, as_of=days[4])
    for day, number in ((days[4], 12), (days[5], 18)):
        shop.run({"events": events(number, day)}, since=day, as_of=day + dt.timedelta(days=1))
    with pytest.raises(InputError, match="5 rows a run or day, outside 6 to 24, going by the last 3 runs"):
        shop.run({"events": events(5, days[6])}, since=days[6], as_of=days[7])
    # The run that was stopped does not count; the rows of a lost day are missed.
    with pytest.raises(InputError, match="5 rows a run or day, outside 6 to 24"):
        shop.run({"events": events(10, days[6])}, since=days[6], as_of=days[7] + dt.timedelta(days=1))
    shop.run({"events": events(24, days[6])}, since=days[6], as_of=days[7])
    assert shop.results("value", "low", "high", check_name="volume") == [
        (10.0, None, None), (12.0, 5.0, 20.0), (18.0, 5.5, 22.0), (5.0, 6.0, 24.0), (5.0, 6.0, 24.0), (24.0, 6.0, 24.0),
    ]  # fmt: skip
    with pytest.raises(InputError, match="0 rows a run or day, outside 9 to 36"):
        shop.run({"events": []}, since=days[7], as_of=days[7] + dt.timedelta(days=1))


def test_a_table_not_kept_by_day_is_held_against_its_last_versions(shop: Shop) -> None:
    shop.checks["items"] = [{"check": "volume", "min_ratio": 0.9}]
    shop.run({"items": [{"item_id": str(n)} for n in range(10)]})
    with pytest.raises(InputError, match=r"8 rows a run or day, outside 9 to any number.*quality.items\[0\].min_ratio"):
        shop.run({"items": [{"item_id": str(n)} for n in range(8)]})


def test_drift_is_measured_as_numpy_measures_it(shop: Shop) -> None:
    rng = np.random.default_rng(3)
    before, after = rng.normal(0, 1, 4000), rng.normal(0.7, 1, 3000)
    shop.checks["events"] = [
        {"check": "drift", "column": "value", "severity": "warn"},
        {"check": "drift", "column": "country", "max_psi": 0.01},
        {"check": "drift", "column": "position"},
    ]

    def log(values: np.ndarray, foreign: int) -> list[dict[str, object]]:
        countries = [None, *["at"] * foreign, *["de"] * (10 - foreign)]
        return events(len(values), value=lambda i: float(values[i]), country=lambda i: countries[i % 11])

    shop.run({"events": log(before, 3)})
    assert shop.results("passed", run_id="run-1") == [None, None, None]
    shop.run({"events": log(before[::-1], 3)})
    same = shop.results("value", "passed", run_id="run-2")
    assert same[0][0] < 0.001
    assert same[1] == (0.0, True)
    assert same[2] == (None, None)  # no published row has a position
    # One of eleven rows moves: (ln(4 / 3) + ln(7 / 6)) / 11
    with pytest.raises(
        InputError, match=r"1 quality check failed.*drift of country: population stability index 0\.0402"
    ):
        shop.run({"events": log(after, 4)})
    # Ten quantile bins, and one on each side for what lies outside the published values.
    edges = [before.min() - 1e-9, *np.quantile(before, np.arange(1, 10) / 10), before.max()]
    oracle = psi(*(np.bincount(np.searchsorted(edges, x), minlength=12).tolist() for x in (before, after)))
    found = shop.results("value", "passed", run_id="run-3", column_name="value")
    assert found == [(pytest.approx(oracle, abs=0.005), False)]
    assert oracle > 0.4


def test_a_day_is_held_against_the_days_before_it(shop: Shop) -> None:
    shop.checks["events"] = [{"check": "drift", "column": "value", "days": 2, "min_rows": 10, "severity": "warn"}]
    days = [DAY + dt.timedelta(days=n) for n in range(5)]
    log = [row for n, day in enumerate(days[:4]) for row in events(50, day, value=1.0 if n < 2 else 2.0)]
    shop.run({"events": log})
    shop.run({"events": events(50, days[4], value=2.0)}, since=days[4])
    shop.run({"events": events(50, days[2], value=2.0)}, since=days[2])
    shop.run({"events": events(50, days[0], value=2.0)}, since=days[0])
    shop.run({"events": events(9, days[4], value=1.0)}, since=days[4])
    assert shop.results("passed", check_name="drift") == [None, True, False, None, None]


def test_references_are_looked_up_in_what_will_be_published(shop: Shop) -> None:
    shop.checks["reviews"] = [{"check": "references", "column": "item_id", "table": "items", "severity": "warn"}]
    reviews = [{"review_id": "r1", "item_id": "old"}, {"review_id": "r2", "item_id": "new"}]
    shop.run({"reviews": reviews})
    shop.run({"items": [{"item_id": "old"}]})
    shop.run({"reviews": reviews})
    shop.run({"reviews": reviews, "items": [{"item_id": "new"}]}, since=DAY)  # adds to the items
    shop.run({"reviews": reviews, "items": [{"item_id": "newer"}]})  # replaces the items
    assert shop.results("value") == [None, 0.5, 0.0, 1.0]


def test_all_checks_of_rows_take_one_pass_over_them(spark: "SparkSession") -> None:
    """Each check by itself would read a log of terabytes again."""
    from pyspark.sql import functions as F

    seen = spark.sparkContext.accumulator(0)

    def count(number: int) -> int:
        seen.add(1)
        return number

    rows = spark.range(100).select(F.udf(count, "long")("id").alias("quantity")).withColumn("item_id", F.lit("a"))
    declared = [
        {"check": "nulls", "column": "quantity"},
        {"check": "range", "column": "quantity", "max": 9, "max_share": 1},
        {"check": "references", "column": "item_id", "table": "items"},
        {"check": "nulls", "column": "item_id"},
    ]
    checks = config.load([], [f"quality.events={json.dumps(declared)}"]).quality["events"]
    items = spark.createDataFrame([("b",)], "item_id string")
    found = measure(rows, dict(enumerate(checks)), DAY, {2: items}, {})
    assert found == {0: 0.0, 1: 0.9, 2: 1.0, 3: 0.0}
    assert seen.value == 100
