"""What a workspace no longer needs, found and removed: everything of it can be told beforehand, with its size.

Nothing that a reader of the latest version of a table uses is touched, nor the model in use.
"""

import datetime as dt
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from attune.catalog import require_folders
from attune.columns import aligned
from attune.config import Config
from attune.models.store import ModelStore
from attune.retention.versions import OldVersions, old_versions, oldest_since, remove_old_versions
from attune.schemas import TABLES
from attune.tables import Tables

if TYPE_CHECKING:
    from attune.run import Run

_DAY_SECONDS = 86400
_STALE_DAYS = 2
"""Age from which what only a run at work needs is taken for one that was killed."""


@dataclass(frozen=True)
class Removal:
    """One thing to remove."""

    what: str
    """Kind: versions, rows, run, model, training or left-over."""
    name: str
    bytes: int
    files: int
    path: Path | None = None
    """Folder to remove; None for versions and rows of a table."""
    old: OldVersions | None = None
    table: str = ""
    before: str = ""
    """Of rows: their table, and the first day that stays."""


def find_removals(settings: Config, now: float, running: str = "") -> list[Removal]:
    """All that the settings of group ``retention`` say is to be removed, at a time (seconds since 1970).

    Args:
        running: id of the run that asks, whose folder stays.

    Raises SettingsError where the tables are not in the workspace.
    """
    require_folders(settings, "vacuum")
    workspace = Path(settings.workspace)
    return [*_rows(settings), *_versions(settings, now), *_runs(settings, workspace, now, running),
            *_models(settings), *_trainings(settings, workspace, now), *_left_overs(workspace, now)]  # fmt: skip


def vacuum_workspace(run: "Run") -> None:
    """Remove what ``find_removals`` finds. Files of rows that go now are removed once their version is old enough."""
    tables = Tables(run.settings.workspace)
    removals = find_removals(run.settings, time.time(), run.run_id)
    for removal in removals:
        if removal.table:
            metadata = tables.origin_of(removal.table) | {"run_id": run.run_id, "job": run.job}
            version = tables.drop_partitions(removal.table, removal.before, metadata)
            run.summary["outputs"][removal.table] = {"version": version, "rows": tables.rows(removal.table)}
        elif removal.old is not None:
            remove_old_versions(tables, removal.old)
        elif removal.path is not None:
            shutil.rmtree(removal.path)
        run.log(f"removed {removal.what}: {removal.name}, {removal.files} files, {removal.bytes:,} bytes")
    now_free = [removal for removal in removals if not removal.table]
    run.metric("removed", [{"what": r.what, "name": r.name, "files": r.files, "bytes": r.bytes} for r in removals])
    run.metric("bytes_removed", sum(removal.bytes for removal in now_free))
    run.log(f"{sum(r.bytes for r in now_free):,} bytes removed")


def plan(settings: Config) -> str:
    """What ``--dry-run`` tells."""
    removals = find_removals(settings, time.time())
    if not removals:
        return f"vacuum would remove nothing from {settings.workspace}. Nothing was removed now."
    lines = [(r.what, r.name, f"{r.files:,} files", f"{r.bytes:,} bytes") for r in removals]
    total = sum(removal.bytes for removal in removals)
    return f"vacuum would remove\n{aligned(lines)}\n{total:,} bytes in all. Nothing was removed now."


def _rows(settings: Config) -> Iterator[Removal]:
    tables = Tables(settings.workspace)
    for name, days in settings.retention.rows_days.items():
        if not tables.exists(name):
            continue
        first = str(settings.as_of - dt.timedelta(days=days))
        (column,) = TABLES[name].partition_by
        actions = tables.delta(name).get_add_actions(flatten=True)
        if not actions.num_rows:
            continue
        files = zip(actions["size_bytes"].to_pylist(), actions[f"partition.{column}"].to_pylist(), strict=True)
        old = [size for size, day in files if str(day) < first]
        if old:
            yield Removal("rows", f"{name} before {first}", sum(old), len(old), table=name, before=first)


def _versions(settings: Config, now: float) -> Iterator[Removal]:
    tables = Tables(settings.workspace)
    for name in tables.names():
        oldest = oldest_since(tables, name, (now - settings.retention.versions_days * _DAY_SECONDS) * 1000)
        old = old_versions(tables, name, oldest)
        if old.data or old.log:
            told = f"{name} before version {oldest}"
            yield Removal("versions", told, old.bytes, len(old.data) + len(old.log), old=old)


def _runs(settings: Config, workspace: Path, now: float, running: str) -> Iterator[Removal]:
    days = settings.retention.runs_days
    if days is None or not (workspace / "runs").is_dir():
        return
    first = dt.datetime.fromtimestamp(now - days * _DAY_SECONDS, dt.UTC).strftime("%Y%m%dT%H%M%S")
    for folder in sorted((workspace / "runs").iterdir()):
        if folder.is_dir() and folder.name < first and folder.name != running:
            yield _folder("run", folder, workspace)


def _models(settings: Config) -> Iterator[Removal]:
    store = ModelStore(settings.workspace)
    for task in store.tasks():
        others = [version for version in store.versions(task) if version != store.latest_version(task)]
        # Versions are named after runs, and so sort by time.
        for version in others[: max(0, len(others) - settings.retention.models)]:
            yield _folder("model", store.folder(task, version), Path(settings.workspace))
            curves = Path(settings.workspace) / "tensorboard" / task / version
            if curves.is_dir():
                yield _folder("model", curves, Path(settings.workspace))


def _trainings(settings: Config, workspace: Path, now: float) -> Iterator[Removal]:
    days = settings.retention.runs_days
    if days is None:
        return
    for folder in sorted((workspace / "checkpoints").glob("*")):
        if folder.is_dir() and _newest(folder) < now - days * _DAY_SECONDS:
            yield _folder("training", folder, workspace)


def _left_overs(workspace: Path, now: float) -> Iterator[Removal]:
    """What killed runs left: staged rows, rows made ready for training, models that were being stored."""
    for pattern in ("tables/_staging-*", "scratch/*", "models/*/.*"):
        for folder in sorted(workspace.glob(pattern)):
            if folder.is_dir() and _newest(folder) < now - _STALE_DAYS * _DAY_SECONDS:
                yield _folder("left-over", folder, workspace)


def _folder(what: str, folder: Path, workspace: Path) -> Removal:
    sizes = [file.stat().st_size for file in folder.rglob("*") if file.is_file()]
    return Removal(what, folder.relative_to(workspace).as_posix(), sum(sizes), len(sizes), folder)


def _newest(folder: Path) -> float:
    """When anything in a folder was last changed, seconds since 1970."""
    return max(os.stat(path).st_mtime for path in (folder, *folder.rglob("*")))
