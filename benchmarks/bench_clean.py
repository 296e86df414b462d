"""Wall time and memory of clean beside a Spark job that only reads the same JSON files with the same schema and writes Parquet.

Usage: python benchmarks/bench_clean.py [--events N ...] [--skewed N] [--repetitions N]
For each number of events (default 1, 5 and 20 million) demo logs are generated once in build/bench; from the one of
--skewed (default 5 million) logs are made in which half and nine tenths of the events are one user's, and nine tenths one
item's. Each log has a process of its own: both sides run in one Spark session, in turn, after a warm-up of each on a small
log, and only the input events is declared. The time of clean on the small log counts as start-up where growth is told.
Writes benchmarks/results/clean.json and prints it as one line; logs that are not measured keep their figures there.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT / "lib"), str(HERE)]

from measured import RESULTS, peak_memory, save

from attune import config
from attune.jobs.clean import clean
from attune.run import perform, start
from attune.session import get_session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

WARM_UP = 50_000
SKEWS = (("user", 0.5), ("user", 0.9), ("item", 0.9))


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--events", type=int, nargs="+", default=[1_000_000, 5_000_000, 20_000_000])
    parser.add_argument("--skewed", type=int, default=5_000_000, help="events of the skewed logs; 0: none are made")
    parser.add_argument("--repetitions", type=int, default=2)
    parser.add_argument("--log", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.log:
        print(json.dumps(_measured(Path(given.log), given.repetitions)))
        return
    _generated(WARM_UP)
    file = RESULTS / "clean.json"
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    sizes = {size["events"]: size for size in known.get("sizes", ())}
    for number in given.events:
        sizes[number] = {"events": number} | _in_a_process(_generated(number), given.repetitions)
    skewed = known.get("skew", {})
    for key, share in SKEWS if given.skewed else ():
        found = _in_a_process(_skewed(_generated(given.skewed), key, share), given.repetitions)
        skewed[f"{share:.0%} on one {key}"] = found | _against(found, sizes.get(given.skewed))
    in_order = [sizes[number] for number in sorted(sizes)]
    figures = {"sizes": in_order, "growth": _growth(in_order), "skew": skewed}
    print(json.dumps(save("clean", 7, figures, ("pyspark", "pyarrow", "deltalake"))))


def _generated(num_events: int) -> Path:
    """Folder with the raw demo log of so many events."""
    workspace = ROOT / "build" / "bench" / f"demo_{num_events}"
    if not (workspace / "raw" / "truth" / "bots").is_dir():
        command = [str(ROOT / "spark-submit.sh"), "generate", "--set", f"generate.num_events={num_events}"]
        subprocess.run([*command, "--set", f"workspace={workspace}"], check=True, stdout=sys.stderr)
    return workspace / "raw"


def _skewed(raw: Path, key: str, share: float) -> Path:
    """The log with a share of its events, spread over all files, given to one user or item."""
    skewed = raw.parent.with_name(f"{raw.parent.name}_{key}_{share}") / "raw"
    if not (skewed / "events" / "_SUCCESS").exists():
        from pyspark.sql import functions as F

        spark = get_session("attune skewed log")
        lines = spark.read.text(f"{raw}/events")
        chosen = F.pmod(F.xxhash64("value"), F.lit(1000)) < int(share * 1000)
        one = F.regexp_replace("value", rf'"{key}":"[^"]*"', f'"{key}":"{key[0]}0000001"')
        rows = lines.select(F.when(chosen, one).otherwise(F.col("value")).alias("value"), "ds")
        rows.write.mode("overwrite").partitionBy("ds").option("compression", "gzip").text(f"{skewed}/events")
        spark.stop()
    return skewed


def _in_a_process(raw: Path, repetitions: int) -> dict[str, Any]:
    """Figures of one log, measured in a process of its own."""
    command = [sys.executable, __file__, "--log", str(raw), "--repetitions", str(repetitions)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"{raw.parent.name}: {found}", file=sys.stderr)
    return found


def _measured(raw: Path, repetitions: int) -> dict[str, Any]:
    spark = get_session("attune bench clean")
    small = _generated(WARM_UP)
    start_up = [_both(spark, small) for _ in range(3)]
    times = [_both(spark, raw) for _ in range(repetitions)]
    return {
        "rows_read": times[0]["rows"],
        "seconds_read_and_write": [round(t["read_and_write"], 1) for t in times],
        "seconds_clean": [round(t["clean"], 1) for t in times],
        "seconds_start_up": round(min(t["clean"] for t in start_up), 1),
        "ratio": round(statistics.median(t["clean"] / t["read_and_write"] for t in times), 2),
        "peak_memory_gib": round(max(t["peak_bytes"] for t in times) / 2**30, 2),
    }


def _both(spark: "SparkSession", raw: Path) -> dict[str, float]:
    """Seconds of both sides, rows read, and the peak of the memory of all processes while clean ran."""
    inputs = [f"inputs.root={raw}", "inputs.reviews=null", "inputs.items=null", "inputs.users=null"]
    settings = config.load(["demo"], inputs)
    events = settings.inputs.events
    assert events is not None
    with tempfile.TemporaryDirectory(dir=raw.parent) as folder:
        began = time.monotonic()
        spark.read.schema(events.schema_ or "").json(f"{raw}/events").write.parquet(f"{folder}/copy")
        copied = time.monotonic() - began
        shutil.rmtree(f"{folder}/copy")
        run = start("clean", settings.model_copy(update={"workspace": folder}))
        with peak_memory() as peak:
            began = time.monotonic()
            status = perform(clean, run)
            cleaned = time.monotonic() - began
        assert status == 0, run.summary.get("error")
        return {
            "read_and_write": copied,
            "clean": cleaned,
            "peak_bytes": peak.bytes,
            "rows": run.summary["metrics"]["accounting"]["events"]["rows_read"],
        }


def _against(skewed: dict[str, Any], even: dict[str, Any] | None) -> dict[str, float]:
    """Time and memory of a skewed log by those of the even one of its size."""
    if even is None:
        return {}
    return {
        "times_the_even_time": round(min(skewed["seconds_clean"]) / min(even["seconds_clean"]), 2),
        "times_the_even_memory": round(skewed["peak_memory_gib"] / even["peak_memory_gib"], 2),
    }


def _growth(sizes: list[dict[str, Any]]) -> dict[str, Any]:
    """Seconds a million rows without start-up, and how far they lie apart."""
    each = [(min(s["seconds_clean"]) - s["seconds_start_up"]) / s["rows_read"] * 1e6 for s in sizes]
    return {
        "seconds_a_million": [round(seconds, 2) for seconds in each],
        "largest_by_least": round(max(each) / min(each), 2),
        "peak_memory_gib": [s["peak_memory_gib"] for s in sizes],
    }


if __name__ == "__main__":
    main()
