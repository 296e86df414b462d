"""Tables under Unity Catalog names (``catalog.schema.table``), in place of Delta folders: setting ``catalog``.

Rows are staged in the workspace as always, so that they can be counted and checked; Spark, which must have Delta Lake, then
commits them to the named table. All that needs Delta goes through ``_select``, ``_history`` and ``_save``.
Sources: Delta Lake's documentation on time travel, on DESCRIBE HISTORY and on selective overwrite (replaceWhere).
"""

import datetime as dt
import json
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Literal

from attune.errors import InputError, MissingError, SettingsError
from attune.schemas import TABLES
from attune.tables import Replace, StagedTable, Tables, Version, has_delta_jars, known

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from attune.config import Config

_UPKEEP = ("OPTIMIZE", "VACUUM START", "VACUUM END", "REORG")
"""Operations that Databricks runs by itself and that change no row."""


def open_tables(settings: "Config", spark: "SparkSession | None" = None) -> Tables:
    """The tables that the settings mean. Raises MissingError where they need Delta Lake in Spark and it is not there."""
    if settings.catalog is None:
        return Tables(settings.workspace, spark)
    if spark is not None and not has_delta_jars(spark):
        raise MissingError(
            f"setting catalog: tables of {settings.catalog} need a Spark with Delta Lake, as on Databricks; "
            "elsewhere set catalog=null: the tables are then Delta folders in the workspace"
        )
    return CatalogTables(settings.workspace, settings.catalog, spark)


def require_folders(settings: "Config", job: str) -> None:
    """Raise SettingsError where tables lie under catalog names, for a job that works on the files of Delta folders."""
    if settings.catalog is not None:
        raise SettingsError(
            f"setting catalog: {job} works on tables in the workspace's folders alone, not on those of {settings.catalog}: use "
            "DELETE and VACUUM of Delta Lake there, or set catalog=null for the folders"
        )


def catalog_session(settings: "Config") -> "SparkSession | None":
    """The session that looking at the tables takes: Delta folders need none."""
    from attune.session import get_session

    return None if settings.catalog is None else get_session("attune", settings.spark)


