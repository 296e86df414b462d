"""What every result of a measurement tells besides its figures, and where it is kept."""

import datetime as dt
import json
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

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


@dataclass
class Peak:
    """Largest memory seen so far, in bytes."""

    bytes: int = 0


@contextmanager
def peak_memory(process_id: int | None = None, seconds: float = 1.0) -> Iterator[Peak]:
    """Watch the memory of a process and all below it, of this one by default, every so many seconds.

    Memory is the proportional set size, in which pages that processes share count once.
    """
    peak, done = Peak(), threading.Event()
    tree = psutil.Process(process_id)

    def watch() -> None:
        while not done.wait(seconds):
            peak.bytes = max(peak.bytes, sum(map(_pss, [tree, *_below(tree)])))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


def _below(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _pss(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.NoSuchProcess, psutil.AccessDenied):  # it has ended meanwhile
        return 0


def seconds_of(work: Callable[[], Any]) -> float:
    """Wall seconds that something takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def compute(frame: "DataFrame") -> None:
    """Compute every row of a Spark frame, and keep none."""
    frame.write.format("noop").mode("overwrite").save()
