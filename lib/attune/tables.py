"""Delta tables in a workspace: written by Spark, committed in one step, read at any version.

Where Spark has the Delta JARs, they do the work. Elsewhere Spark writes the Parquet files to a staging folder, and the
``deltalake`` package commits them to the table's log from the driver. Either way a table is staged first, so that rows
can be counted and checked before anything is published.
"""

import json
import os
import time
import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial, reduce
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote

from attune.errors import InputError, nearest
from attune.schemas import TABLES
from attune.session import is_before_4
from attune.staging import REPORT, Make, StagedFile, filesystem_of, write_partition

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from pyspark.sql import DataFrame, SparkSession

_NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
_TABLE = "_table"
_STALE_SECONDS = 2 * 86400
"""Age from which a staging folder is taken for one that a killed run left."""

Replace = Literal["table", "partitions", "nothing"]
"""What staged rows take the place of: all rows, the rows of some partitions, or none."""


def conform(df: "DataFrame", table: str) -> "DataFrame":
    """Select exactly the columns of a table, in order and in its types: the last step of every transform."""
    from pyspark.sql import functions as F

    return df.select(*(F.col(c.name).cast(c.type).alias(c.name) for c in TABLES[table].columns))


@dataclass(frozen=True)
class StagedTable:
    """Rows written beside a table and not yet visible in it."""

    name: str
    folders: tuple[str, ...]
    files: tuple[StagedFile, ...]

    @property
    def rows(self) -> int:
        """Number of rows staged."""
        return sum(file.rows for file in self.files)

    @property
    def partitions(self) -> set[str]:
        """Values of the column that the table is partitioned by, of the rows staged."""
        (column,) = TABLES[self.name].partition_by
        return {dict(file.partition)[column] or "" for file in self.files}

    def __add__(self, other: "StagedTable") -> "StagedTable":
        """Rows of both, to be published in one commit."""
        assert self.name == other.name
        return StagedTable(self.name, self.folders + other.folders, self.files + other.files)

    def only(self, partitions: Collection[str]) -> "StagedTable":
        """The rows of some partitions; the others are removed with the staging folder."""
        (column,) = TABLES[self.name].partition_by
        kept = tuple(file for file in self.files if dict(file.partition)[column] in partitions)
        return StagedTable(self.name, self.folders, kept)


@dataclass(frozen=True)
class Version:
    """One version of a table."""

    version: int
    timestamp: str
    operation: str
    rows: int
    run_id: str | None


