"""Clean a shop's order lines a day at a time, in a shuffled order and one day twice, beside one run over all days.

Usage: python benchmarks/bench_daily_clean.py [--first DATE] [--days N] [--seed N]
The first N daily files of Online Retail from DATE on (default 14 from 2010-12-01) are cleaned with conf/online_retail.yaml
in one Spark session. Both ways must leave the same tables, row for row; else the differences are told and the exit
status is 1. Writes benchmarks/results/online_retail_daily.json and prints it as one line. The files are read from
../shared/data.
"""

import argparse
import datetime as dt
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT / "lib"), str(HERE)]

from quality_pipelines import DATA, machine

from attune import config
from attune.clean.history import day_hashes
from attune.jobs.clean import clean
from attune.run import Run, perform, start

TABLES = ("events", "bot_events", "sessions", "quarantine", "items", "item_history", "users")
LOG = "online_retail"


def main() -> int:
    """Measure, compare and write the result; 1 where the tables differ."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--first", default="2010-12-01", help="first day")
    parser.add_argument("--days", type=int, default=14, help="number of daily files")
    parser.add_argument("--seed", type=int, default=7, help="of the order of the days")
    given = parser.parse_args()
    if not DATA.is_dir():
        print(f"skipped, no real data in {DATA}", file=sys.stderr)
        return 0
    days = [day for day in days_of(DATA / LOG) if day >= dt.date.fromisoformat(given.first)][: given.days]
    with tempfile.TemporaryDirectory() as folder:
        result = measured(Path(folder), days, given.seed)
    file = HERE / "results" / "online_retail_daily.json"
    file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result))
    return int(not result["equal"])


def days_of(folder: Path) -> list[dt.date]:
    """Days of which there is a file."""
    return sorted(dt.date.fromisoformat(file.name[:10]) for file in folder.glob("*.csv.gz"))


def measured(folder: Path, days: list[dt.date], seed: int) -> dict[str, Any]:
    """Seconds and content of both ways to clean some days."""
    (folder / "raw" / LOG).mkdir(parents=True)
    for day in days:
        shutil.copy(DATA / LOG / f"{day}.csv.gz", folder / "raw" / LOG)
    order = random.Random(seed).sample(days, len(days))
    order.append(order[0])
    after = days[-1] + dt.timedelta(days=1)
    whole = cleaned(folder, "whole", None, after)
    expected = content(whole)
    again = cleaned(folder, "whole_again", None, after)  # the first run started Spark
    daily = [cleaned(folder, "daily", day, day + dt.timedelta(days=1)) for day in order]
    differing = differences(expected, content(daily[-1]))
    seconds = [run.summary["seconds"] for run in daily]
    return {
        "benchmark": "online_retail_daily",
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "seed": seed,
        "days": len(days),
        "first": str(days[0]),
        "last": str(days[-1]),
        "equal": not differing,
        "differing": differing,
        "rows": {table: sum(n for n, _ in by_day.values()) for table, by_day in expected.items()},
        "refunds_undoing_an_order": refunds(whole),
        "accounting_whole": whole.summary["metrics"]["accounting"],
        "seconds_whole": again.summary["seconds"],
        "seconds_daily_median": statistics.median(seconds),
        "runs": [
            {"day": str(day), "seconds": n, "unchanged": unchanged(run)}
            for day, n, run in zip(order, seconds, daily, strict=True)
        ],
        "load_average": [round(load, 1) for load in os.getloadavg()],
        "versions": {package: version(package) for package in ("pyspark", "pyarrow", "deltalake")},
        "machine": machine(),
    }


def cleaned(folder: Path, workspace: str, since: dt.date | None, as_of: dt.date) -> Run:
    """A run of clean that succeeded."""
    places = [f"workspace={folder / workspace}", f"inputs.root={folder / 'raw'}"]
    settings = config.load(["online_retail"], places, str(as_of), str(since) if since else None)
    run = start("clean", settings)
    status = perform(clean, run)
    assert status == 0, run.summary.get("error")
    return run


def unchanged(run: Run) -> list[str]:
    """Tables that a run left at their version."""
    return sorted(table for table, why in run.summary["skipped"].items() if why == "no day has changed")


def content(run: Run) -> dict[str, dict[str, tuple[int, int]]]:
    """Rows of each table and the sum of their hashes by day, whatever the order of rows and files."""
    from pyspark.sql import functions as F

    frames = {name: run.tables.read(name) for name in TABLES}
    return {name: day_hashes(df if "ds" in df.columns else df.withColumn("ds", F.lit("all")))
            for name, df in frames.items()}  # fmt: skip


def differences(expected: dict[str, Any], found: dict[str, Any]) -> dict[str, list[str]]:
    """Days on which a table differs, with the rows expected and found."""
    told = {}
    for table, by_day in expected.items():
        other = found[table]
        days = sorted(day for day in {*by_day, *other} if by_day.get(day) != other.get(day))
        rows = [f"{day}: {by_day.get(day, (0,))[0]} rows expected, {other.get(day, (0,))[0]} found" for day in days]
        if rows:
            told[table] = rows
    return told


def refunds(run: Run) -> dict[str, int]:
    """Refunds, those whose order is known, and those whose order is of another day."""
    from pyspark.sql import functions as F

    events = run.tables.read("events")
    orders = events.select(F.col("event_id").alias("refund_of"), F.col("ds").alias("ordered"))
    back = events.where(F.col("event_type") == "refund").join(orders, "refund_of", "left")
    row = back.agg(
        F.count("*").alias("refunds"),
        F.count("ordered").alias("with_order"),
        F.count_if(F.col("ordered") != F.col("ds")).alias("of_another_day"),
    ).first()
    assert row is not None
    return row.asDict()


if __name__ == "__main__":
    sys.exit(main())
