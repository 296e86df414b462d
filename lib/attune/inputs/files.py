"""The files of an input, listed on the driver, and the day that the path of each names.

Logs arrive as a folder or file a day. ``ds=2026-03-01``, ``date=2026-03-01``, ``2026-03-01``, ``2026/03/01`` and
``year=2026/month=03/day=01`` name one; where a path has several, the last does. Of dated files only those are read whose
day lies in the data interval (``since <= day < as_of``); undated files are read always.
"""

import datetime as dt
import fnmatch
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from attune.config import Config, Input
from attune.errors import InputError
from attune.inputs.names import FILE

if TYPE_CHECKING:
    import pyarrow.fs
    from pyspark.sql import Column, DataFrame

_LAST_DAY = r"^.*(?<!\d)(\d{4})([-/])(?:month=(?=\d{1,2}/)|(?=\d{2}[-/]))(\d{1,2})\2(?:day=|(?=\d{2}))(\d{1,2})(?!\d)"
"""One pattern for Python and Spark (Java); its greedy beginning makes the last match win."""
_GLOB = re.compile(r"[*?\[{]")


@dataclass(frozen=True)
class RawFile:
    """One file of an input."""

    path: str
    """Absolute path or URI, as Spark reads it."""
    size: int
    """Bytes, as they lie there."""
    root: str
    """Declared folder that it was found in; folders below it that are named ``key=value`` hold columns."""
    whole: bool = False
    """Whether its folder was declared as such, so that every file in it is an input."""
    mtime_ns: int | None = None

    @property
    def day(self) -> dt.date | None:
        """Day that the path names."""
        return day_of(self.path)

    @property
    def keys(self) -> list[str]:
        """Columns that the names of its folders hold (``ds`` of ``ds=2026-03-01``)."""
        folders = self.path.rpartition("/")[0].removeprefix(self.root).split("/")
        return [unquote(folder.partition("=")[0]) for folder in folders if "=" in folder]

    @property
    def shown(self) -> str:
        """Path as people write it."""
        return plain(self.path)

    @property
    def codec(self) -> str | None:
        """Extension of a compressed text file, such as ``gz``, by which Spark chooses how to read it."""
        extension = self.path.rpartition(".")[2].lower()
        return extension if extension in ("gz", "bz2", "zst", "deflate", "snappy", "lz4", "xz") else None


def plain(uri: str) -> str:
    """A local file as a path, without the scheme and its escapes."""
    return re.sub("^/+", "/", unquote(uri.removeprefix("file:"))) if uri.startswith("file:/") else uri


def day_of(path: str) -> dt.date | None:
    """Day that a path names; null where it names none, or one that no calendar has.

    >>> day_of("/raw/2020-01-31/events/ds=2026-03-01/part-0.json.gz")
    datetime.date(2026, 3, 1)
    >>> day_of("/raw/2026/03/01/events.csv"), day_of("/raw/events.csv"), day_of("/raw/2026-02-30.csv")
    (datetime.date(2026, 3, 1), None, None)
    """
    found = re.search(_LAST_DAY, path, re.DOTALL)
    if found is None:
        return None
    try:
        return dt.date(int(found[1]), int(found[3]), int(found[4]))
    except ValueError:
        return None


def file_day(file: "Column") -> "Column":
    """``day_of`` as a Spark column, a date."""
    from pyspark.sql import functions as F

    # A path that names no day stays as it is; Spark 3.5 has no Column.try_cast, and without a format this is one.
    return F.try_to_timestamp(F.regexp_replace(file, f"(?s){_LAST_DAY}.*$", "$1-$3-$4")).cast("date")