def known(name: str) -> str:
    """The name of a table of ours. Raises InputError for any other."""
    if name not in TABLES:
        raise InputError(f"{name} is not a table{nearest(name, TABLES)}")
    return name


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

    @property
    def place(self) -> str:
        """Where the tables lie, as people are told."""
        return self.root

    def path(self, name: str) -> str:
        """Where a table lies. Raises InputError for a name that is no table of ours."""
        return f"{self.root}/{known(name)}"

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
            found = [commit["version"] for commit in DeltaTable(self.path(name)).history()]
            raise InputError(f"table {name} has no version {version}: it has {min(found)} to {max(found)}") from None

    def version(self, name: str) -> int:
        """Latest version of a table."""
        return int(self.delta(name).version())

    def identity(self, name: str) -> str:
        """What tells a table from one that was removed and made again under its name."""
        return str(self.delta(name).metadata().id)

    def rows(self, name: str, version: int | None = None, partitions: Collection[str] | None = None) -> int:
        """Number of rows of a table, or of some of its partitions, from its log alone."""
        actions = self.delta(name, version).get_add_actions(flatten=True)
        if not actions.num_rows:
            return 0
        counts = actions["num_records"].to_pylist()
        if partitions is None:
            return sum(counts)
        values = actions[f"partition.{TABLES[name].partition_by[0]}"].to_pylist()
        return sum(count for count, value in zip(counts, values, strict=True) if str(value) in partitions)

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

    def origin_of(self, name: str) -> dict[str, str]:
        """What the latest version of a table was made from and as of when, to be kept where only rows of it go."""
        return {key: value for key, value in self.metadata(name).items() if key in ("origin", "as_of")}

    def read(self, name: str, version: int | None = None, partitions: Collection[str] | None = None) -> "DataFrame":
        """Rows of a table, at its latest or an older version; of all partitions, or of those with these values."""
        from pyspark.sql import functions as F

        table, schema = self.delta(name, version), TABLES[name]
        if has_delta_jars(self.spark):
            rows = self.spark.read.format("delta").option("versionAsOf", table.version()).load(self.path(name))
            return rows if partitions is None else rows.where(F.col(schema.partition_by[0]).isin(*partitions))
        filters = None if partitions is None else [(schema.partition_by[0], "in", sorted(partitions))]
        files = sorted(table.file_uris(filters)) if partitions is None or partitions else []
        return self._read_files(name, files, self.path(name))

    def read_staged(self, staged: "StagedTable") -> "DataFrame":
        """Rows that are staged and not yet published."""
        parts = [self._read_files(staged.name, [f"{f.folder}/{f.path}" for f in staged.files if f.folder == folder], folder)
                 for folder in staged.folders]  # fmt: skip
        return reduce(lambda a, b: a.unionByName(b), parts)

    def partitions(self, name: str) -> set[str]:
        """Values of the column that a table is partitioned by, from its log alone."""
        (column,) = TABLES[name].partition_by
        return {str(partition[column]) for partition in self.delta(name).partitions()}

    def files(self, name: str, version: int) -> set[tuple[str, str]]:
        """Files of a version with their partitions, from its log alone. Raises InputError where the version is gone."""
        (column,) = TABLES[name].partition_by
        actions = self.delta(name, version).get_add_actions(flatten=True)
        if not actions.num_rows:
            return set()
        return set(zip(actions["path"].to_pylist(), map(str, actions[f"partition.{column}"].to_pylist()), strict=True))

    def lookup(
        self, name: str, key: str, values: Collection[str], columns: Collection[str] | None = None
    ) -> list[dict[str, Any]]:
        """Latest rows of a table whose key is one of some values, read without Spark."""
        import pyarrow.dataset as ds

        files = self.delta(name).file_uris()
        if not files:
            return []
        wanted = ds.field(key).isin(list(values))
        rows: list[dict[str, Any]] = (
            ds.dataset(files, format="parquet").to_table(columns=columns and list(columns), filter=wanted).to_pylist()
        )
        return rows

    def _read_files(self, name: str, files: list[str], base: str) -> "DataFrame":
        struct = TABLES[name].struct()
        if not files:
            return self.spark.createDataFrame([], struct)
        # Files of an earlier schema read as null in columns that they do not have.
        return self.spark.read.schema(struct).option("basePath", base).parquet(*files).select(*struct.names)

    def stage(self, df: "DataFrame", name: str) -> StagedTable:
        """Write rows beside a table; they stay invisible until ``publish``. The frame must have the table's schema."""
        schema = TABLES[name]
        found = [(f.name, f.dataType) for f in df.schema.fields]
        expected = [(f.name, f.dataType) for f in schema.struct().fields]
        assert found == expected, f"{name}: {set(found) ^ set(expected)} differ from the schema; end with conform()"
        staging = self._staging()
        if schema.partition_by:
            # Without this every task writes a file into every partition. Spark 3 takes no column for a hint from Python; there
            # a partition is written by one task, however large it is.
            df = (
                df.repartition(*schema.partition_by)
                if is_before_4(self.spark)
                else df.hint("rebalance", *schema.partition_by)
            )
        try:
            df.write.partitionBy(*schema.partition_by).parquet(staging)
        except BaseException:
            _remove_staging(staging)
            raise
        return StagedTable(name, (staging,), tuple(_list_staged(staging)))

    def stage_by_tasks(
        self, rows: "DataFrame", make: Make, names: Collection[str]
    ) -> tuple[dict[str, StagedTable], Counter[str]]:
        """Have each task make rows of several tables of its partition and write them itself: one pass, no listing.

        Args:
            make: from all rows of a partition, rows of the tables, and numbers that are summed up; see ``staging.Make``.
            names: tables of which the rows are written.

        Returns:
            The staged tables, and the sums. A task that was tried twice counts once, in both.
        """
        staging = self._staging()
        folders = {name: f"{staging}/{_TABLE}={name}" for name in names}
        files: list[StagedFile] = []
        sums: Counter[str] = Counter()
        try:
            reports = rows.mapInArrow(partial(write_partition, make, folders), REPORT).collect()
        except BaseException:
            _remove_staging(staging)
            raise
        for report in reports:
            told = json.loads(report[0])
            files += (
                StagedFile(**file | {"partition": tuple(map(tuple, file["partition"]))}) for file in told["files"]
            )
            sums.update(told["counts"])
        return {
            name: StagedTable(name, (folder,), tuple(file for file in files if file.folder == folder))
            for name, folder in folders.items()
        }, sums

    def _staging(self) -> str:
        """A new folder for staged rows, beside the tables so that moving them is a rename; old ones are removed."""
        import pyarrow.fs

        filesystem, root = filesystem_of(self.root)
        for info in filesystem.get_file_info(pyarrow.fs.FileSelector(root, allow_not_found=True)):
            age = time.time() - (info.mtime_ns or time.time_ns()) / 1e9
            if info.base_name.startswith("_staging-") and age > _STALE_SECONDS:
                filesystem.delete_dir(info.path)
        return f"{self.root}/_staging-{uuid.uuid4().hex}"

    def publish(
        self,
        staged: StagedTable,
        metadata: Mapping[str, str],
        replace: Replace = "table",
        partitions: Collection[str] = (),
    ) -> int:
        """Make staged rows the table, its partitions or more of its rows; one atomic commit. Returns the version.

        Args:
            partitions: values of partitions to replace besides those of the staged rows: they may have become empty.
        """
        if has_delta_jars(self.spark):
            return self._publish_with_jars(staged, replace, partitions)
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
        path, partition_by = self.path(staged.name), list(schema.partition_by)
        with self._moved(staged):
            if not self.exists(staged.name):
                create_table_with_add_actions(
                    path, delta_schema, actions, partition_by=partition_by, commit_properties=properties
                )
            else:
                filters = _partition_filters(staged, partitions) if replace == "partitions" else None
                mode: Literal["append", "overwrite"] = "append" if replace == "nothing" else "overwrite"
                self.delta(staged.name).create_write_transaction(
                    actions, mode, delta_schema, partition_by, filters, commit_properties=properties
                )
        return self.version(staged.name)

    def commit_nothing(self, name: str, metadata: Mapping[str, str]) -> int:
        """A new version of a table with the same rows, so that the commit before it is history. Returns the version."""
        from deltalake import CommitProperties

        table = self.delta(name)
        properties = CommitProperties(custom_metadata=dict(metadata))
        partition_by = list(TABLES[name].partition_by)
        table.create_write_transaction([], "append", table.schema(), partition_by, commit_properties=properties)
        return self.version(name)

    def drop_partitions(self, name: str, before: str, metadata: Mapping[str, str]) -> int:
        """Remove the rows of all days before one (YYYY-MM-DD) from a table by day, in one commit. Returns the version."""
        from deltalake import CommitProperties

        (column,) = TABLES[name].partition_by
        properties = CommitProperties(custom_metadata=dict(metadata))
        self.delta(name).delete(f"{column} < '{before}'", commit_properties=properties)
        return self.version(name)

    def discard(self, staged: Iterable[StagedTable]) -> None:
        """Remove staged rows that will not be published."""
        for table in staged:
            for folder in table.folders:
                _remove_staging(folder)

    @contextmanager
    def _moved(self, staged: StagedTable) -> Iterator[None]:
        """Move staged files into the table, invisible until they are committed within; else they are removed."""
        filesystem, target = filesystem_of(self.path(staged.name))
        try:
            for folder in {file.path.rpartition("/")[0] for file in staged.files}:
                filesystem.create_dir(f"{target}/{folder}")
            for file in staged.files:
                # Their names are nobody else's.
                filesystem.move(f"{filesystem_of(file.folder)[1]}/{file.path}", f"{target}/{file.path}")
            self.discard([staged])
            yield
        except BaseException:
            # An error after the commit, such as in housekeeping of the log, leaves files that belong to the table.
            listed = self._listed_files(staged.name)
            for file in staged.files:
                path = f"{target}/{file.path}"
                if file.path.rpartition("/")[2] not in listed and filesystem.get_file_info(path).is_file:
                    filesystem.delete_file(path)
            raise

    def _listed_files(self, name: str) -> set[str]:
        """Names of the files of the latest version of a table, without folders; none where it was never published."""
        if not self.exists(name):
            return set()
        paths = self.delta(name).get_add_actions(flatten=True)["path"].to_pylist()
        return {path.rpartition("/")[2] for path in paths}

    def _publish_with_jars(self, staged: StagedTable, replace: Replace, partitions: Collection[str]) -> int:
        schema = TABLES[staged.name]
        rows = self.read_staged(staged)
        mode = "append" if replace == "nothing" else "overwrite"
        writer = rows.write.format("delta").partitionBy(*schema.partition_by).mode(mode)
        if replace == "partitions":
            ((column, _, values),) = _partition_filters(staged, partitions)
            listed = ", ".join(f"'{value}'" for value in values)
            writer = writer.option("replaceWhere", f"{column} IN ({listed})")
        writer.save(self.path(staged.name))
        self.discard([staged])
        return self.version(staged.name)


