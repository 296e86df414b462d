"""What a job would read and write, found without Spark and without writing anything."""

import glob
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from attune.catalog import CatalogTables, open_tables
from attune.columns import aligned
from attune.config import Config
from attune.schemas import TABLES
from attune.tables import Tables

if TYPE_CHECKING:
    from attune.run import Job

_LATER = "looked up when the job runs"


def describe(job: "Job", settings: Config) -> str:
    """Lines that say where each thing a job reads lies and what is there, and where it would write."""
    tables = open_tables(settings)
    reads = [(name, *_read(name, settings, tables)) for name in job.reads]
    writes = [(name, *_write(name, settings, tables)) for name in job.writes]
    parts = [
        f"{job.name} as of {settings.as_of} would read",
        aligned(reads) if reads else "  nothing",
        "and write",
        aligned(writes) if writes else "  nothing",
        f"and leave a summary in {settings.workspace}/runs. Nothing was read or written now.",
    ]
    return "\n".join(parts)


def _read(name: str, settings: Config, tables: Tables) -> tuple[str, str]:
    """Where something that is read lies, and what is there."""
    if name.startswith("inputs."):
        return _input(name.removeprefix("inputs."), settings)
    if name in TABLES:
        return tables.path(name), _table(name, tables) or "does not exist yet"
    folder = f"{settings.workspace}/{name}"
    return folder, _folder(folder) or "does not exist yet"


def _write(name: str, settings: Config, tables: Tables) -> tuple[str, str]:
    """Where something would be written, and what is there now."""
    if name.startswith("inputs."):
        return _input(name.removeprefix("inputs."), settings)
    if name in TABLES:
        if isinstance(tables, CatalogTables):
            return tables.path(name), _LATER
        current = _table(name, tables)
        return tables.path(name), f"now {current}" if current else "new"
    folder = f"{settings.workspace}/{name}"
    current = _folder(folder)
    return folder, f"now {current}" if current else "new"


def _input(name: str, settings: Config) -> tuple[str, str]:
    from attune.inputs import resolve_paths

    if name == "root":
        return settings.inputs_root, _folder(settings.inputs_root) or "does not exist yet"
    if name not in settings.inputs.declared():
        return "not declared", ""
    source = settings.inputs.declared()[name]
    if source.table is not None:
        return f"table {source.table}", _LATER
    paths = resolve_paths(settings, source)
    shown = paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
    if any("://" in path for path in paths):
        return shown, _LATER
    found = [_files(path) for path in paths]
    missing = [path for path, files in zip(paths, found, strict=True) if files is None]
    if missing:
        return shown, "does not exist" if len(paths) == 1 else f"{missing[0]} does not exist"
    sizes = [size for files in found for size in files or []]
    return shown, f"{len(sizes):,} file{'s' * (len(sizes) != 1)}, {_bytes(sum(sizes))}"


def _table(name: str, tables: Tables) -> str | None:
    if isinstance(tables, CatalogTables):
        return _LATER
    if not tables.exists(name):
        return None
    version = tables.version(name)
    return f"version {version}, {tables.rows(name, version):,} rows"


def _folder(folder: str) -> str | None:
    """What a folder or file holds; of models, which lie in one folder a version, the version in use."""
    if os.path.isfile(folder):
        return _bytes(os.path.getsize(folder))
    if not os.path.isdir(folder):
        return None
    latest = Path(folder, "latest")
    if latest.is_symlink():
        return f"version {os.readlink(latest)}"
    if latest.is_file():
        return f"version {latest.read_text(encoding='utf-8').strip()}"
    return f"{len(_files(folder) or []):,} files"


def _files(path: str) -> list[int] | None:
    """Sizes in bytes of the files of a file, folder or glob, hidden ones left out; None where nothing is there."""
    roots = sorted(glob.glob(path.removeprefix("file://").removeprefix("file:")))
    return [size for root in roots for size in _sizes(root)] if roots else None


def _sizes(root: str) -> Iterator[int]:
    if os.path.isfile(root):
        yield os.path.getsize(root)
        return
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = [name for name in subfolders if not name.startswith(("_", "."))]
        yield from (os.path.getsize(os.path.join(folder, n)) for n in names if not n.startswith(("_", ".")))


def _bytes(count: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
