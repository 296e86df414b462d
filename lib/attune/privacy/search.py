"""Looking for ids in every byte of files, also where they are compressed or stored by column.

Besides the bytes of a file as they lie, what is searched is: all text columns of Parquet and ORC, lists and structs
included, dictionaries of Parquet with values that no row uses, and the smallest and largest values in its footer; what
gzip, bzip2, xz, zstd, lz4 and zip hold; all values of SQLite databases. Avro and what else is compressed in a way of its
own is searched as it lies only, and named (``Found.unread``).
"""

import bz2
import gzip
import io
import lzma
import mmap
import re
import sqlite3
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from attune.privacy.needles import Needles
from attune.session import parallelism

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_PIECE = 8 << 20
_FILES_A_TASK = 16
_FOUND = "path string, bytes bigint, places array<string>, unread string"
RAW_COLUMNS = ("raw",)
"""Columns with rows as they were read, in which any id counts where it stands as a word."""


@dataclass(frozen=True)
class Found:
    """What a search of one file came to. ``places``: where in it an id stands (``bytes``, a column), empty for nowhere."""

    path: str
    bytes: int
    places: tuple[str, ...] = ()
    unread: str = ""
    """Why a part of the file could be searched as it lies only; empty where all was searched."""


def search_file(path: str, needles: Needles, root: str = "") -> Found:
    """Search one file, and its path below ``root``."""
    size = Path(path).stat().st_size
    places, unread = [], ""
    if needles.found_in(path.removeprefix(root).encode("utf-8", "surrogateescape")):
        places.append("path")
    if size == 0:
        return Found(path, 0, tuple(places))
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if needles.found_in(content):  # type: ignore[arg-type]
            places.append("bytes")
        magic = content[:16]
    try:
        places += _inside(path, magic, needles)
    except _UnreadableError as error:
        unread = str(error)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with a damaged file, its bytes were searched
        unread = f"damaged: {type(error).__name__}"
    return Found(path, size, tuple(dict.fromkeys(places)), unread)


def search_files(paths: Iterable[str], needles: Needles, root: str = "") -> Iterator[Found]:
    """Search files one by one; one that is gone by then is left out."""
    for path in paths:
        try:
            yield search_file(path, needles, root)
        except FileNotFoundError:
            continue


