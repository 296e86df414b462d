"""Forgetting users: every table and file of the workspace without them, and the proof that nothing of them is left.

In this order, so that a run that was killed can be run again and finishes: who is kept out of later runs of clean, tables
that name a user's reviews, other tables, files. What was done before is found undone no more and left alone. No other job
may run meanwhile: it could publish again what it has read.
"""

import glob
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from attune.errors import AttuneError
from attune.inputs import resolve_paths
from attune.models.store import ModelStore, read_card
from attune.privacy.files import mend_files, remove_unfinished_training
from attune.privacy.needles import Needles
from attune.privacy.people import erased_versions, keep_out, read_ids, with_pseudonyms
from attune.privacy.rows import ByPartition, People, erase_rows, find_reviews, found_by_table, reviews_of
from attune.privacy.search import Found, files_under, open_parquet, search_files, search_with_spark
from attune.retention.versions import old_versions, remove_old_versions
from attune.schemas import TABLES
from attune.tables import conform

if TYPE_CHECKING:
    from attune.config import Config
    from attune.run import Run

_MOST_FILES = 50
"""Files that a list in the log, the summary or an error names."""
_LINKED = "review_id"


class TraceLeftError(AttuneError):
    """Something of an erased user is still in the workspace."""


@dataclass(frozen=True)
class _Located:
    """Where users are: files that hold an id; rows erased and masked by table and partition."""

    files: list[Found]
    rows: dict[str, ByPartition]
    rows_by_review: bool = False
    """Whether they wrote reviews, which other tables name."""

    def tables(self, root: Path) -> set[str]:
        """Tables that hold them in some version."""
        held = {name for name, rows in self.rows.items() if rows}
        for found in self.files:
            parts = Path(found.path).relative_to(root).parts
            if len(parts) > 2 and parts[0] == "tables" and parts[1] in TABLES:
                held.add(parts[1])
        return held


def forget_users(run: "Run") -> None:
    """Erase the users that the settings name. Raises SettingsError for none, TraceLeftError where the proof finds them."""
    ids = read_ids(run.settings)
    needles = Needles.of(with_pseudonyms(ids, run.settings))
    workspace = run.workspace.resolve()
    run.metric("users", len(ids))
    run.log(f"looking for {len(ids)} users in {workspace}")
    located = _locate(run, needles, workspace)
    people = People(needles, _reviews_of(run, needles, located.files))
    if people.reviews:
        located = replace(located, rows=located.rows | _rows_in(run, _linked_tables(run), people), rows_by_review=True)
    held = _to_rewrite(run, located, needles, workspace)

    latest = {name: run.tables.version(name) for name in held}
    run.metric("hashes", keep_out(run, ids, {n: latest[n] + bool(located.rows[n]) for n in held}))
    told = []
    for name in sorted(held, key=lambda name: (name == "reviews", name)):
        told.append(_erase_table(run, name, located.rows[name], people, {found.path for found in located.files}))
    run.metric("tables", told)

    outside = [found.path for found in located.files if not _in_table(run, found.path, workspace)]
    files = mend_files(workspace, outside, people)
    if held:
        files += [{"file": name, "done": "removed"} for name in remove_unfinished_training(workspace)]
    for file in files:
        file["file"] = masked_text(file["file"], needles)
        run.log(f"{file['file']}: {file['done']}")
    run.metric("files", files[:_MOST_FILES] + [{"and": len(files) - _MOST_FILES}] * (len(files) > _MOST_FILES))
    _tell_models(run)
    _tell_sources(run, needles, workspace)
    _prove(run, needles, workspace)


def plan(settings: "Config") -> str:
    """What ``--dry-run`` tells."""
    ids = read_ids(settings)
    root, needles = Path(settings.workspace).resolve(), Needles.of(with_pseudonyms(ids, settings))
    searched = list(search_files(workspace_files(settings), needles, str(root)))
    holding = [Path(found.path).relative_to(root).parts for found in searched if found.places]
    places = Counter("/".join(parts[:2] if parts[0] == "tables" else parts[:1]) for parts in holding)
    return (
        f"forget would erase {len(ids)} users, of whom {len(holding)} of {len(searched)} files in {root} tell"
        + "".join(f"\n  {place}: {count} files" for place, count in sorted(places.items()))
        + "\nand keep them out of later runs of clean. Nothing was written now."
    )


