"""Files of a workspace outside its tables in which an erased user stands: mended where others need them, else removed.

Each is replaced in one step, so a run that was cut off leaves it as it was or mended.
"""

import gzip
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from attune.models.store import ModelStore
from attune.privacy.needles import Needles
from attune.privacy.rows import People, mask_mentions, rows_of
from attune.privacy.search import open_parquet, read_lines

_DRAFT = ".forget-"
_TEXT = {".json", ".jsonl", ".txt", ".log", ".csv", ".tsv", ".md", ".yaml", ".yml", ".html", ".xml"}
_LEARNING = ("checkpoints", "scratch")
"""Folders of trainings that were cut off, and of rows made ready for them: of no use once their tables have changed."""


def mend_files(workspace: Path, paths: Iterable[str], people: People) -> list[dict[str, str]]:
    """Mend or remove each of some files that hold ids. Returns what was done with which, in order; see ``mend_file``."""
    workspace = workspace.resolve()
    told = []
    for path in map(Path, paths):
        if path.exists():
            told.append({"file": str(path.relative_to(workspace)), "done": mend_file(workspace, path, people)})
    return told


def mend_file(workspace: Path, path: Path, people: People) -> str:
    """What is done with a file: a page of the report and what a run had only staged are removed, rows of the user in lists
    (JSON lines, CSV, Parquet) too; in other text and in SQLite the id is replaced. What remains is told by the proof."""
    parts = path.relative_to(workspace).parts
    if path.name == "report.html":
        path.unlink()
        return "removed: run report again"
    if parts[0] == "tables":
        if len(parts) > 2 and parts[1].startswith("_staging-"):
            shutil.rmtree(workspace / "tables" / parts[1])
            return "staged rows removed"
        return "left: it is part of no known table"
    if parts[0] == "models":
        return _mend_model(workspace, parts)
    with path.open("rb") as file:
        magic = file.read(16)
    if magic.startswith(b"SQLite format 3\0"):
        return _mend_sqlite(path, people.needles)
    if magic.startswith(b"PAR1"):
        return _mend_parquet(path, people)
    if _is_text(path):
        return _mend_text(path, people.needles, rows_go=parts[0] != "runs")
    if path.name.endswith((".crc", "-wal", "-shm")):
        path.unlink()
        return "removed"
    return "left: files of this kind cannot be mended"


def remove_unfinished_training(workspace: Path) -> list[str]:
    """Remove what trainings that were cut off left: their rows have changed, so none of it can be gone on from."""
    removed = []
    for name in _LEARNING:
        if (workspace / name).is_dir() and any((workspace / name).iterdir()):
            shutil.rmtree(workspace / name)
            removed.append(name)
    return removed


def _mend_model(workspace: Path, parts: tuple[str, ...]) -> str:
    store = ModelStore(str(workspace))
    if len(parts) < 4 or store.latest_version(parts[1]) == parts[2]:
        return "left: the model is in use; run train again, then forget again"
    shutil.rmtree(store.folder(parts[1], parts[2]))
    return f"removed model {parts[1]} {parts[2]}, which is not in use"


def _mend_text(path: Path, needles: Needles, rows_go: bool) -> str:
    content = read_lines(path)
    lines = content.splitlines(keepends=True)
    if rows_go and _is_list(path, lines):
        # A list file is rows of users; of logs and summaries each line is needed.
        kept = [line for line in lines if not needles.found_in(line)]
        mended, told = b"".join(kept), f"{len(lines) - len(kept)} rows erased"
    else:
        mended, told = needles.masked(content), "id replaced"
    _replace(path, lambda draft: draft.write_bytes(gzip.compress(mended) if path.suffix == ".gz" else mended))
    return told


def _mend_parquet(path: Path, people: People) -> str:
    rows = open_parquet(str(path)).read()
    for number, column in enumerate(rows.schema):
        if pa.types.is_dictionary(column.type):
            rows = rows.set_column(number, column.name, rows[column.name].cast(column.type.value_type))
    kept, _ = mask_mentions(rows.filter(pc.invert(rows_of(rows, people))), people.needles)
    # A schema of Arrow's own, kept in the file, may hold what pandas knew of the values.
    _replace(path, lambda draft: pq.write_table(kept.replace_schema_metadata(None), draft))
    return f"{len(rows) - len(kept)} rows erased"


def _mend_sqlite(path: Path, needles: Needles) -> str:
    def masked(value: str | bytes | None) -> str | bytes | None:
        if isinstance(value, str):
            return needles.masked(value.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")
        return needles.masked(value) if isinstance(value, bytes) else value

    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.create_function("masked", 1, masked)
        # Erased values are overwritten, also in pages that become free.
        database.execute("PRAGMA secure_delete = ON")
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        for (table,) in tables.fetchall():
            names = [row[1] for row in database.execute(f'PRAGMA table_info("{table}")')]
            for name in names:
                column = f'"{name}"'
                database.execute(
                    f"UPDATE \"{table}\" SET {column} = masked({column}) WHERE typeof({column}) IN ('text', 'blob') "
                    f"AND masked({column}) != {column}"
                )
        database.execute("VACUUM")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return "id replaced"


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file anew and put it in place of the old one; Hadoop's checksum of the old one goes, or Spark refuses the new."""
    draft = path.with_name(f"{_DRAFT}{path.name}")
    try:
        write(draft)
        path.with_name(f".{path.name}.crc").unlink(missing_ok=True)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _is_text(path: Path) -> bool:
    name = path.name.removesuffix(".gz")
    return Path(name).suffix in _TEXT


def _is_list(path: Path, lines: list[bytes]) -> bool:
    """Whether a text file is a list of rows: CSV, or a JSON object a line."""
    suffix = Path(path.name.removesuffix(".gz")).suffix
    if suffix in (".csv", ".tsv"):
        return True
    if suffix != ".jsonl" and not path.name.startswith("part-"):  # a document of one line
        return False
    try:
        return all(isinstance(json.loads(line), dict) for line in lines if line.strip())
    except ValueError:
        return False
