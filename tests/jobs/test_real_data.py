"""The settings that come with the package fit the real data: every row is accounted for, as counted without Spark."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from attune.jobs.clean import clean
from attune.tables import Tables

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def cleaned(workspace: Path, *arguments: str) -> dict[str, Any]:
    """Account of a run of the clean job, by input."""
    assert clean.main(["--set", f"workspace={workspace}", *arguments]) == 0
    (summary,) = workspace.glob("runs/*/summary.json")
    accounting: dict[str, Any] = json.loads(summary.read_text())["metrics"]["accounting"]
    return accounting


def test_a_day_of_order_lines_is_cleaned_as_counted_by_hand(
    spark: "SparkSession", shared_data: Path, tmp_path: Path
) -> None:
    file = shared_data / "online_retail" / "2010-12-01.csv.gz"
    same_file = [f"--set=inputs.{name}.path={file}" for name in ("events", "items", "users")]
    account = cleaned(tmp_path, "--config", "online_retail", *same_file)

    lines = pd.read_csv(file, dtype=str)
    good = lines[
        lines["CustomerID"].notna() & lines["StockCode"].str.match("[0-9]{5}") & (lines["UnitPrice"].astype(float) > 0)
    ]
    kept = len(good.drop_duplicates())
    events = account["events"]
    assert (events["rows_read"], events["rows_kept"]) == (len(lines), kept)
    assert events["rows_quarantined"] == len(lines) - len(good)
    assert events["duplicates_dropped"] == len(good) - kept
    rows = Tables(str(tmp_path), spark).read("events").toPandas()
    assert set(rows["user_id"]) == set(good["CustomerID"].str.removesuffix(".0"))
    assert set(rows["event_type"]) == {"purchase", "refund"}
    assert rows["session_id"].nunique() == good["InvoiceNo"].nunique()
    value = good.drop_duplicates()[["Quantity", "UnitPrice"]].astype(float).prod(axis=1).sum()
    assert abs(rows["value"].sum() - value) < 1e-6 * value


def test_reviews_are_cleaned_with_dates_ratings_and_votes_read(
    spark: "SparkSession", shared_data: Path, tmp_path: Path
) -> None:
    account = cleaned(tmp_path, "--config", "amazon_reviews", "--set", f"inputs.root={shared_data}")
    reviews = account["reviews"]
    assert (reviews["rows_read"], reviews["rows_kept"], reviews["rows_quarantined"]) == (8000, 7999, 1)
    assert reviews["reasons"] == {"review_ts is missing or cannot be read": 1}
    assert account["items"]["rows_kept"] == 6302
    rows = Tables(str(tmp_path), spark).read("reviews").toPandas()
    assert set(rows["rating"]) == {1.0, 2.0, 4.0, 5.0}
    assert rows["review_ts"].dt.year.between(1997, 2007).all()
    assert rows["helpful_votes"].notna().mean() > 0.8
    assert not rows["body"].str.contains("&quot;|&amp;", na=False).any()
