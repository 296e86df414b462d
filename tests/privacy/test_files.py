"""Files that hold an erased user are mended so that others can go on with them, or are told."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attune import config
from attune.jobs.forget import forget
from attune.models.store import ModelStore
from attune.privacy.files import mend_file, mend_files, remove_unfinished_training
from attune.privacy.forget import models_to_mend, source_folders, workspace_files
from attune.privacy.needles import Needles
from attune.privacy.rows import People
from attune.privacy.search import search_file

USER = "u0000017"
PEOPLE = People(Needles.of([USER]))


def mended(folder: Path, name: str, content: bytes | str) -> tuple[str, bytes]:
    """What is said of a file, and what it holds then; nothing where it is gone."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    told = mend_file(folder, path, PEOPLE)
    assert not list(folder.rglob(".forget-*"))
    return told, path.read_bytes() if path.exists() else b""


@pytest.mark.parametrize(
    ("name", "before", "told", "after"),
    [
        ("lists/a.csv", f"user_id,rank\n{USER},1\nu2,1\n", "1 rows erased", "user_id,rank\nu2,1\n"),
        ("lists/part-0.json", f'{{"u":"{USER}"}}\n{{"u":"u2"}}\n', "1 rows erased", '{"u":"u2"}\n'),
        ("optuna.json", f'{{"u": "{USER}", "n": 1}}', "id replaced", '{"u": "<user>", "n": 1}'),
        ("runs/r/log.jsonl", f'{{"m":"of {USER}"}}\n', "id replaced", '{"m":"of <user>"}\n'),
        ("runs/r/traceback.txt", f"at {USER}\nend", "id replaced", "at <user>\nend"),
        ("runs/r/report.html", USER, "removed: run report again", ""),
        ("tables/_staging-1/x/a.parquet", USER, "staged rows removed", ""),
        ("tables/unknown/a.parquet", USER, "left: it is part of no known table", USER),
        ("lists/.a.csv.crc", USER, "removed", ""),
        ("weights.bin", b"\0" + USER.encode(), "left: files of this kind cannot be mended", b"\0" + USER.encode()),
    ],
)
def test_each_kind_of_file_is_mended_in_its_way(
    tmp_path: Path, name: str, before: str | bytes, told: str, after: str | bytes
) -> None:
    assert mended(tmp_path, name, before) == (told, after if isinstance(after, bytes) else after.encode())


def test_a_parquet_list_keeps_its_other_rows_and_its_types(tmp_path: Path) -> None:
    rows = pa.table(
        {"user_id": pa.array([USER, "u2", "u2"]).dictionary_encode(), "why": [["a"], [f"like {USER}"], None]}
    )
    pq.write_table(rows, tmp_path / "a.parquet")
    (tmp_path / ".a.parquet.crc").write_text("x")
    assert mend_file(tmp_path, tmp_path / "a.parquet", PEOPLE) == "1 rows erased"
    assert pq.read_table(tmp_path / "a.parquet").to_pylist() == [
        {"user_id": "u2", "why": ["like <user>"]},
        {"user_id": "u2", "why": None},
    ]
    assert search_file(str(tmp_path / "a.parquet"), PEOPLE.needles).places == ()
    assert not (tmp_path / ".a.parquet.crc").exists()


def test_a_database_forgets_rows_that_were_deleted_too(tmp_path: Path) -> None:
    """SQLite leaves what was deleted in free pages."""
    file = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE runs (name TEXT PRIMARY KEY, note BLOB, n INTEGER)")
        database.executemany(
            "INSERT INTO runs VALUES (?, ?, ?)", [(f"a {USER}", f"b {USER}".encode(), 1), (f"c {USER}", None, 2)]
        )
        database.commit()
        database.execute("DELETE FROM runs WHERE n = 2")
        database.commit()
    assert mend_file(tmp_path, file, PEOPLE) == "id replaced"
    assert USER.encode() not in file.read_bytes()
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("SELECT * FROM runs").fetchall() == [("a <user>", b"b <user>", 1)]


