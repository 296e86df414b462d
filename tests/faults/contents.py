"""What the tables of a workspace hold, as a reader sees it who has deltalake and pyarrow and no Spark."""

import hashlib
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow.parquet as pq
from deltalake import DeltaTable

from attune.schemas import TABLES


@dataclass(frozen=True)
class Content:
    """One version of a table: equal contents are equal rows, whatever their order and their files."""

    version: int
    rows: int
    digest: str


def contents(workspace: Path) -> dict[str, Content]:
    """Content of every table of a workspace at its latest version, but for the account of its runs."""
    return {path.name: content(path) for path in _folders(workspace)}


def _folders(workspace: Path) -> list[Path]:
    known = set(TABLES) - {"run_metrics"}
    return sorted(path for path in (workspace / "tables").iterdir() if path.name in known)


def digests(workspace: Path) -> dict[str, str]:
    """Digest of every table of a workspace."""
    return {name: found.digest for name, found in contents(workspace).items()}


def content(path: Path) -> Content:
    """Content of a table. Of quality_results, to which each run adds rows with its id, how many rows each run has."""
    table = DeltaTable(path)
    rows = rows_of(path, table)
    if path.name == "quality_results":
        place = TABLES[path.name].names.index("run_id")
        sizes = Counter(row[place] for row in rows).values()
        return Content(table.version(), len(rows), f"rows of each run: {sorted(sizes)}")
    text = "\n".join(sorted(map(repr, rows)))
    return Content(table.version(), len(rows), hashlib.sha256(text.encode("utf-8")).hexdigest())


def files_of(path: Path) -> set[str]:
    """Files that make up the latest version of a table, relative to it."""
    return {unquote(file) for file in DeltaTable(path).get_add_actions(flatten=True)["path"].to_pylist()}


def unlisted(path: Path) -> set[str]:
    """Parquet files in the folder of a table that none of its versions has."""
    table = DeltaTable(path)
    listed: set[str] = set()
    for version in range(table.version() + 1):
        table.load_as_version(version)
        listed |= {unquote(file) for file in table.get_add_actions(flatten=True)["path"].to_pylist()}
    return {str(file.relative_to(path)) for file in path.rglob("*.parquet")} - listed


def rows_of(path: Path, table: DeltaTable) -> list[tuple[Any, ...]]:
    """Rows of a table at the version that is loaded, with the columns in the order of the schema."""
    schema = TABLES[path.name]
    actions = table.get_add_actions(flatten=True)
    files = [unquote(file) for file in actions["path"].to_pylist()]
    found: list[tuple[Any, ...]] = []
    for number, file in enumerate(files):
        parquet = pq.ParquetFile(path / file)
        held = parquet.read([name for name in schema.names if name in parquet.schema_arrow.names])
        columns = []
        for name in schema.names:
            if name in held.column_names:
                columns.append(held[name].to_pylist())
            else:
                value = str(actions[f"partition.{name}"][number]) if name in schema.partition_by else None
                columns.append([value] * held.num_rows)
        found += zip(*columns, strict=True)
    return found


@dataclass
class Seen:
    """What a reader has seen of the tables while it looked at them again and again."""

    looks: int = 0
    """How often it read a table whole."""
    digests: dict[str, list[str]] = field(default_factory=dict)
    """For each table every content in the order in which it was first seen."""
    problems: list[str] = field(default_factory=list)
    """Reads that failed, and versions that went back."""


@contextmanager
def watched(workspace: Path) -> Iterator[Seen]:
    """A process that reads all tables all the time; what it saw is there once the context is left."""
    context = multiprocessing.get_context("spawn")
    ready, stop, results = context.Event(), context.Event(), context.Queue()
    reader = context.Process(target=_watch, args=(workspace, ready, stop, results), daemon=True)
    reader.start()
    seen = Seen()
    try:
        assert ready.wait(60), "the reader does not start"
        yield seen
    finally:
        stop.set()
        seen.looks, seen.digests, seen.problems = results.get(timeout=60)
        reader.join(60)


def _watch(workspace: Path, ready: Event, stop: Event, results: "multiprocessing.Queue[Any]") -> None:
    seen, versions, logs, read_at = Seen(), dict[str, int](), dict[str, frozenset[str]](), 0.0
    paths = _folders(workspace)
    while True:
        last = stop.is_set()
        all_again = last or time.monotonic() - read_at > 1
        for path in paths:
            # Reading as fast as can be would take the processor from the job; a look at the folder of the log does not.
            names = frozenset(os.listdir(path / "_delta_log"))
            if all_again or names != logs.get(path.name):
                logs[path.name] = names
                _look(path, seen, versions)
        read_at = time.monotonic() if all_again else read_at
        ready.set()
        if last:
            results.put((seen.looks, seen.digests, seen.problems))
            return
        time.sleep(0.002)


def _look(path: Path, seen: Seen, versions: dict[str, int]) -> None:
    seen.looks += 1
    try:
        found = content(path)
    except Exception as error:  # noqa: BLE001 - whatever a reader runs into is what the test is about
        seen.problems.append(f"{path.name}: {type(error).__name__}: {error}")
        return
    if found.version < versions.get(path.name, 0):
        seen.problems.append(f"{path.name}: version {found.version} after {versions[path.name]}")
    versions[path.name] = found.version
    if found.digest not in seen.digests.setdefault(path.name, []):
        seen.digests[path.name].append(found.digest)