def masked_text(text: str, needles: Needles) -> str:
    """A text that may be told: a path, for instance, with ids replaced."""
    return needles.masked(text.encode("utf-8", "surrogateescape")).decode("utf-8", "replace")


def source_folders(settings: "Config") -> list[Path]:
    """Folders and files of the inputs, which are not the workspace's own: they are looked through and left alone."""
    folders = [settings.inputs_root]
    for source in settings.inputs.declared().values():
        folders += resolve_paths(settings, source) if source.path is not None else []
    local = [
        f.removeprefix("file://").removeprefix("file:") for f in folders if "://" not in f or f.startswith("file:")
    ]
    return sorted({Path(path).resolve() for pattern in local for path in glob.glob(pattern)})


def workspace_files(settings: "Config") -> list[str]:
    """All files of the workspace but those of the inputs."""
    workspace = Path(settings.workspace).resolve()
    return files_under(workspace, [f for f in source_folders(settings) if not workspace.is_relative_to(f)])


def _locate(run: "Run", needles: Needles, workspace: Path) -> _Located:
    searched = search_with_spark(run.spark, workspace_files(run.settings), needles, str(workspace))
    rows = _rows_in(run, run.tables.names(), People(needles))
    return _Located([found for found in searched if found.places], rows)


def _rows_in(run: "Run", names: Iterable[str], people: People) -> dict[str, ByPartition]:
    return found_by_table({name: run.tables.read(name) for name in names}, people)


def _to_rewrite(run: "Run", located: _Located, needles: Needles, workspace: Path) -> set[str]:
    """Tables of which nothing older may stay: those that hold the users in some version, as far as files tell."""
    held = located.tables(workspace) & set(run.tables.names())
    if located.rows_by_review:
        held |= set(_linked_tables(run))
    if needles.others and held:
        # In files of tables that name users and items in one column such ids cannot be told from those of items.
        held |= {name for name in run.tables.names() if {"kind", "id"} <= set(TABLES[name].names)}
    return held


def _linked_tables(run: "Run") -> list[str]:
    """Tables that name reviews and not their users."""
    return [
        name for name in run.tables.names() if _LINKED in TABLES[name].names and "user_id" not in TABLES[name].names
    ]


def _reviews_of(run: "Run", needles: Needles, files: Iterable[Found]) -> frozenset[str]:
    """Ids of the reviews that users wrote, in any version of the table."""
    if not run.tables.exists("reviews"):
        return frozenset()
    found: set[str] = set()
    for path in (one.path for one in files if "/tables/reviews/" in one.path and one.path.endswith(".parquet")):
        if "/_delta_log/" not in path:
            found |= reviews_of(open_parquet(path).read(["review_id", "user_id"]), needles)
    return frozenset(found | find_reviews(run.tables.read("reviews"), needles))


def _erase_table(run: "Run", name: str, found: ByPartition, people: People, holding: set[str]) -> dict[str, object]:
    """Publish a table without users, and remove all that came before. ``holding``: files in which an id stands."""
    tables = run.tables
    erased, masked = (sum(counts[n] for counts in found.values()) for n in (0, 1))
    before = tables.version(name)
    # What the table was made from stays as it was told: tables made from this one see that it changed.
    metadata = tables.origin_of(name) | {"run_id": run.run_id, "job": run.job}
    if found:
        whole = not TABLES[name].partition_by or None in found
        some = None if whole else {value for value in found if value is not None}
        kept = conform(erase_rows(tables.read(name, before, some), people), name)
        replaced = ("table", ()) if some is None else ("partitions", some)
        tables.publish(tables.stage(kept, name), metadata, *replaced)
    _remove_before(run, name, holding)
    if _log_holds(run, name, people.needles):
        # The commit that is the latest tells the id, such as in the condition of a DELETE: one more, and it is history.
        tables.commit_nothing(name, metadata)
        _remove_before(run, name, holding)
    version = tables.version(name)
    run.summary["outputs"][name] = {"version": version, "rows": tables.rows(name)}
    run.log(
        f"{name} version {version}: {erased:,} rows erased, {masked:,} with a mention replaced; older versions removed"
    )
    return {"table": name, "rows_erased": erased, "rows_masked": masked, "version": version}


