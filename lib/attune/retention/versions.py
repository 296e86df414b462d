"""Versions of a table that are gone for good: their files, and what the Delta log tells of them.

Done without a commit: the table keeps its version, so nothing that was made from it counts as out of date. A checkpoint of
the oldest version that stays takes the place of the log before it, as the Delta protocol has it ("Metadata cleanup",
https://github.com/delta-io/delta/blob/master/PROTOCOL.md); all engines read such a table.
"""

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from attune.staging import filesystem_of

if TYPE_CHECKING:
    import pyarrow.fs

    from attune.tables import Tables

_LOG = "_delta_log"
_OF_VERSION = re.compile(r"^\.?(\d{20})\.")
_IN_FLIGHT_SECONDS = 2 * 86400
"""Age up to which a file that no version names may be one that a run is about to commit."""
Also = Callable[[str], bool]
"""Whether a file that no version names goes although it is young; called with its path."""


@dataclass(frozen=True)
class OldVersions:
    """What is removed when the versions of a table before one of them go: paths and sizes in bytes."""

    table: str
    oldest: int
    """The oldest version that stays."""
    data: tuple[tuple[str, int], ...]
    log: tuple[tuple[str, int], ...]

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(size for _, size in (*self.data, *self.log))


def oldest_since(tables: "Tables", name: str, before_ms: float) -> int:
    """The version that was the latest at a time (milliseconds since 1970): older ones had been replaced by then.

    The oldest that there is, where all are younger.
    """
    commits = tables.delta(name).history()
    older = [int(commit["version"]) for commit in commits if commit["timestamp"] <= before_ms]
    return max(older, default=min(int(commit["version"]) for commit in commits))


def old_versions(tables: "Tables", name: str, oldest: int, also: Also = lambda path: False) -> OldVersions:
    """What goes with the versions before ``oldest``: their files and log entries, and files that no version names.

    Of the latter those older than two days, and those of which ``also`` says so.
    """
    filesystem, root = filesystem_of(tables.path(name))
    latest = tables.version(name)
    files = list(_listed(filesystem, root))
    log = [info for info in files if info.path.startswith(f"{root}/{_LOG}/")]
    needed = _needed(tables, name, oldest, latest)
    named = _named_in_log(filesystem, log)
    data = []
    for info in files:
        relative = info.path[len(root) + 1 :]
        if relative.startswith(f"{_LOG}/") or relative in needed or _data_of_checksum(relative) in needed:
            continue
        young = time.time() - (info.mtime_ns or time.time_ns()) / 1e9 < _IN_FLIGHT_SECONDS
        known = relative in named or _data_of_checksum(relative) in named
        if known or not young or also(info.path):
            data.append((info.path, info.size))
    return OldVersions(name, oldest, tuple(data), tuple(_old_log(log, oldest, latest)))


def remove_old_versions(tables: "Tables", old: OldVersions) -> None:
    """Remove them; the log first, so that no version is offered whose files are gone. Readers of later ones see no change."""
    if old.log and old.oldest > 0:
        tables.delta(old.table, old.oldest).create_checkpoint()
    filesystem, _ = filesystem_of(tables.path(old.table))
    # From the first version on: a log that lacks a version in the middle could not be read if this were cut off.
    for path, _ in (*sorted(old.log), *old.data):
        filesystem.delete_file(path)


def _old_log(log: "list[pyarrow.fs.FileInfo]", oldest: int, latest: int) -> Iterator[tuple[str, int]]:
    for info in log:
        found = _OF_VERSION.match(info.base_name)
        in_folder = not info.path.rpartition("/")[0].endswith(f"/{_LOG}")
        if in_folder:
            # Parts of checkpoints in the second form: none is left that names them once the first checkpoint is classic.
            if oldest == latest and "/_sidecars/" in info.path:
                yield info.path, info.size
        elif found and int(found[1]) < oldest:
            yield info.path, info.size


def _needed(tables: "Tables", name: str, oldest: int, latest: int) -> set[str]:
    """Files of the versions from ``oldest`` on, by their path in the table."""
    needed: set[str] = set()
    for version in range(oldest, latest + 1):
        paths = tables.delta(name, version).get_add_actions(flatten=True)["path"].to_pylist()
        needed.update(map(unquote, paths), paths)
    return needed


def _named_in_log(filesystem: "pyarrow.fs.FileSystem", log: "list[pyarrow.fs.FileInfo]") -> set[str]:
    """Files that entries of the log add or remove, by their path in the table."""
    import pyarrow.parquet as pq

    named: set[str] = set()
    for info in log:
        if not _OF_VERSION.match(info.base_name):
            continue
        if info.extension == "json":
            with filesystem.open_input_stream(info.path) as stream:
                actions = [json.loads(line) for line in stream.read().splitlines() if line.strip()]
            paths = [action[key]["path"] for action in actions for key in ("add", "remove") if key in action]
        elif info.extension == "parquet":
            told = pq.read_table(info.path, filesystem=filesystem, columns=["add.path", "remove.path"])
            rows = told.to_pylist()
            paths = [row[key]["path"] for row in rows for key in ("add", "remove") if row.get(key) and row[key]["path"]]
        else:
            continue
        named.update(paths, map(unquote, paths))
    return named


def _listed(filesystem: "pyarrow.fs.FileSystem", root: str) -> "Iterator[pyarrow.fs.FileInfo]":
    import pyarrow.fs

    for info in filesystem.get_file_info(pyarrow.fs.FileSelector(root, recursive=True, allow_not_found=True)):
        if info.type == pyarrow.fs.FileType.File:
            yield info


def _data_of_checksum(relative: str) -> str:
    """The file that Hadoop's checksum ``.NAME.crc`` is of, or the path itself."""
    folder, _, name = relative.rpartition("/")
    if name.startswith(".") and name.endswith(".crc"):
        name = name[1:-4]
    return f"{folder}/{name}" if folder else name
