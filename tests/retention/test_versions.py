"""Old versions go for good, the latest stays as it is, whatever cuts the removal short."""

import json
import os
import time
from pathlib import Path

import pyarrow.fs
import pyarrow.parquet as pq
import pytest
from deltalake import CommitProperties, DeltaTable, Schema
from deltalake.transaction import AddAction, create_table_with_add_actions

from attune.errors import InputError
from attune.retention.versions import old_versions, oldest_since, remove_old_versions
from attune.schemas import TABLES
from attune.tables import Tables

DAY_MS = 86_400_000


def publish(tables: Tables, name: str, rows: dict[str, list[str]], **metadata: str) -> None:
    """A new version of a table by day, written without Spark: for each day the ids of its rows; other days stay."""
    import pyarrow as pa

    path, schema = tables.path(name), Schema.from_json(TABLES[name].json())
    actions = []
    for day, ids in rows.items():
        file = Path(path) / f"ds={day}" / f"part-{'-'.join(ids)}-{time.time_ns()}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"user_id": ids}), file)
        stats = json.dumps({"numRecords": len(ids)})
        relative = file.relative_to(path).as_posix()
        actions.append(AddAction(relative, file.stat().st_size, {"ds": day}, 0, True, stats))
    properties = CommitProperties(custom_metadata=metadata or None)
    if not tables.exists(name):
        create_table_with_add_actions(path, schema, actions, partition_by=["ds"], commit_properties=properties)
    else:
        DeltaTable(path).create_write_transaction(
            actions, "overwrite", schema, ["ds"], [("ds", "in", list(rows))], commit_properties=properties
        )


def files(tables: Tables, name: str, pattern: str = "**/*.parquet") -> set[str]:
    root = Path(tables.path(name))
    return {file.relative_to(root).as_posix() for file in root.glob(pattern) if "_delta_log" not in file.parts}


def ids(tables: Tables, name: str) -> list[str]:
    rows = [pq.read_table(file)["user_id"].to_pylist() for file in tables.delta(name).file_uris()]
    return sorted(user for part in rows for user in part)


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    """Table sessions of two days, of which the second was written three times."""
    tables = Tables(str(tmp_path))
    publish(tables, "sessions", {"2020-01-01": ["a"], "2020-01-02": ["b"]})
    publish(tables, "sessions", {"2020-01-02": ["c"]})
    publish(tables, "sessions", {"2020-01-02": ["d"]}, origin='{"k": 1}', run_id="r2")
    return tables


def age(path: Path, days: float) -> None:
    then = time.time() - days * 86400
    os.utime(path, (then, then))


def test_versions_before_one_are_gone_with_their_files_and_their_log(tables: Tables) -> None:
    old = old_versions(tables, "sessions", 2)
    assert sorted(Path(path).name[5] for path, _ in old.data) == ["b", "c"]
    assert old.bytes == sum(Path(path).stat().st_size for path, _ in (*old.data, *old.log)) > 0
    remove_old_versions(tables, old)
    assert ids(tables, "sessions") == ["a", "d"]
    assert tables.version("sessions") == 2
    assert tables.origin_of("sessions") == {"origin": '{"k": 1}'}
    assert len(files(tables, "sessions")) == 2
    assert [(version.version, version.rows, version.run_id) for version in tables.history("sessions")] == [(2, 2, "r2")]
    with pytest.raises(InputError, match="sessions has no version 1: it has 2 to 2"):
        tables.delta("sessions", 1)


def test_versions_that_stay_are_whole(tables: Tables) -> None:
    remove_old_versions(tables, old_versions(tables, "sessions", 1))
    assert [version.version for version in tables.history("sessions")] == [2, 1]
    for version, letters in ((1, {"a", "c"}), (2, {"a", "d"})):
        assert {Path(file).name[5] for file in tables.delta("sessions", version).file_uris()} == letters
        assert all(Path(file).exists() for file in tables.delta("sessions", version).file_uris())
    publish(tables, "sessions", {"2020-01-01": ["e"]})
    assert ids(tables, "sessions") == ["d", "e"]
    remove_old_versions(tables, old_versions(tables, "sessions", 3))
    assert ids(tables, "sessions") == ["d", "e"]
    assert len(files(tables, "sessions")) == 2


def test_a_removal_that_is_cut_short_is_finished_by_the_next(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    """After whichever file it stops, the latest version reads, and the next removal leaves nothing."""
    delete = pyarrow.fs.LocalFileSystem.delete_file
    total = len(old_versions(tables, "sessions", 2).data) + len(old_versions(tables, "sessions", 2).log)
    for _ in range(total):
        left = 1

        class Once(pyarrow.fs.LocalFileSystem):
            def delete_file(self, path: str) -> None:
                nonlocal left
                if not left:
                    raise KeyboardInterrupt
                left -= 1
                delete(self, path)

        monkeypatch.setattr("attune.retention.versions.filesystem_of", lambda uri: (Once(), os.path.abspath(uri)))
        old = old_versions(tables, "sessions", 2, lambda path: True)
        if len(old.data) + len(old.log) > 1:
            with pytest.raises(KeyboardInterrupt):
                remove_old_versions(tables, old)
        else:
            remove_old_versions(tables, old)
        assert ids(tables, "sessions") == ["a", "d"]
    assert len(files(tables, "sessions")) == 2
    assert not old_versions(tables, "sessions", 2).log


def test_files_that_no_version_names_stay_while_a_run_may_be_about_to_commit_them(tables: Tables) -> None:
    root = Path(tables.path("sessions")) / "ds=2020-01-02"
    for name, days in (("young", 0.0), ("old", 3.0)):
        (root / f"part-{name}.parquet").write_bytes(b"x")
        (root / f".part-{name}.parquet.crc").write_bytes(b"x")
        for file in root.glob(f"*{name}.parquet*"):
            age(file, days)
    oldest = tables.version("sessions")
    found = {Path(path).name for path, _ in old_versions(tables, "sessions", oldest).data}
    assert {"part-old.parquet", ".part-old.parquet.crc"} <= found
    assert "part-young.parquet" not in found
    also = old_versions(tables, "sessions", oldest, lambda path: "young.parquet" in path)
    assert {"part-young.parquet", ".part-young.parquet.crc"} <= {Path(path).name for path, _ in also.data}


def test_checksums_stay_with_their_files(tables: Tables) -> None:
    root = Path(tables.path("sessions"))
    for file in list(root.glob("**/*.parquet")):
        file.with_name(f".{file.name}.crc").write_bytes(b"x")
    remove_old_versions(tables, old_versions(tables, "sessions", 2))
    left = files(tables, "sessions", "**/*")
    assert sum(name.endswith(".crc") for name in left) == 2
    assert sum(name.endswith(".parquet") for name in left) == 2


def test_the_version_of_a_day_is_the_one_that_was_latest_then(tables: Tables) -> None:
    commits = {commit["version"]: commit["timestamp"] for commit in tables.delta("sessions").history()}
    assert oldest_since(tables, "sessions", commits[2]) == 2
    assert oldest_since(tables, "sessions", commits[1]) in (1, 2)  # commits may fall into one millisecond
    assert oldest_since(tables, "sessions", commits[0] - DAY_MS) == 0
    assert oldest_since(tables, "sessions", commits[2] + DAY_MS) == 2