def _remove_before(run: "Run", name: str, holding: set[str]) -> None:
    old = old_versions(run.tables, name, run.tables.version(name), lambda path: path in holding)
    remove_old_versions(run.tables, old)


def _log_holds(run: "Run", name: str, needles: Needles) -> bool:
    log = files_under(Path(run.tables.path(name)) / "_delta_log")
    return any(found.places for found in search_files(log, needles, str(run.workspace.resolve())))


def _in_table(run: "Run", path: str, workspace: Path) -> bool:
    parts = Path(path).relative_to(workspace).parts
    return len(parts) > 2 and parts[0] == "tables" and parts[1] in TABLES and run.tables.exists(parts[1])


def models_to_mend(store: ModelStore, erased: dict[str, int]) -> list[dict[str, object]]:
    """Versions of models that learned from a version of a table which held a user forgotten since."""
    told: list[dict[str, object]] = []
    for task in store.tasks():
        for version in store.versions(task):
            learned = read_card(store.folder(task, version)).get("data_versions", {})
            tables = [name for name, number in learned.items() if number < erased.get(name, 0)]
            if tables:
                told.append({"task": task, "version": version, "in_use": version == store.latest_version(task),
                             "learned_from": tables})  # fmt: skip
    return told


def _tell_models(run: "Run") -> None:
    models = models_to_mend(run.models, erased_versions(run))
    run.metric("models", models)
    for model in models:
        state = (
            "in use: run train again" if model["in_use"] else "not in use: job vacuum removes it, see retention.models"
        )
        run.log(f"model {model['task']} {model['version']} learned from rows of forgotten users; {state}")


def _tell_sources(run: "Run", needles: Needles, workspace: Path) -> None:
    """Name input files that still hold the users; of ids that are not telling, any word that is equal counts."""
    files: set[str] = set()
    for folder in source_folders(run.settings):
        own = [workspace] if workspace.is_relative_to(folder) else []
        files |= {str(folder)} if folder.is_file() else set(files_under(folder, own))
    wide = replace(needles, everywhere=True)
    holding = [found.path for found in search_with_spark(run.spark, sorted(files), wide, "") if found.places]
    run.metric("sources", {"searched": len(files), "hold_them": len(holding),
                           "files": [masked_text(path, wide) for path in holding[:_MOST_FILES]]})  # fmt: skip
    if holding:
        shown = ", ".join(masked_text(path, wide) for path in holding[:5])
        run.log(
            f"{len(holding)} input files still hold the users, which are not ours to change: mend the source. Clean drops "
            f"their rows. {shown}{' ...' if len(holding) > 5 else ''}"
        )


def _prove(run: "Run", needles: Needles, workspace: Path) -> None:
    """Search all bytes of the workspace once more. Raises TraceLeftError where an id is found."""
    searched = search_with_spark(run.spark, workspace_files(run.settings), needles, str(workspace))
    holding = [found for found in searched if found.places]
    left = _rows_in(run, run.tables.names(), People(needles))
    rows = [f"rows of table {name}" for name, found in left.items() if found]
    unread = [f"{found.path} ({found.unread})" for found in searched if found.unread]
    if unread:
        run.metric("unread", [masked_text(told, needles) for told in unread[:_MOST_FILES]])
        run.log(f"{len(unread)} files could be searched as they lie only, such as {masked_text(unread[0], needles)}")
    size = sum(found.bytes for found in searched)
    hits = len(holding) + len(rows)
    run.metric("proof", f"{len(searched):,} files, {size:,} bytes searched, {hits} hits")
    run.log(f"proof: {run.summary['metrics']['proof']}")
    if hits:
        named = [f"{found.path} ({', '.join(found.places)})" for found in holding[:_MOST_FILES]] + rows
        raise TraceLeftError(
            f"users that were to be forgotten are still in {masked_text('; '.join(named), needles)}: remove or mend "
            "these by hand (a model in use: run train), then run forget again"
        )
