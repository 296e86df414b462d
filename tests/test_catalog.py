"""Tables under catalog names: what Spark is asked for, and what only they promise. The rest stands in test_tables.py."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from attune import config
from attune.catalog import CatalogTables, condition, open_tables, told
from attune.errors import InputError, MissingError
from attune.tables import StagedTable, Tables, conform
from delta_catalog import DeltaCatalog

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


class Recorder:
    """Takes every call, notes it and answers with itself."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        def note(*values: Any, **named: Any) -> "Recorder":
            self.calls.append((name, *values, *([named] if named else [])))
            return self

        return note


def session_with(extensions: str) -> Any:
    return SimpleNamespace(conf=SimpleNamespace(get=lambda key, default: extensions))


@pytest.mark.parametrize(("extensions", "runtime"), [("io.delta.sql.DeltaSparkSessionExtension", None), ("", "15.4")])
def test_the_setting_decides_and_needs_delta_in_spark(
    extensions: str, runtime: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABRICKS_RUNTIME_VERSION", raising=False)
    settings = config.load([], ["catalog=main.shop"])
    assert type(open_tables(config.load([]), session_with(""))) is Tables
    with pytest.raises(MissingError, match=r"setting catalog: tables of main.shop need a Spark with Delta Lake"):
        open_tables(settings, session_with(""))
    if runtime is not None:
        monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", runtime)
    tables = open_tables(settings, session_with(extensions))
    assert (type(tables), tables.place, tables.path("events")) == (CatalogTables, "main.shop", "main.shop.events")
    assert tables.root == "workspace/tables"  # rows are staged there
    with pytest.raises(InputError, match="evnts is not a table; did you mean 'events'"):
        tables.path("evnts")


def test_values_are_quoted_and_dates_are_dates() -> None:
    assert condition("events", {"2026-03-02", "2026-03-01"}) == "`ds` IN (DATE'2026-03-01', DATE'2026-03-02')"
    assert condition("embeddings", ["it's", "a\\"]) == "`kind` IN ('a\\\\', 'it\\'s')"
    assert condition("events", []) == "false"


def test_commits_of_others_tell_nothing() -> None:
    assert told('{"job": "clean"}') == {"job": "clean"}
    assert told("by hand") == told(None) == told("[1]") == {}


class Named(CatalogTables):
    """Tables of which some exist; rows and Spark only take notes."""

    def __init__(self, *existing: str) -> None:
        super().__init__("ws", "my-catalog.shop")
        self.existing, self.written = existing, Recorder()

    def exists(self, name: str) -> bool:
        return name in self.existing

    def version(self, name: str) -> int:
        return 7

    def read_staged(self, staged: StagedTable) -> Any:
        return SimpleNamespace(write=self.written)


@pytest.mark.parametrize(
    ("existing", "replace", "days", "mode", "options"),
    [
        ([], "partitions", ["2026-03-01"], "overwrite", {"overwriteSchema": "true"}),
        (["events"], "table", [], "overwrite", {"overwriteSchema": "true"}),
        (["events"], "nothing", [], "append", {"mergeSchema": "true"}),
        (["events"], "partitions", [], "append", {"mergeSchema": "true"}),
        (["events"], "partitions", ["2026-03-01"], "overwrite",
         {"mergeSchema": "true", "replaceWhere": "`ds` IN (DATE'2026-03-01')"}),
    ],
)  # fmt: skip
def test_what_is_replaced_is_said_to_spark(
    existing: list[str], replace: Any, days: list[str], mode: str, options: dict[str, str]
) -> None:
    """An overwrite without replaceWhere would take the other days with it."""
    tables = Named(*existing)
    assert tables.publish(StagedTable("events", (), ()), {"run_id": "r", "job": "clean"}, replace, days) == 7
    assert tables.written.calls == [
        ("format", "delta"),
        ("mode", mode),
        ("partitionBy", "ds"),
        ("options", {"userMetadata": '{"job": "clean", "run_id": "r"}'} | options),
        ("saveAsTable", "`my-catalog`.`shop`.`events`"),
    ]


def test_what_is_read_is_said_in_sql() -> None:
    spark = Recorder()
    tables = CatalogTables("ws", "my-catalog.shop", spark)  # type: ignore[arg-type]
    tables._select("events", None)
    tables._select("events", 3)
    tables._history("events", 1)
    assert [call[1] for call in spark.calls if call[0] == "sql"] == [
        "SELECT * FROM `my-catalog`.`shop`.`events`",
        "SELECT * FROM `my-catalog`.`shop`.`events` VERSION AS OF 3",
        "DESCRIBE HISTORY `my-catalog`.`shop`.`events` LIMIT 1",
    ]


def test_an_engine_with_delta_keeps_versions_by_name(tmp_path: Path) -> None:
    """What Spark is asked for, carried out: Sail takes the place of Spark, and writes Delta tables by name."""
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, str(root / "tests" / "catalog_program.py"), str(tmp_path)], capture_output=True, text=True,
        check=False, env=os.environ | {"PYTHONPATH": os.pathsep.join([str(root / "lib"), *sys.path])}, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "exists": [False, True],
        "versions": [["a1", "b1"], ["a1", "b1", "b2"], ["it's"]],
        "latest": ["it's"],
        "partition": ["b1", "b2"],
        "partitions": ["i"],
        "rows": 2,
        "lookup": [{"id": "it's", "kind": "i"}],
    }
    assert list(tmp_path.rglob("_delta_log")), "no Delta table was written"