class CatalogTables(Tables):
    """The tables of one schema of a catalog. All but their names needs a Spark session."""

    def __init__(self, workspace: str, catalog: str, spark: "SparkSession | None" = None) -> None:
        super().__init__(workspace, spark)
        self.catalog = catalog

    @property
    def place(self) -> str:
        """Catalog and schema."""
        return self.catalog

    def path(self, name: str) -> str:
        """Full name of a table. Raises InputError for a name that is no table of ours."""
        return f"{self.catalog}.{known(name)}"

    def exists(self, name: str) -> bool:
        """Whether a table has been published."""
        return bool(self.spark.catalog.tableExists(self._quoted(name)))

    def version(self, name: str) -> int:
        """Latest version of a table. Raises InputError where the table does not exist."""
        return int(self._history(self._published(name), 1)[0]["version"])

    def identity(self, name: str) -> str:
        """What tells a table from one that was dropped and made again under its name."""
        return str(self.spark.sql(f"DESCRIBE DETAIL {self._quoted(self._published(name))}").collect()[0]["id"])

    def rows(self, name: str, version: int | None = None, partitions: Collection[str] | None = None) -> int:
        """Number of rows of a table, or of some of its partitions."""
        return self.read(name, version, partitions).count()

    def history(self, name: str) -> list[Version]:
        """Versions of a table that can still be read, latest first."""
        versions = []
        for commit in self._history(self._published(name), None):
            stamp = commit["timestamp"].astimezone(dt.UTC).isoformat(timespec="seconds")
            run_id = told(commit["userMetadata"]).get("run_id")
            rows = self.rows(name, commit["version"])
            versions.append(Version(commit["version"], stamp, commit["operation"], rows, run_id))
        return versions

    def metadata(self, name: str) -> dict[str, str]:
        """What the latest version of a table was published with; upkeep since then, such as OPTIMIZE, is passed over."""
        commits = self._history(self._published(name), None)
        latest = next((commit for commit in commits if commit["operation"] not in _UPKEEP), None)
        return told(latest["userMetadata"]) if latest else {}

    def read(self, name: str, version: int | None = None, partitions: Collection[str] | None = None) -> "DataFrame":
        """Rows of a table, at its latest or an older version; of all partitions, or of those with these values."""
        rows = self._at(name, version)
        return rows if partitions is None else rows.where(condition(name, partitions))

    def partitions(self, name: str) -> set[str]:
        """Values of the column that a table is partitioned by."""
        (column,) = TABLES[name].partition_by
        return {str(row[column]) for row in self._at(name, None).select(column).distinct().collect()}

    def files(self, name: str, version: int) -> set[tuple[str, str]]:
        """Files of a version with their partitions. Raises InputError where the version, or a file of it, is gone."""
        from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]
        from pyspark.errors import PySparkException

        (column,) = TABLES[name].partition_by
        try:
            rows = self._select(self._published(name), version)
            found = rows.select("_metadata.file_path", column).distinct().collect()
        except (PySparkException, Py4JJavaError) as error:
            raise InputError(f"version {version} of table {self.path(name)} cannot be read any more") from error
        return {(row["file_path"], str(row[column])) for row in found}

    def lookup(
        self, name: str, key: str, values: Collection[str], columns: Collection[str] | None = None
    ) -> list[dict[str, Any]]:
        """Latest rows of a table whose key is one of some values."""
        rows = self._at(name, None).where(_among(key, "string", values))
        return [row.asDict() for row in rows.select(*(columns or rows.columns)).collect()]

    def publish(
        self,
        staged: StagedTable,
        metadata: Mapping[str, str],
        replace: Replace = "table",
        partitions: Collection[str] = (),
    ) -> int:
        """Make staged rows the table, its partitions or more of its rows; one atomic commit. See Tables.publish."""
        options = {"userMetadata": json.dumps(dict(metadata), sort_keys=True)}
        values = staged.partitions | set(partitions) if replace == "partitions" else set()
        mode: Literal["append", "overwrite"] = "overwrite"
        if replace == "table" or not self.exists(staged.name):
            options["overwriteSchema"] = "true"  # columns that a newer release brings
        elif values:
            options |= {"replaceWhere": condition(staged.name, values), "mergeSchema": "true"}
        else:
            mode = "append"
            options["mergeSchema"] = "true"
        self._save(self.read_staged(staged), staged.name, mode, options)
        self.discard([staged])
        return self.version(staged.name)

    def _published(self, name: str) -> str:
        if not self.exists(name):
            raise InputError(f"table {self.path(name)} does not exist: run the job that writes it first")
        return name

    def _quoted(self, name: str) -> str:
        return ".".join(f"`{part}`" for part in self.path(name).split("."))

    def _at(self, name: str, version: int | None) -> "DataFrame":
        """Columns of ours of a table, in order. Raises InputError where the table or the version does not exist."""
        from pyspark.errors import AnalysisException

        try:
            rows = self._select(self._published(name), version)
            there = set(rows.columns)
        except AnalysisException as error:
            if version is None:
                raise
            raise InputError(f"table {self.path(name)} has no version {version} any more") from error
        return rows.select([column for column in TABLES[name].names if column in there])

    def _select(self, name: str, version: int | None) -> "DataFrame":
        at = "" if version is None else f" VERSION AS OF {int(version)}"
        return self.spark.sql(f"SELECT * FROM {self._quoted(name)}{at}")

    def _history(self, name: str, limit: int | None) -> list[Any]:
        """Commits, latest first: rows of version, timestamp, operation and userMetadata."""
        some = "" if limit is None else f" LIMIT {int(limit)}"
        return self.spark.sql(f"DESCRIBE HISTORY {self._quoted(name)}{some}").collect()

    def _save(self, rows: "DataFrame", name: str, mode: str, options: Mapping[str, str]) -> None:
        writer = rows.write.format("delta").mode(mode).partitionBy(*TABLES[name].partition_by)
        writer.options(**options).saveAsTable(self._quoted(name))


def told(metadata: str | None) -> dict[str, str]:
    """What a commit of ours was published with; nothing for the commits of others.

    >>> told('{"job": "clean"}'), told("by hand"), told(None)
    ({'job': 'clean'}, {}, {})
    """
    try:
        found = json.loads(metadata or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def condition(name: str, partitions: Collection[str]) -> str:
    """SQL condition that holds for the rows of some partitions of a table.

    >>> condition("events", ["2026-03-02", "2026-03-01"])
    "`ds` IN (DATE'2026-03-01', DATE'2026-03-02')"
    """
    (column,) = TABLES[name].partition_by
    kind = next(c.type for c in TABLES[name].columns if c.name == column)
    return _among(column, kind, partitions)


def _among(column: str, kind: str, values: Collection[str]) -> str:
    escaped = sorted(value.replace("\\", "\\\\").replace("'", "\\'") for value in values)
    literals = ", ".join(f"DATE'{value}'" if kind == "date" else f"'{value}'" for value in escaped)
    return f"`{column}` IN ({literals})" if literals else "false"
