"""Wall time of clean beside a Spark job that only reads the same JSON files with the same schema and writes Parquet.

Usage: python benchmarks/bench_clean.py [--events N ...] [--repetitions N]
For each number of events (default 1,000,000 and 5,000,000) demo logs are generated once in build/bench. Both sides run
in one Spark session, in turn, after a warm-up of each on the smallest log; only the input events is declared. Writes
benchmarks/results/clean.json and prints it as one line.
"""

import argparse
import datetime as dt
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT / "lib"), str(HERE)]

from quality_pipelines import machine

from attune import config
from attune.jobs.clean import clean
from attune.run import perform, start

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--events", type=int, nargs="+", default=[1_000_000, 5_000_000])
    parser.add_argument("--repetitions", type=int, default=2)
    given = parser.parse_args()
    sizes = sorted(given.events)
    logs = {num_events: _generated(num_events) for num_events in sizes}

    from attune.session import get_session

    spark = get_session("attune bench clean")
    _measured(spark, logs[sizes[0]])
    result = {
        "benchmark": "clean",
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "seed": 7,
        "sizes": [_summary(n, [_measured(spark, logs[n]) for _ in range(given.repetitions)]) for n in sizes],
        "versions": {package: version(package) for package in ("pyspark", "pyarrow", "deltalake")},
        "machine": machine(),
    }
    (HERE / "results" / "clean.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result))


def _generated(num_events: int) -> Path:
    """Folder with the raw demo log of so many events."""
    workspace = ROOT / "build" / "bench" / f"demo_{num_events}"
    if not (workspace / "raw" / "truth" / "bots").is_dir():
        command = [str(ROOT / "spark-submit.sh"), "generate", "--set", f"generate.num_events={num_events}"]
        subprocess.run([*command, "--set", f"workspace={workspace}"], check=True, stdout=sys.stderr)
    return workspace / "raw"


def _measured(spark: "SparkSession", raw: Path) -> dict[str, float]:
    """Seconds of both sides, and rows read."""
    settings = config.load(
        ["demo"], [f"inputs.root={raw}", "inputs.reviews=null", "inputs.items=null", "inputs.users=null"]
    )
    events = settings.inputs.events
    assert events is not None
    with tempfile.TemporaryDirectory(dir=raw.parent) as folder:
        began = time.monotonic()
        spark.read.schema(events.schema_ or "").json(f"{raw}/events").write.parquet(f"{folder}/copy")
        copied = time.monotonic() - began
        shutil.rmtree(f"{folder}/copy")
        run = start("clean", settings.model_copy(update={"workspace": folder}))
        began = time.monotonic()
        status = perform(clean, run)
        cleaned = time.monotonic() - began
        assert status == 0, run.summary.get("error")
        return {
            "read_and_write": copied,
            "clean": cleaned,
            "rows": run.summary["metrics"]["accounting"]["events"]["rows_read"],
        }


def _summary(num_events: int, times: list[dict[str, float]]) -> dict[str, Any]:
    ratios = [t["clean"] / t["read_and_write"] for t in times]
    return {
        "events": num_events,
        "rows_read": times[0]["rows"],
        "seconds_read_and_write": [round(t["read_and_write"], 1) for t in times],
        "seconds_clean": [round(t["clean"], 1) for t in times],
        "seconds_clean_per_million": round(min(t["clean"] for t in times) / times[0]["rows"] * 1e6, 2),
        "ratio": round(statistics.median(ratios), 2),
    }


if __name__ == "__main__":
    main()