def vectors(spark: "SparkSession", *ids: str) -> "DataFrame":
    rows = [(name, name[0], [1.0], "v1") for name in ids]
    columns = "id string, kind string, vector array<double>, model_version string"
    return conform(spark.createDataFrame(rows, columns), "embeddings")


def test_rows_files_and_origins_are_found_by_name(spark: "SparkSession", tmp_path: Path) -> None:
    """What daily features and ``attune why`` ask; upkeep that Databricks does by itself makes nothing outdated."""
    tables = DeltaCatalog(str(tmp_path), "main.shop", spark)
    with pytest.raises(
        InputError, match=r"table main.shop.embeddings does not exist: run the job that writes it first"
    ):
        tables.version("embeddings")
    for ids in (["a1", "b1"], ["b2"]):
        staged = tables.stage(vectors(spark, *ids), "embeddings")
        tables.publish(staged, {"run_id": ids[0], "origin": f"from {ids[0]}"}, "partitions")
    assert tables.partitions("embeddings") == {"a", "b"}
    assert tables.rows("embeddings", partitions={"b"}) == tables.rows("embeddings", 0, {"a"}) == 1
    assert {kind for _, kind in tables.files("embeddings", 0) ^ tables.files("embeddings", 1)} == {"b"}
    with pytest.raises(InputError, match=r"main\.shop\.embeddings"):
        tables.files("embeddings", 9)
    assert tables.lookup("embeddings", "id", ["b2", "b1", "it's"], ["id", "kind"]) == [{"id": "b2", "kind": "b"}]
    tables.publish(tables.stage(vectors(spark, "b3"), "embeddings"), {"origin": "from b3"}, "nothing")
    tables.upkeep("embeddings")
    assert tables.metadata("embeddings")["origin"] == "from b3"
    assert (tables.rows("embeddings"), tables.history("embeddings")[-1].run_id) == (3, "a1")
    # Spark itself looks for a name of three parts.
    assert not CatalogTables(str(tmp_path), "spark_catalog.default", spark).exists("embeddings")
    # Spark's own parser takes the text that asks for a version.
    parser = spark._jsparkSession.sessionState().sqlParser()
    plan = parser.parsePlan("SELECT * FROM `my-catalog`.`shop`.`events` VERSION AS OF 3").toString()
    assert "RelationTimeTravel" in plan
