"""Rows that tasks write beside a table: each writes Parquet files under names of its own, and tells the driver which.

Files of a task that failed or was tried twice stay behind in the staging folder and are removed with it: only files that a
finished task told of are ever committed.
"""

import json
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from urllib.parse import quote

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq

from attune.schemas import TABLES

REPORT = "report string"
"""Schema of what tasks return: a JSON object each."""
_BATCHES_AT_ONCE = 16
_UNIQUE = ("event_id", "impression_id", "click_id", "refund_of")
Part = tuple[str, str, pa.Table]
"""Name of a table, value of the column that it is partitioned by, and rows of that partition without the column."""
Make = Callable[[pa.Table], tuple[Iterable[Part], Mapping[str, int]]]


@dataclass(frozen=True)
class StagedFile:
    """One Parquet file of a staged table; ``path`` is relative to its staging folder, and then to the table."""

    folder: str
    path: str
    size: int
    rows: int
    partition: tuple[tuple[str, str | None], ...]


def write_partition(
    make: Make, folders: Mapping[str, str], batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Write what ``make`` makes of a partition's rows into a folder for each table; yields the report."""
    rows = in_one_piece(batches)
    if rows is None:
        return
    parts, counts = make(rows)
    files = [asdict(_write(folders[name], name, value, part)) for name, value, part in parts if name in folders]
    report = json.dumps({"files": files, "counts": counts})
    yield pa.RecordBatch.from_arrays([pa.array([report])], ["report"])


def in_one_piece(batches: Iterable[pa.RecordBatch]) -> pa.Table | None:
    """All rows, each column in one piece; None where there is no batch.

    Put together column by column, so that hardly more than one copy is held at a time: a batch is one buffer, which
    stays as long as any column of it.
    """
    names: list[str] = []
    pieces: list[list[pa.Array]] = []
    remaining = iter(batches)
    while some := list(islice(remaining, _BATCHES_AT_ONCE)):
        table = pa.Table.from_batches(some).combine_chunks()
        names, pieces = table.column_names, pieces or [[] for _ in table.column_names]
        for column, of_column in zip(table.columns, pieces, strict=True):
            of_column += column.chunks
    if not names:
        return None
    columns = []
    for of_column in pieces:
        columns.append(pa.concat_arrays(of_column))
        of_column.clear()
    return pa.table(dict(zip(names, columns, strict=True)))


def _write(folder: str, name: str, value: str, rows: pa.Table) -> StagedFile:
    (column,) = TABLES[name].partition_by
    filesystem, root = filesystem_of(folder)
    path = f"{column}={quote(value)}/part-{uuid.uuid4().hex}.snappy.parquet"
    filesystem.create_dir(f"{root}/{path.partition('/')[0]}")
    with filesystem.open_output_stream(f"{root}/{path}") as file:
        # A dictionary of values that hardly repeat costs time and room.
        pq.write_table(
            rows, file, store_schema=False, use_dictionary=[c for c in rows.column_names if c not in _UNIQUE]
        )
        size = file.tell()
    return StagedFile(folder, path, size, rows.num_rows, ((column, value),))


def filesystem_of(uri: str) -> "tuple[pyarrow.fs.FileSystem, str]":
    """File system of a path or URI, and the path in it."""

    if "://" in uri or uri.startswith("file:"):
        filesystem, path = pyarrow.fs.FileSystem.from_uri(uri)
        return filesystem, path
    return pyarrow.fs.LocalFileSystem(), os.path.abspath(uri)