def test_only_models_that_are_not_in_use_are_removed(tmp_path: Path) -> None:
    store = ModelStore(str(tmp_path))
    for version in ("v1", "v2"):
        store.save("ranker", version, lambda folder: None, {"data_versions": {"events": 3 if version == "v1" else 7}})
        (store.folder("ranker", version) / "users.txt").write_text(USER)
    (tmp_path / "models" / "ranker" / "latest").write_text("v2\n")
    paths = [str(store.folder("ranker", version) / "users.txt") for version in ("v1", "v2")]
    told = mend_files(tmp_path, paths, PEOPLE)
    assert [one["done"].partition(":")[0] for one in told] == ["removed model ranker v1, which is not in use", "left"]
    assert store.versions("ranker") == ["v2"]


def test_models_that_learned_from_a_user_are_named(tmp_path: Path) -> None:
    store = ModelStore(str(tmp_path))
    for version, learned in {
        "v1": {"events": 4, "items": 0},
        "v2": {"events": 5, "reviews": 1},
        "v3": {"items": 9},
    }.items():
        store.save("ranker", version, lambda folder: None, {"data_versions": learned})
    store.save("image_encoder", "e1", lambda folder: None, {})
    store.promote("ranker", "v2")
    assert models_to_mend(store, {"events": 5, "reviews": 2}) == [
        {"task": "ranker", "version": "v1", "in_use": False, "learned_from": ["events"]},
        {"task": "ranker", "version": "v2", "in_use": True, "learned_from": ["reviews"]},
    ]
    assert models_to_mend(store, {}) == []


def test_unfinished_trainings_go(tmp_path: Path) -> None:
    (tmp_path / "checkpoints" / "m").mkdir(parents=True)
    (tmp_path / "scratch").mkdir()
    assert remove_unfinished_training(tmp_path) == ["checkpoints"]
    assert not (tmp_path / "checkpoints").exists()


def settings(folder: Path, root: str | None) -> config.Config:
    columns = {"text_id": "id", "text": "text"}
    source = {"path": "texts", "format": "json", "schema": "id STRING, text STRING", "columns": columns}
    (folder / "s.yaml").write_text(
        json.dumps({"workspace": str(folder / "ws"), "inputs": {"root": root, "texts": source}})
    )
    return config.load([str(folder / "s.yaml")])


@pytest.mark.parametrize(
    ("root", "names"), [(None, ["ws/report.html"]), (".", ["ws/raw/texts/a.json", "ws/report.html"])]
)
def test_inputs_in_the_workspace_are_not_its_own(
    tmp_path: Path, root: str | None, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a workspace that lies among the inputs is one all the same."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ws" / "raw" / "texts").mkdir(parents=True)
    (tmp_path / "ws" / "raw" / "texts" / "a.json").write_text("{}")
    (tmp_path / "ws" / "report.html").write_text("x")
    given = settings(tmp_path, root)
    assert [Path(file).relative_to(tmp_path.resolve()).as_posix() for file in workspace_files(given)] == names
    assert (tmp_path / "ws" / "raw" if root is None else tmp_path).resolve() in source_folders(given)


def test_a_dry_run_tells_where_users_are_and_not_who(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings(tmp_path, None)
    for name in ("tables/events/ds=2020-01-01/a.parquet", "runs/r/log.jsonl", "report.html", "raw/texts/a.json"):
        (tmp_path / "ws" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "ws" / name).write_text(f"-{USER}-" if name != "report.html" else "-")
    arguments = ["--config", str(tmp_path / "s.yaml"), "--dry-run"]
    assert forget.main([*arguments, "--set", f"forget.users=[{USER}]"]) == 0
    told = capsys.readouterr().out
    assert "would erase 1 users, of whom 2 of 3 files" in told
    assert "\n  runs: 1 files\n  tables/events: 1 files\n" in told
    assert USER not in told
    assert forget.main(arguments) == 2
    assert "no user is given: set forget.users_file" in capsys.readouterr().err
    assert forget.main([*arguments, "--set", f"forget.users=[{USER}]", "--set", "catalog=main.shop"]) == 2
    assert "setting catalog: forget works on tables in the workspace's folders alone" in capsys.readouterr().err