def with_file_day(rows: "DataFrame") -> "DataFrame":
    """Add ``_file_day``, the day of each row's file: looked up by the file, which costs a tenth of reading its path."""
    from pyspark.sql import functions as F

    # Of a local file Spark tells both file:///logs/x and, as the file of a row, file:/logs/x.
    files = {name for file in rows.inputFiles() for name in (file, re.sub("^file:/+", "file:/", file))}
    days = [(file, day_of(file)) for file in sorted(files)]
    known = rows.sparkSession.createDataFrame(days, f"{FILE} string, _day date").withColumn("_known", F.lit(True))
    looked_up = rows.join(F.broadcast(known), FILE, "left")
    day = F.when(F.col("_known"), F.col("_day")).otherwise(file_day(F.col(FILE)))
    return looked_up.withColumn("_file_day", day).drop("_day", "_known")


def resolve_paths(settings: Config, source: Input) -> list[str]:
    """Paths of an input, relative ones put under ``inputs.root``."""
    paths = [source.path] if isinstance(source.path, str) else list(source.path or [])
    return [p if p.startswith("/") or ":/" in p else f"{settings.inputs_root.rstrip('/')}/{p}" for p in paths]


def in_interval(settings: Config, day: dt.date | None) -> bool:
    """Whether a file of that day, or of none, belongs to the data interval."""
    return day is None or ((settings.since is None or day >= settings.since) and day < settings.as_of)


def list_files(settings: Config, name: str, source: Input) -> list[RawFile] | None:
    """Files of an input in the data interval, in order of their paths.

    None where they cannot be listed from here: a catalog table, or a file system that only Spark can reach.
    Raises InputError where a path does not exist, or no file is of the interval.
    """
    files = list_all(settings, name, source)
    return None if files is None else of_interval(settings, name, files)


def of_interval(settings: Config, name: str, files: list[RawFile]) -> list[RawFile]:
    """Files of the data interval and those of no day. Raises InputError where there are files, but none of these."""
    chosen = [file for file in files if in_interval(settings, file.day)]
    if files and not chosen:
        interval = f"from {settings.since} to before {settings.as_of}" if settings.since else f"before {settings.as_of}"
        days = told_days(file.day for file in files if file.day is not None)
        raise InputError(
            f"input {name}: no file is of a day {interval}; there are files of {days}; mend since or as_of"
        )
    return chosen


def list_all(settings: Config, name: str, source: Input) -> list[RawFile] | None:
    """As ``list_files``, of whatever day."""
    if source.table is not None:
        return None
    found: dict[str, RawFile] = {}
    for path in resolve_paths(settings, source):
        located = locate(path)
        if located is None:
            return None
        files = _list_delta(path, name) if source.format == "delta" else _list_path(path, *located)
        if files is None:
            raise InputError(f"input {name}: {plain(path)} does not exist; mend inputs.{name}.path or inputs.root")
        pattern = source.options.get("pathGlobFilter", "*")
        found |= {f.path: f for f in files if fnmatch.fnmatch(os.path.basename(f.path), pattern)}
    return [found[path] for path in sorted(found)]


def told_days(days: Iterable[dt.date]) -> str:
    """Days in words, those that follow each other as one stretch.

    >>> told_days([dt.date(2026, 3, 4), dt.date(2026, 3, 1), dt.date(2026, 3, 2)])
    '2026-03-01 to 2026-03-02, 2026-03-04'
    """
    stretches: list[list[dt.date]] = []
    for day in sorted(set(days)):
        if stretches and day - stretches[-1][-1] == dt.timedelta(days=1):
            stretches[-1][1:] = [day]
        else:
            stretches.append([day])
    told = [" to ".join(str(day) for day in stretch) for stretch in stretches]
    return ", ".join(told if len(told) <= 6 else [*told[:3], f"{len(told) - 5} more stretches", *told[-2:]])


