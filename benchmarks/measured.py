"""What every result of a measurement tells besides its figures, and where it is kept."""

import datetime as dt
import json
import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

RESULTS = Path(__file__).parent / "results"


def save(name: str, seed: int, figures: dict[str, Any], packages: Sequence[str]) -> dict[str, Any]:
    """Write benchmarks/results/NAME.json: the figures with date, seed, versions of packages and machine."""
    result = {
        "benchmark": name,
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "seed": seed,
        **figures,
        "versions": {package: version(package) for package in packages},
        "machine": machine(),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return result


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "processor": _processor(),
        "python": platform.python_version(),
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
