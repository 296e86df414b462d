"""Delta tables in a workspace: written by Spark, committed in one step, read at any version.

Where Spark has the Delta JARs, they do the work. Elsewhere Spark writes the Parquet files to a staging folder, and the
``deltalake`` package commits them to the table's log from the driver. Either way a table is staged first, so that rows
can be counted and checked before anything is published.
"""

import json
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote

from attune.errors import InputError, nearest
from attune.schemas import TABLES, TableSchema

if TYPE_CHECKING:
    import pyarrow.fs
    from deltalake import DeltaTable
    from pyspark.sql import DataFrame, SparkSession

_NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"


def conform(df: "DataFrame", table: str) -> "DataFrame":
    """Select exactly the columns of a table, in order and in its types: the last step of every transform."""
    from pyspark.sql import functions as F

    return df.select(*(F.col(c.name).cast(c.type).alias(c.name) for c in TABLES[table].columns))


@dataclass(frozen=True)
class StagedFile:
    """One Parquet file of a staged table; ``path`` is relative to the table."""

    path: str
    size: int
    rows: int
    partition: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True)
class StagedTable:
    """Rows written beside a table and not yet visible in it."""

    name: str
    staging: str
    files: tuple[StagedFile, ...]

    @property
    def rows(self) -> int:
        """Number of rows staged."""
        return sum(file.rows for file in self.files)


@dataclass(frozen=True)
class Version:
    """One version of a table."""

    version: int
    timestamp: str
    operation: str
    rows: int
    run_id: str | None


class Tables:
    """The tables of one workspace. Only staging, publishing and reading rows need a Spark session."""

    def __init__(self, workspace: str, spark: "SparkSession | None" = None) -> None:
        self.root = f"{workspace.rstrip('/')}/tables"
        self._spark = spark

    @property
    def spark(self) -> "SparkSession":
        """The session; reading a version or a path needs none."""
        assert self._spark is not None, "this use of a table needs a Spark session"
        return self._spark

    def path(self, name: str) -> str:
        """Where a table lies. Raises InputError for a name that is no table of ours."""
        if name not in TABLES:
            raise InputError(f"{name} is not a table{nearest(name, TABLES)}")
        return f"{self.root}/{name}"

    def exists(self, name: str) -> bool:
        """Whether a table has been published."""
        from deltalake import DeltaTable

        return bool(DeltaTable.is_deltatable(self.path(name)))

    def names(self) -> list[str]:
        """Tables that have been published."""
        return [name for name in TABLES if self.exists(name)]

    def delta(self, name: str, version: int | None = None) -> "DeltaTable":
        """The log of a table at a version. Raises InputError where the table or the version does not exist."""
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        if not self.exists(name):
            raise InputError(f"table {name} does not exist in {self.root}: run the job that writes it first")
        try:
            return DeltaTable(self.path(name), version=version)
        except DeltaError:
            latest = DeltaTable(self.path(name)).version()
            raise InputError(f"table {name} has no version {version}: it has 0 to {latest}") from None

    def version(self, name: str) -> int:
        """Latest version of a table."""
        return int(self.delta(name).version())

    def rows(self, name: str, version: int | None = None) -> int:
        """Number of rows of a table, from its log alone."""
        actions = self.delta(name, version).get_add_actions(flatten=True)
        return sum(actions["num_records"].to_pylist()) if actions.num_rows else 0

    def history(self, name: str) -> list[Version]:
        """Versions of a table, latest first."""
        import datetime as dt

        versions = []
        for commit in self.delta(name).history():
            stamp = dt.datetime.fromtimestamp(commit["timestamp"] / 1000, dt.UTC).isoformat(timespec="seconds")
            rows = self.rows(name, commit["version"])
            versions.append(Version(commit["version"], stamp, commit["operation"], rows, commit.get("run_id")))
        return versions

    def metadata(self, name: str) -> dict[str, str]:
        """What the latest version of a table was published with."""
        (commit,) = self.delta(name).history(limit=1)
        return commit

    def read(self, name: str, version: int | None = None) -> "DataFrame":
        """Rows of a table, at its latest or an older version."""
        table = self.delta(name, version)
        if _has_delta_jars(self.spark):
            return self.spark.read.format("delta").option("versionAsOf", table.version()).load(self.path(name))
        struct = TABLES[name].struct()
        files = sorted(table.file_uris())
        if not files:
            return self.spark.createDataFrame([], struct)
        # Files of an earlier schema read as null in columns that they do not have.
        return self.spark.read.schema(struct).option("basePath", self.path(name)).parquet(*files).select(*struct.names)

    def stage(self, df: "DataFrame", name: str) -> StagedTable:
        """Write rows beside a table; they stay invisible until ``publish``. The frame must have the table's schema."""
        schema = TABLES[name]
        found = [(f.name, f.dataType) for f in df.schema.fields]
        expected = [(f.name, f.dataType) for f in schema.struct().fields]
        assert found == expected, f"{name}: {set(found) ^ set(expected)} differ from the schema; end with conform()"
        staging = f"{self.path(name)}/_staging-{uuid.uuid4().hex}"
        if schema.partition_by:
            # Without this every task writes a file into every partition.
            df = df.hint("rebalance", *schema.partition_by)
        df.write.partitionBy(*schema.partition_by).parquet(staging)
        return StagedTable(name, staging, tuple(_list_staged(staging)))

    def publish(
        self,
        staged: StagedTable,
        metadata: Mapping[str, str],
        replace: Literal["table", "partitions"] = "table",
    ) -> int:
        """Make staged rows the table, or its partitions that occur in them; one atomic commit. Returns the version."""
        if _has_delta_jars(self.spark):
            return self._publish_with_jars(staged, replace)
        from deltalake import CommitProperties, Schema
        from deltalake.transaction import AddAction, create_table_with_add_actions

        schema = TABLES[staged.name]
        delta_schema = Schema.from_json(schema.json())
        properties = CommitProperties(custom_metadata=dict(metadata))
        now = int(time.time() * 1000)
        actions = [
            AddAction(f.path, f.size, dict(f.partition), now, True, json.dumps({"numRecords": f.rows}))
            for f in staged.files
        ]
        self._move(staged)
        path, partition_by = self.path(staged.name), list(schema.partition_by)
        if not self.exists(staged.name):
            create_table_with_add_actions(
                path, delta_schema, actions, partition_by=partition_by, commit_properties=properties
            )
        else:
            filters = _partition_filters(schema, staged) if replace == "partitions" else None
            self.delta(staged.name).create_write_transaction(
                actions, "overwrite", delta_schema, partition_by, filters, commit_properties=properties
            )
        return self.version(staged.name)

    def discard(self, staged: Iterable[StagedTable]) -> None:
        """Remove staged rows that will not be published."""
        for table in staged:
            filesystem, path = _filesystem(table.staging)
            filesystem.delete_dir(path)

    def _move(self, staged: StagedTable) -> None:
        """Move staged files into the table; Spark gave them names that nobody else uses. Still invisible."""
        filesystem, source = _filesystem(staged.staging)
        _, target = _filesystem(self.path(staged.name))
        for folder in {file.path.rpartition("/")[0] for file in staged.files}:
            filesystem.create_dir(f"{target}/{folder}")
        for file in staged.files:
            filesystem.move(f"{source}/{file.path}", f"{target}/{file.path}")
        filesystem.delete_dir(source)

    def _publish_with_jars(self, staged: StagedTable, replace: str) -> int:
        schema = TABLES[staged.name]
        rows = self.spark.read.schema(schema.struct()).parquet(staged.staging).select(*schema.names)
        writer = rows.write.format("delta").partitionBy(*schema.partition_by).mode("overwrite")
        if replace == "partitions":
            writer = writer.option("partitionOverwriteMode", "dynamic")
        writer.save(self.path(staged.name))
        self.discard([staged])
        return self.version(staged.name)