def _list_staged(staging: str) -> Iterable[StagedFile]:
    """Files with rows under a folder, with what their footers tell."""
    import pyarrow.fs
    import pyarrow.parquet as pq

    filesystem, root = filesystem_of(staging)
    found = filesystem.get_file_info(pyarrow.fs.FileSelector(root, recursive=True, allow_not_found=True))
    parquet = [i for i in found if i.extension == "parquet" and not i.base_name.startswith((".", "_"))]
    with ThreadPoolExecutor(16) as threads:
        num_rows = threads.map(lambda info: pq.read_metadata(info.path, filesystem=filesystem).num_rows, parquet)
    for info, rows in zip(parquet, num_rows, strict=True):
        if rows == 0:
            continue
        relative = info.path[len(root) + 1 :]
        pairs = [part.split("=", 1) for part in relative.split("/")[:-1]]
        partition = tuple((name, None if value == _NULL_PARTITION else unquote(value)) for name, value in pairs)
        yield StagedFile(staging, relative, info.size, rows, partition)


def _remove_staging(folder: str) -> None:
    """Remove a staging folder, and the one that it shares with other tables once they are gone too."""
    import pyarrow.fs

    filesystem, path = filesystem_of(folder)
    if filesystem.get_file_info(path).type == pyarrow.fs.FileType.Directory:
        filesystem.delete_dir(path)
    parent, _, name = path.rpartition("/")
    if name.startswith(f"{_TABLE}="):
        left = filesystem.get_file_info(pyarrow.fs.FileSelector(parent, allow_not_found=True))
        alone = not any(info.type == pyarrow.fs.FileType.Directory for info in left)
        if alone and filesystem.get_file_info(parent).type == pyarrow.fs.FileType.Directory:
            filesystem.delete_dir(parent)


def _partition_filters(staged: StagedTable, more: Collection[str]) -> list[tuple[str, str, Any]]:
    (column,) = TABLES[staged.name].partition_by
    return [(column, "in", sorted(staged.partitions | set(more)))]


def has_delta_jars(spark: "SparkSession") -> bool:
    """Whether Spark can read and write Delta tables itself."""
    if "DATABRICKS_RUNTIME_VERSION" in os.environ:  # where Delta is part of Spark, and no extension
        return True
    return "delta" in (spark.conf.get("spark.sql.extensions", "") or "").lower()
