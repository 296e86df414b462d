"""Collecting the report: counts against tables small enough to count by hand."""

import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from attune import config
from attune.report.data import collect
from attune.report.page import build_report
from attune.schemas import TABLES

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

D1, D2 = dt.date(2026, 2, 1), dt.date(2026, 2, 2)


def at(day: dt.date, hour: int) -> dt.datetime:
    return dt.datetime(day.year, day.month, day.day, hour)


ROWS: dict[str, list[dict[str, Any]]] = {
    "events": [
        {"user_id": "u1", "item_id": "i1", "event_type": "view", "event_ts": at(D1, 8), "ds": D1},
        {"user_id": "u1", "item_id": "i1", "event_type": "purchase", "event_ts": at(D1, 9), "value": 20.0, "ds": D1},
        {"user_id": "u1", "item_id": "i1", "event_type": "refund", "event_ts": at(D2, 9), "value": -5.0, "ds": D2},
        {"user_id": "u1", "item_id": "i2", "event_type": "click", "event_ts": at(D2, 10), "ds": D2},
        {"user_id": "u1", "item_id": "i3", "event_type": "click", "event_ts": at(D2, 11), "ds": D2},
        {"user_id": "u2", "item_id": "i3", "event_type": "cart", "event_ts": at(D2, 12), "value": 7.0, "ds": D2},
        {"user_id": "u2", "event_type": "search", "event_ts": at(D2, 13), "query": "pan", "ds": D2},
    ],
    "impressions": [{"impression_id": str(n), "item_id": "i1", "ds": D1} for n in range(4)],
    "sessions": [{"session_id": str(n), "converted": n == 0} for n in range(4)],
    "reviews": [{"review_id": "r1", "ds": D1}, {"review_id": "r2", "ds": None}],
    "items": [{"item_id": "i1", "title": "Pan", "category": "Kitchen"}, {"item_id": "i2", "title": "Lamp"}],
    "quarantine": [
        {"source": "events", "raw": "b", "reasons": ["bad line", "no user"]},
        {"source": "events", "raw": "a", "reasons": ["bad line"]},
    ],
    "review_sentiment": [
        {"review_id": "r1", "label": "positive", "probability": 1.0, "status": "scored", "review_ts": at(D1, 1)},
        {"review_id": "r2", "label": "negative", "probability": 0.04, "status": "scored", "review_ts": at(D2, 1)},
        {"review_id": "r3", "status": "empty", "review_ts": at(D2, 2)},
    ],
    "item_satisfaction": [
        {"item_id": "i1", "num_reviews": 9, "satisfaction": 0.9, "praise": ["solid"]},
        {"item_id": "i2", "num_reviews": 3, "satisfaction": 0.2, "complaints": ["dim"]},
        {"item_id": "i3", "num_reviews": 1, "satisfaction": float("nan")},
    ],
    "recommendations": [
        {"user_id": user, "rank": rank, "item_id": item, "score": 1.0, "sources": ["als"], "reasons": ["Popular"]}
        for user in ("u1", "u2", "*") for rank, item in ((1, "i2"), (2, "i9"))
    ],
    "segments": [{"segment_id": 0, "name": "pans", "num_users": 2, "share_users": 1.0, "top_items": ["Pan"]}],
    "evaluation": [{"task": "recommend", "model": "als", "metric": "ndcg", "k": 10, "slice": "all", "value": 0.1, "num": 2}],
}  # fmt: skip


class Source:
    """Tables in memory, in place of a run."""

    def __init__(self, spark: "SparkSession", workspace: Path, tables: dict[str, list[dict[str, Any]]]) -> None:
        self.settings = config.load(["demo"], [f"workspace={workspace}", "report.num_sample_users=5"])
        self.summary: dict[str, Any] = {"run_id": "now", "inputs": {}}
        self._spark, self._tables = spark, tables

    def has(self, table: str) -> bool:
        return table in self._tables

    def read(self, table: str) -> "DataFrame":
        assert table not in self.summary["inputs"], "each table is read once"
        self.summary["inputs"][table] = {"version": 0, "rows": len(self._tables[table])}
        names = TABLES[table].names
        rows = [tuple(row.get(name) for name in names) for row in self._tables[table]]
        return self._spark.createDataFrame(rows, TABLES[table].struct())


