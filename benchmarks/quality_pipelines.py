"""Run the whole pipeline on the demo shop and on the real data: time, memory, rows accounted for, model quality.

Usage: python benchmarks/quality_pipelines.py [demo] [online_retail] [amazon_reviews]
Writes benchmarks/results/pipeline_NAME.json and prints it as one line; the report is left in build/report_NAME.html.
Real data are read from ../shared/data.
"""

import datetime as dt
import json
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from measured import machine, peak_memory

HERE = Path(__file__).parent
ROOT = HERE.parent
DATA = ROOT.parent / "shared" / "data"
PACKAGES = ("pyspark", "torch", "transformers", "horovod", "petastorm", "pyarrow", "deltalake", "lightgbm")


def main(names: list[str]) -> int:
    """Measure each pipeline named; returns the number that failed."""
    failed = 0
    for name in names or ["demo", "online_retail", "amazon_reviews"]:
        if name != "demo" and not DATA.is_dir():
            print(f"{name}: skipped, no real data in {DATA}", file=sys.stderr)
            continue
        result = measure(name)
        failed += result["exit_status"] != 0
        if result["exit_status"] == 0:
            file = HERE / "results" / f"pipeline_{name}.json"
            file.parent.mkdir(exist_ok=True)
            file.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        print(json.dumps(result, ensure_ascii=False))
    return failed


def measure(name: str) -> dict[str, Any]:
    """One run in a fresh workspace, and what its summaries say."""
    with tempfile.TemporaryDirectory() as workspace:
        command = [str(ROOT / "spark-submit.sh"), "pipeline", "--config", name, "--set", f"workspace={workspace}"]
        if name != "demo":
            command += ["--set", f"inputs.root={DATA}"]
        status, seconds, peak_bytes = timed(command, ROOT / "build" / f"pipeline_{name}.log")
        if (page := Path(workspace) / "report.html").exists():
            shutil.copy(page, ROOT / "build" / f"report_{name}.html")
        summaries = {
            (summary := json.loads(file.read_text(encoding="utf-8")))["job"]: summary
            for file in sorted(Path(workspace).glob("runs/*/summary.json"))
        }
    steps = {job: summary["seconds"] for job, summary in summaries.items() if job != "pipeline"}
    metrics = {job: summary["metrics"] for job, summary in summaries.items()}
    return {
        "benchmark": f"pipeline_{name}",
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "seed": 7,
        "exit_status": status,
        "seconds": round(seconds),
        "seconds_by_step": steps,
        "peak_memory_gib": round(peak_bytes / 2**30, 2),
        "accounting": metrics.get("clean", {}).get("accounting"),
        "sentiment": _chosen(
            metrics.get("train", {}).get("sentiment"), "test", "test_by", "rows_per_rank", "seconds_training"
        ),
        "text_match": _chosen(metrics.get("train", {}).get("text_match"), "valid", "untuned", "tuned", "rows_per_rank"),
        "recommend": metrics.get("evaluate", {}).get("recommend"),
        "versions": {package: version(package) for package in PACKAGES},
        "machine": machine(),
    }


def timed(command: list[str], log: Path) -> tuple[int, float, int]:
    """Exit status, wall seconds, and the peak of the memory of the whole process tree in bytes."""
    log.parent.mkdir(exist_ok=True)
    began = time.monotonic()
    with log.open("w") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
        with peak_memory(process.pid, seconds=2) as peak:
            status = process.wait()
    return status, time.monotonic() - began, peak.bytes


def _chosen(metrics: dict[str, Any] | None, *names: str) -> dict[str, Any] | None:
    return metrics and {name: metrics[name] for name in names if name in metrics}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
