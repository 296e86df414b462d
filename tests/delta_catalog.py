"""A stand-in for the one part of Unity Catalog that plain Spark has not: Delta tables by name, with their history.

The ``deltalake`` package keeps them in folders, so the predicates, modes and metadata that attune hands to Spark are carried out
by a real Delta implementation. What Databricks itself does with them is not tested.
"""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError

from attune.catalog import CatalogTables
from attune.schemas import TABLES

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class DeltaCatalog(CatalogTables):
    """Tables of schema ``main.shop``, each in a folder beside the workspace."""

    def folder(self, name: str) -> str:
        return str(Path(self.root).parent / self._quoted(name).replace("`", "").replace(".", "/"))

    def exists(self, name: str) -> bool:
        return bool(DeltaTable.is_deltatable(self.folder(name)))

    def identity(self, name: str) -> str:
        return str(DeltaTable(self.folder(name)).metadata().id)

    def upkeep(self, name: str) -> None:
        """What Databricks does by itself: files are written anew, and no row changes."""
        DeltaTable(self.folder(name)).optimize.compact()

    def _select(self, name: str, version: int | None) -> "DataFrame":
        from pyspark.errors import AnalysisException

        struct = TABLES[name].struct()
        try:
            files = DeltaTable(self.folder(name), version=version).file_uris()
        except DeltaError as error:
            raise AnalysisException(str(error)) from None
        if not files:
            return self.spark.createDataFrame([], struct)
        return self.spark.read.schema(struct).option("basePath", self.folder(name)).parquet(*files)

    def _history(self, name: str, limit: int | None) -> list[Any]:
        commits = DeltaTable(self.folder(name)).history(limit)
        return [
            {"version": commit["version"], "timestamp": dt.datetime.fromtimestamp(commit["timestamp"] / 1000),
             "operation": commit["operation"], "userMetadata": commit.get("userMetadata")}
            for commit in commits
        ]  # fmt: skip

    def _save(self, rows: "DataFrame", name: str, mode: str, options: Mapping[str, str]) -> None:
        write_deltalake(
            self.folder(name),
            pa.table(rows.toArrow()),
            mode="append" if mode == "append" else "overwrite",
            partition_by=list(TABLES[name].partition_by) or None,
            predicate=options.get("replaceWhere"),
            schema_mode="overwrite" if options.get("overwriteSchema") else "merge",
            commit_properties=CommitProperties(custom_metadata={"userMetadata": options["userMetadata"]}),
        )