def write_summary(workspace: Path, run_id: str, content: dict[str, Any]) -> None:
    folder = workspace / "runs" / run_id
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text(json.dumps({"run_id": run_id, **content}))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workspace")
    account = {"rows_read": 9, "rows_kept": 7, "rows_quarantined": 2, "duplicates_dropped": 0}
    old = {"job": "clean", "status": "done", "seconds": 1.0, "metrics": {"accounting": {"events": {"rows_read": 1}}}}
    write_summary(folder, "20260101T000000-clean-a", old)
    write_summary(folder, "20260102T000000-clean-b", {**old, "metrics": {"accounting": {"events": account}}})
    write_summary(folder, "20260103T000000-clean-c", {**old, "status": "failed", "metrics": {}})
    (folder / "runs" / "20260104T000000-pipeline-d").mkdir()
    (folder / "runs" / "20260104T000000-pipeline-d" / "summary.json").write_text('{"job": "pipe')
    return folder


def test_everything_is_counted_right(spark: "SparkSession", workspace: Path) -> None:
    data = collect(Source(spark, workspace, ROWS))
    assert data.omitted == {}
    assert data.totals["users"] == 2
    assert data.totals["items"] == 3
    assert (data.totals["actions"], data.totals["purchases"], data.totals["value"]) == (7, 1, 15.0)
    assert (data.totals["visits"], data.totals["converted"], data.totals["reached"]) == (4, 0.25, 2)
    counts = {(row["ds"], row["stage"]): row["num"] for row in data.funnel}
    # The view came from elsewhere: where it is known what was shown, only clicks follow from it.
    assert counts == {(D1, "impression"): 4, (D1, "purchase"): 1, (D2, "click"): 2, (D2, "cart"): 1}
    assert {(r["table"], r["ds"]): r["num"] for r in data.volume} == {
        ("events", D1): 2, ("events", D2): 5, ("impressions", D1): 4, ("reviews", D1): 1,
    }  # fmt: skip
    assert [(r["reason"], r["num"], r["example"]) for r in data.refusals] == [("bad line", 2, "a"), ("no user", 1, "b")]
    assert {(r["bin"], r["status"]): r["num"] for r in data.histogram} == {
        (19, "scored"): 1, (0, "scored"): 1, (None, "empty"): 1,
    }  # fmt: skip
    assert data.months == [{"month": D1, "num": 2, "positive": 1}]
    ends = {(row["end"], row["place"]): row["title"] for row in data.satisfaction}
    assert ends == {("best", 1): "Pan", ("best", 2): "Lamp", ("worst", 1): "Lamp", ("worst", 2): "Pan"}
    assert data.accounting["events"]["rows_read"] == 9
    assert [(step["job"], step["run_id"]) for step in data.steps] == [("clean", "20260102T000000-clean-b")]
    assert {row["table"] for row in data.tables} == set(ROWS)
    # u2 has touched one item only: too little of a history to show.
    assert {row["user_id"] for row in data.recommended} == {"u1", "*"}
    assert [(row["title"], row["event_type"]) for row in sorted(data.history, key=lambda r: r["place"])] == [
        (None, "click"), ("Lamp", "click"), ("Pan", "refund"),
    ]  # fmt: skip
    page = build_report(data)
    assert "Lamp" in page
    assert "dim" in page


def test_an_empty_workspace_gives_a_page_of_reasons(spark: "SparkSession", tmp_path: Path) -> None:
    data = collect(Source(spark, tmp_path, {}))
    assert set(data.omitted) == {"funnel", "quality", "opinion", "recommendations", "segments", "evaluation"}
    assert "the job recommend has not run" in build_report(data)


def test_a_log_of_purchases_alone_has_no_funnel(spark: "SparkSession", tmp_path: Path) -> None:
    events = [row for row in ROWS["events"] if row["event_type"] == "purchase"]
    data = collect(Source(spark, tmp_path, {"events": events}))
    assert "only purchases" in data.omitted["funnel"]
    assert data.totals["value"] == 20.0