def _list_staged(staging: str) -> Iterable[StagedFile]:
    import pyarrow.fs
    import pyarrow.parquet as pq

    filesystem, root = _filesystem(staging)
    for info in filesystem.get_file_info(pyarrow.fs.FileSelector(root, recursive=True)):
        if info.extension != "parquet" or info.base_name.startswith((".", "_")):
            continue
        rows = pq.read_metadata(info.path, filesystem=filesystem).num_rows
        if rows == 0:
            continue
        relative = info.path[len(root) + 1 :]
        pairs = [part.split("=", 1) for part in relative.split("/")[:-1]]
        partition = tuple((name, None if value == _NULL_PARTITION else unquote(value)) for name, value in pairs)
        yield StagedFile(relative, info.size, rows, partition)


def _partition_filters(schema: TableSchema, staged: StagedTable) -> list[tuple[str, str, Any]]:
    (column,) = schema.partition_by
    values = sorted({dict(file.partition)[column] or "" for file in staged.files})
    return [(column, "in", values)]


def _filesystem(uri: str) -> "tuple[pyarrow.fs.FileSystem, str]":
    import os

    import pyarrow.fs

    if "://" in uri or uri.startswith("file:"):
        filesystem, path = pyarrow.fs.FileSystem.from_uri(uri)
        return filesystem, path
    return pyarrow.fs.LocalFileSystem(), os.path.abspath(uri)


def _has_delta_jars(spark: "SparkSession") -> bool:
    """Whether Spark can read and write Delta tables itself."""
    return "delta" in (spark.conf.get("spark.sql.extensions", "") or "").lower()