def locate(path: str) -> "tuple[pyarrow.fs.FileSystem, str] | None":
    """File system of a path and the path in it; None for one that only Spark can reach, such as abfss or dbfs."""
    import pyarrow as pa
    import pyarrow.fs

    if path.startswith("file:/"):
        return pyarrow.fs.LocalFileSystem(), re.sub("^/+", "/", path.removeprefix("file:"))
    if not re.match(r"\w+:/", path):
        return pyarrow.fs.LocalFileSystem(), os.path.abspath(path)
    if path.startswith("abfs"):  # newer releases of pyarrow know it, but the credentials are Spark's
        return None
    try:
        filesystem, inside = pyarrow.fs.FileSystem.from_uri(re.sub("^s3[an]:", "s3:", path))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError):
        return None
    return filesystem, inside


def _list_path(path: str, filesystem: "pyarrow.fs.FileSystem", inside: str) -> list[RawFile] | None:
    """Files of a file, folder or glob; None where there is nothing."""
    import pyarrow.fs

    scheme = path[: path.index(inside)] if inside in path and not inside.startswith(path) else ""
    glob = _GLOB.search(inside)
    root = inside[: glob.start()].rpartition("/")[0] if glob else inside.rstrip("/")
    info = filesystem.get_file_info(root)
    if info.type == pyarrow.fs.FileType.NotFound:
        return None
    if info.type == pyarrow.fs.FileType.File:
        return [RawFile(scheme + info.path, info.size, scheme + root.rpartition("/")[0], False, info.mtime_ns)]
    wanted = re.compile("|".join(_glob_pattern(g) for g in _expand(inside[len(root) :]))) if glob else None
    files = []
    for found in filesystem.get_file_info(pyarrow.fs.FileSelector(root, recursive=True)):
        below = found.path[len(root) :]
        # Spark, too, takes no files whose own or whose folder's name says that they are not data.
        hidden = any(p.startswith(".") or (p.startswith("_") and "=" not in p) for p in below.split("/"))
        if found.type == pyarrow.fs.FileType.File and not hidden and (wanted is None or wanted.match(below)):
            files.append(RawFile(scheme + found.path, found.size, scheme + root, not glob, found.mtime_ns))
    return files or (None if glob else [])


def _expand(glob: str) -> list[str]:
    """Alternatives in braces written out: ``{a,b}/*`` means ``a/*`` or ``b/*``."""
    found = re.search(r"\{([^{}]*)\}", glob)
    if found is None:
        return [glob]
    return [g for part in found[1].split(",") for g in _expand(glob[: found.start()] + part + glob[found.end() :])]


def _glob_pattern(glob: str) -> str:
    """Regular expression of the files that a glob finds: those that it names, and those in folders that it names."""
    translated = (fnmatch.translate(part)[4:-3].replace(".*", "[^/]*") for part in glob.rstrip("/").split("/"))
    return "(?s:" + "/".join(translated) + r"(?:/.*)?)\Z"


def _list_delta(path: str, name: str) -> list[RawFile] | None:
    """Files of the latest version of a Delta table. Raises InputError for features that plain Parquet cannot give."""
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    located = locate(path)
    assert located is not None, "checked by the caller"
    filesystem, inside = located
    uri = inside if path.startswith(("/", "file:")) or "://" not in path else path
    if not DeltaTable.is_deltatable(uri):
        return None
    try:
        table = DeltaTable(uri)
    except DeltaError as error:
        why = str(error).splitlines()[0]
        raise InputError(f"input {name}: the Delta table {plain(path)} cannot be read: {why}") from None
    features = set(table.protocol().reader_features or ())
    mapped = table.metadata().configuration.get("delta.columnMapping.mode", "none") != "none"
    if "deletionVectors" in features or mapped:
        what = "column mapping" if mapped else "deletion vectors"
        raise InputError(
            f"input {name}: the Delta table {plain(path)} uses {what}, which only Spark with the Delta JARs can read; "
            "run where they are, or rewrite the table without"
        )
    files = []
    for file in table.file_uris():
        found = locate(file)
        size = filesystem.get_file_info(found[1]).size if found else None
        files.append(RawFile(file, size or 0, path))
    return files
