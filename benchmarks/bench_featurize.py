"""Time of featurize beside hand-written DuckDB SQL and Polars that compute the same features from the same Parquet files.

Usage: python benchmarks/bench_featurize.py [--workspace FOLDER] [--events N] [--repetitions N]
FOLDER must hold cleaned tables of the demo shop; without it they are generated with N events (default 100,000) in a
temporary one. Each program computes user_features, item_features and user_item_features of all dates and writes them as
Parquet, several times; the first time warms it up and does not count, the best of the others does. The results must be
equal, or nothing is measured. Spark follows what was told of each item over time; the others get the table of
items, which says the same where nothing changed, as in the demo shop. Labelled examples are drawn by Spark's own hash, so they are timed alone.

DuckDB and Polars stand in an environment of their own, build/bench-venv, which is made at first use; the variable
BENCH_PYTHON names another interpreter that has them. Writes benchmarks/results/featurize.json, printed as one line.
"""

import argparse
import datetime as dt
import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT / "lib"), str(HERE)]

from quality_pipelines import machine

from attune import config
from attune.features.build import publish_examples, publish_features
from attune.run import Run, start
from attune.schemas import TABLES

PACKAGES = ("duckdb==2.0.0", "polars==2.1.0")
READ = ("events", "impressions", "items", "reviews")
FEATURES = ("user_features", "item_features", "user_item_features")
UNSCORED = ("sentiment", "share_negative")
"""Columns that need a model's scores."""


def main() -> int:
    """Measure, compare, write the result; 1 where the programs differ."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--workspace", help="folder with cleaned tables")
    parser.add_argument("--events", type=int, default=100_000, help="events to generate where no workspace is given")
    parser.add_argument("--repetitions", type=int, default=2, help="times that count, after the first")
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = given.workspace or _generated(stack.enter_context(tempfile.TemporaryDirectory()), given.events)
        out = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder)))
        run = start("featurize", config.load(["demo"], [f"workspace={folder}"]))
        result = _measured(run, out, given.repetitions)
    if result["differing"]:
        print(json.dumps(result["differing"]), file=sys.stderr)
        return 1
    if not given.workspace and given.events < 1_000_000:
        print("a small log: benchmarks/results/featurize.json is left as it is", file=sys.stderr)
    else:
        file = HERE / "results" / "featurize.json"
        file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result))
    return 0


def _generated(folder: str, num_events: int) -> str:
    for job in ("generate", "clean"):
        options = ["--set", f"workspace={folder}", "--set", f"generate.num_events={num_events}"]
        subprocess.run([ROOT / "spark-submit.sh", job, *options], check=True, cwd=ROOT)
    return folder


def _measured(run: Run, out: Path, repetitions: int) -> dict[str, Any]:
    spark_seconds = [_seconds(publish_features, run) for _ in range(repetitions + 1)]
    examples_seconds = min(_seconds(publish_examples, run) for _ in range(2))
    _link_results(run, out / "spark")
    spec = out / "spec.json"
    spec.write_text(json.dumps(_spec(run, out, repetitions + 1)), encoding="utf-8")
    rows = {name: run.tables.rows(name) for name in (*READ, "item_history", *FEATURES, "examples")}
    run.spark.stop()
    python = os.environ.get("BENCH_PYTHON") or _bench_python()
    others = {name: _call(python, f"with_{name}.py", spec) for name in ("duckdb", "polars")}
    pairs = {name: _call(python, "compare.py", out / "spark", out / name, spec) for name in others}
    best = {"spark": min(spark_seconds[1:])} | {name: min(told["seconds"][1:]) for name, told in others.items()}
    return {
        "benchmark": "featurize",
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "seed": run.settings.seed,
        "rows": rows,
        "dates": len(run.settings.cutoffs),
        "seconds": {name: round(value, 2) for name, value in best.items()},
        "seconds_each": {"spark": spark_seconds} | {name: told["seconds"] for name, told in others.items()},
        "seconds_examples": round(examples_seconds, 2),
        "ratio_to_duckdb": round(best["spark"] / best["duckdb"], 2),
        "ratio_to_polars": round(best["spark"] / best["polars"], 2),
        "differing": {name: found for name, found in pairs.items() if found},
        "versions": {name: version(name) for name in ("pyspark", "pyarrow", "deltalake")}
        | {name: told["version"] for name, told in others.items()},
        "machine": machine(),
    }


def _seconds(publish: Any, run: Run) -> float:
    run.spark.catalog.clearCache()
    began = time.perf_counter()
    publish(run)
    return round(time.perf_counter() - began, 3)


def _link_results(run: Run, folder: Path) -> None:
    """The files of the published tables; their folders hold those of earlier versions as well."""
    for name in FEATURES:
        base = Path(run.tables.path(name)).resolve()
        for number, uri in enumerate(run.tables.delta(name).file_uris()):
            link = folder / name / Path(uri).relative_to(base).parent / f"{number}.parquet"
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(Path(uri).resolve())


def _spec(run: Run, out: Path, repetitions: int) -> dict[str, Any]:
    settings = run.settings
    return {
        "tables": {name: sorted(run.tables.delta(name).file_uris()) for name in READ},
        "by_day": {name: "ds" in TABLES[name].partition_by for name in READ},
        "columns": {name: [column for column in TABLES[name].names if column not in UNSCORED] for name in FEATURES},
        "cutoffs": [str(date) for date in settings.cutoffs],
        "weights": settings.recommend.event_weights,
        "out": str(out),
        "repetitions": repetitions,
    }


def _bench_python() -> str:
    folder = ROOT / "build" / "bench-venv"
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *PACKAGES], check=True)
    return str(python)


def _call(python: str, script: str, *arguments: Path) -> Any:
    done = subprocess.run(
        [python, HERE / "featurize" / script, *arguments], check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(done.stdout)


if __name__ == "__main__":
    sys.exit(main())
