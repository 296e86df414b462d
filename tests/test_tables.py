"""Readers see whole versions only, old ones stay readable, and other engines read the same rows."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from deltalake import DeltaTable
from pyspark.sql import functions as F

from attune.errors import InputError
from attune.tables import Tables, conform
from delta_catalog import DeltaCatalog

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@pytest.fixture
def tables(spark: "SparkSession", tmp_path: Path) -> Tables:
    return Tables(str(tmp_path), spark)


@pytest.fixture(params=["folders", "catalog"])
def any_tables(request: pytest.FixtureRequest, spark: "SparkSession", tmp_path: Path) -> Tables:
    """Both kinds of tables, which keep the same promises."""
    return (
        Tables(str(tmp_path), spark) if request.param == "folders" else DeltaCatalog(str(tmp_path), "main.shop", spark)
    )


def vectors(spark: "SparkSession", kind: str, *ids: str) -> "DataFrame":
    rows = [(i, kind, [1.0, 0.0], "v1") for i in ids]
    return conform(
        spark.createDataFrame(rows, "id string, kind string, vector array<double>, model_version string"), "embeddings"
    )


def ids(tables: Tables, version: int | None = None) -> list[str]:
    return sorted(row["id"] for row in tables.read("embeddings", version).collect())


def test_staged_rows_are_invisible_until_published(spark: "SparkSession", any_tables: Tables) -> None:
    any_tables.publish(any_tables.stage(vectors(spark, "user", "a"), "embeddings"), {})
    staged = any_tables.stage(vectors(spark, "user", "b", "c"), "embeddings")
    assert staged.rows == 2
    assert ids(any_tables) == ["a"]
    any_tables.publish(staged, {})
    assert ids(any_tables) == ["b", "c"]


def test_old_versions_stay_readable(spark: "SparkSession", any_tables: Tables) -> None:
    for name in ("a", "b"):
        any_tables.publish(any_tables.stage(vectors(spark, "user", name), "embeddings"), {"run_id": f"run-{name}"})
    assert ids(any_tables, version=0) == ["a"]
    assert [(v.version, v.rows, v.run_id) for v in any_tables.history("embeddings")] == [
        (1, 1, "run-b"),
        (0, 1, "run-a"),
    ]
    with pytest.raises(InputError, match="embeddings has no version 7"):
        any_tables.read("embeddings", 7)


def test_replacing_partitions_leaves_the_others(spark: "SparkSession", any_tables: Tables) -> None:
    both = vectors(spark, "user", "u").unionByName(vectors(spark, "item", "i"))
    any_tables.publish(any_tables.stage(both, "embeddings"), {})
    any_tables.publish(any_tables.stage(vectors(spark, "item", "j"), "embeddings"), {}, replace="partitions")
    assert ids(any_tables) == ["j", "u"]


@pytest.mark.parametrize("committed", [False, True])
def test_files_of_a_commit_that_fails_are_removed_and_those_of_one_that_does_not_are_kept(
    spark: "SparkSession", tables: Tables, monkeypatch: pytest.MonkeyPatch, committed: bool
) -> None:
    """On a full disk they would take the room; and an error may come after the commit."""
    tables.publish(tables.stage(vectors(spark, "user", "a"), "embeddings"), {})
    commit = DeltaTable.create_write_transaction

    def fail(*arguments: object, **named: object) -> None:
        if committed:
            commit(*arguments, **named)
        raise OSError("no room")

    staged = tables.stage(vectors(spark, "user", "b"), "embeddings")
    monkeypatch.setattr(DeltaTable, "create_write_transaction", fail)
    with pytest.raises(OSError, match="no room"):
        tables.publish(staged, {})
    assert ids(tables) == (["b"] if committed else ["a"])
    files = [file for file in Path(tables.root).rglob("*.parquet") if "_staging" not in str(file)]
    assert len(files) == (2 if committed else 1)


def test_staging_that_fails_leaves_nothing(spark: "SparkSession", tables: Tables) -> None:
    failing = vectors(spark, "user", "a").withColumn("id", F.raise_error(F.lit("a bug")).cast("string"))
    with pytest.raises(Exception, match="a bug"):
        tables.stage(conform(failing, "embeddings"), "embeddings")
    assert not list(Path(tables.root).glob("*"))


def test_a_table_can_be_published_empty(spark: "SparkSession", any_tables: Tables) -> None:
    for frame in (vectors(spark, "user", "a"), vectors(spark, "user", "a").limit(0)):
        any_tables.publish(any_tables.stage(frame, "embeddings"), {})
    assert ids(any_tables) == []
    assert any_tables.rows("embeddings") == 0


def test_discarded_rows_leave_nothing_behind(spark: "SparkSession", tables: Tables, tmp_path: Path) -> None:
    tables.discard([tables.stage(vectors(spark, "user", "a"), "embeddings")])
    assert list(tmp_path.rglob("*.parquet")) == []
    assert not tables.exists("embeddings")


def test_partition_values_survive_other_scripts(spark: "SparkSession", tables: Tables) -> None:
    """Of folders: the stand-in for a catalog reads values from paths, which Databricks does not."""
    kinds = ["a b", "日本"]
    frame = vectors(spark, "user", "u").limit(0)
    for kind in kinds:
        frame = frame.unionByName(vectors(spark, kind, "u"))
    tables.publish(tables.stage(frame, "embeddings"), {})
    assert sorted(row["kind"] for row in tables.read("embeddings").collect()) == sorted(kinds)


def test_another_reader_finds_the_same_rows(spark: "SparkSession", tables: Tables) -> None:
    tables.publish(tables.stage(vectors(spark, "item", "a", "b"), "embeddings"), {})
    log = tables.delta("embeddings")
    assert log.schema().to_json().count('"name"') == 4
    actions = log.get_add_actions(flatten=True)
    assert sum(actions["num_records"].to_pylist()) == 2
    assert set(actions["partition.kind"].to_pylist()) == {"item"}


def test_an_unknown_table_is_named_with_the_nearest(tables: Tables) -> None:
    with pytest.raises(InputError, match=r"embedings is not a table; did you mean 'embeddings'\?"):
        tables.path("embedings")
    with pytest.raises(InputError, match=r"table items does not exist in .*: run the job that writes it first"):
        tables.read("items")