def search_with_spark(spark: "SparkSession", paths: list[str], needles: Needles, root: str) -> list[Found]:
    """Search files on all executors, which see the workspace under the same path as the driver."""
    if not paths:
        return []

    parts = min(len(paths), 2 * parallelism(spark), -(-len(paths) // _FILES_A_TASK))
    listed = spark.createDataFrame([(path,) for path in paths], "path string").repartition(parts)
    rows = listed.mapInArrow(partial(_search_batches, needles, root), _FOUND).collect()
    return sorted(
        (Found(row["path"], row["bytes"], tuple(row["places"]), row["unread"]) for row in rows),
        key=lambda one: one.path,
    )


def _search_batches(needles: Needles, root: str, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for one in search_files(batch["path"].to_pylist(), needles, root):
            places = pa.array([list(one.places)], pa.list_(pa.string()))
            told = {"path": [one.path], "bytes": [one.bytes], "places": places, "unread": [one.unread]}
            yield pa.RecordBatch.from_pydict(told)


def files_under(folder: Path, leave_out: Iterable[Path] = ()) -> list[str]:
    """All files under a folder, hidden ones too, but those under some others; links are not followed out of it."""
    out = [path.resolve() for path in leave_out]
    found = []
    for path in sorted(folder.resolve().rglob("*")):
        if path.is_file() and not path.is_symlink() and not any(path.is_relative_to(other) for other in out):
            found.append(str(path))
    return found


def names_users(column: str) -> bool:
    """Whether the values of a column are ids of users, by its name.

    >>> [names_users(name) for name in ("user_id", "shown_user_ids", "user_split", "userId")]
    [True, True, False, True]
    """
    return re.search(r"user(_?ids?|s)?$", column.lower()) is not None


class _UnreadableError(Exception):
    """A file that is compressed in a way that is not known here."""


def _inside(path: str, magic: bytes, needles: Needles) -> Iterator[str]:
    """Where ids stand in what a file holds, by what it begins with."""
    if magic.startswith(b"PAR1"):
        yield from _in_parquet(path, needles)
    elif magic.startswith(b"ORC"):
        from pyarrow import orc

        yield from _in_columns(orc.read_table(path), needles)
    elif magic.startswith(b"SQLite format 3\0"):
        yield from _in_sqlite(path, needles)
    elif magic.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                with archive.open(name) as member:
                    yield from _in_stream(member, needles, name)
    elif magic.startswith(b"Obj\x01"):
        raise _UnreadableError("Avro")
    else:
        for start, opened in _COMPRESSED.items():
            if magic.startswith(start):
                with closing(opened(path)) as stream:
                    yield from _in_stream(stream, needles, "compressed")


_COMPRESSED: dict[bytes, Callable[[str], Any]] = {
    b"\x1f\x8b": gzip.GzipFile,
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lzma.LZMAFile,
    b"\x28\xb5\x2f\xfd": lambda path: pa.CompressedInputStream(pa.OSFile(path), "zstd"),
    b"\x04\x22\x4d\x18": lambda path: pa.CompressedInputStream(pa.OSFile(path), "lz4"),
}


def _in_stream(stream: Any, needles: Needles, place: str) -> Iterator[str]:
    """Search a stream piece by piece, each with the end of the one before."""
    kept = b""
    while piece := stream.read(_PIECE):
        content = kept + piece
        if needles.found_in(content):
            yield place
            return
        kept = content[-needles.longest :]


def open_parquet(path: str, **options: Any) -> pq.ParquetFile:
    """A Parquet file, also one whose writer left a note on Arrow types that this Arrow does not know (delta-rs does)."""
    try:
        return pq.ParquetFile(path, **options)
    except pa.ArrowInvalid:
        without_note = Path(path).read_bytes().replace(b"ARROW:schema", b"arrow_schema")
        return pq.ParquetFile(pa.BufferReader(without_note), **options)


def _in_parquet(path: str, needles: Needles) -> Iterator[str]:
    metadata = open_parquet(path).metadata
    leaves = [metadata.schema.column(n) for n in range(metadata.num_columns)]
    text = [leaf.path for leaf in leaves if leaf.physical_type in ("BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY")]
    # As dictionaries, so that values are seen that stand in a dictionary page and in no row.
    file = open_parquet(path, read_dictionary=text)
    for group in range(metadata.num_row_groups):
        for number, leaf in enumerate(leaves):
            statistics = metadata.row_group(group).column(number).statistics
            if leaf.path in text and statistics is not None and statistics.has_min_max:
                yield from _in_array(pa.array([statistics.min, statistics.max]), f"{leaf.path} (footer)", needles)
        if text:
            roots = list(dict.fromkeys(name.partition(".")[0] for name in text))
            yield from _in_columns(file.read_row_group(group, columns=roots), needles)


def _in_columns(table: pa.Table, needles: Needles) -> Iterator[str]:
    for name in table.column_names:
        for chunk in table[name].chunks:
            yield from _in_array(chunk, name, needles)


def _in_array(array: pa.Array, place: str, needles: Needles) -> Iterator[str]:
    """Search the values of a column, however deep they lie."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        yield from _in_array(array.dictionary, place, needles)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        yield from _in_array(array.flatten(), place, needles)
    elif pa.types.is_map(kind):
        yield from _in_array(array.keys, place, needles)
        yield from _in_array(array.items, place, needles)
    elif pa.types.is_struct(kind):
        for field in kind:
            yield from _in_array(array.field(field.name), f"{place}.{field.name}", needles)
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        if pc.any(holds(array, place, needles)).as_py():
            yield place
    elif (pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)) and any(
        value is not None and needles.found_in(value) for value in array.to_pylist()
    ):
        yield place


def holds(texts: pa.Array, column: str, needles: Needles) -> pa.Array:
    """Whether each text of a column (``a.b`` for a field of a struct) holds an id; false for null. Bool."""
    names = column.removesuffix(" (footer)").split(".")
    if set(names) & set(RAW_COLUMNS):
        return pc.match_substring_regex(texts, needles.all_words).fill_null(False)
    found = pa.array([False] * len(texts), pa.bool_())
    for pattern in (needles.words, needles.keyed_words):
        if pattern is not None:
            found = pc.or_(found, pc.match_substring_regex(texts, pattern).fill_null(False))
    if any(map(names_users, names)):
        found = pc.or_(found, pc.is_in(texts, value_set=pa.array(sorted(needles.ids), texts.type)))
    return found


def _in_sqlite(path: str, needles: Needles) -> Iterator[str]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        database.text_factory = bytes
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            name = table.decode()
            rows = database.execute(f'SELECT * FROM "{name}"')
            columns = [column[0] for column in rows.description]
            for row in rows:
                for column, value in zip(columns, row, strict=True):
                    if _cell_holds(column, value, needles):
                        yield f"{name}.{column}"


def _cell_holds(column: str, value: Any, needles: Needles) -> bool:
    if not isinstance(value, bytes):
        return False
    return needles.found_in(value) or (names_users(column) and value.decode("utf-8", "replace") in needles.ids)


def read_lines(path: Path) -> bytes:
    """The content of a text file, out of gzip where it is in it."""
    content = path.read_bytes()
    return gzip.GzipFile(fileobj=io.BytesIO(content)).read() if content.startswith(b"\x1f\x8b") else content
