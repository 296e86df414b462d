"""Rows of an input as they lie there, none lost, each with its file."""

import json
import re
from functools import reduce
from typing import TYPE_CHECKING

from attune.config import Config, Input
from attune.errors import InputError, SettingsError
from attune.inputs import heads
from attune.inputs.explain import explain_spark_error
from attune.inputs.files import RawFile, file_day, list_all, locate, of_interval, plain, resolve_paths
from attune.inputs.footers import schemas_differ
from attune.inputs.mapping import first_line
from attune.inputs.names import CORRUPT, FILE
from attune.secrets import resolved
from attune.tables import has_delta_jars

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, DataFrameReader, SparkSession
    from pyspark.sql.types import StructType

_MANY_PATHS = 32
"""Spark looks up more paths than this in a job of their own (parallelPartitionDiscovery.threshold)."""


def read_raw(spark: "SparkSession", settings: Config, name: str, source: Input) -> "DataFrame":
    """Rows of an input in the data interval, with the file of each and, where it could not be parsed, its raw text.

    Raises InputError where the path or table does not exist or has no file of the interval, and SettingsError where the
    schema cannot be read.
    """
    from pyspark.errors import AnalysisException, ParseException
    from pyspark.sql import functions as F

    try:
        if source.table is not None:
            added = {CORRUPT: F.lit(None).cast("string"), FILE: F.lit(source.table)}
            return spark.read.table(source.table).withColumns(added)
        with_jars = source.format == "delta" and has_delta_jars(spark)
        files = None if with_jars else list_all(settings, name, source)
        if files is None:
            return _read_unlisted(spark, settings, source)
        if source.format == "delta":
            return _read_delta(spark, settings, name, source, files)
        return _read_files(spark, settings, name, source, files)
    except ParseException as error:
        raise SettingsError(f"setting inputs.{name}.schema: {first_line(error)}") from None
    except AnalysisException as error:
        raise explain_spark_error(error, name) or InputError(f"input {name}: {first_line(error)}") from None


def _read_unlisted(spark: "SparkSession", settings: Config, source: Input) -> "DataFrame":
    """Read what only Spark can list, and keep the rows of files in the data interval."""
    from pyspark.sql import functions as F

    rows = _with_file(_reader(spark, source, source.schema_).load(resolve_paths(settings, source)))
    day = file_day(F.col(FILE))
    inside = day < F.lit(settings.as_of)
    if settings.since is not None:
        inside &= day >= F.lit(settings.since)
    return rows.where(day.isNull() | inside)


def _read_files(spark: "SparkSession", settings: Config, name: str, source: Input, files: list[RawFile]) -> "DataFrame":
    """Read listed files: those with one header and one root together, and all that as one frame."""
    chosen = of_interval(settings, name, files)
    if not chosen:
        return _with_file(_reader(spark, source, source.schema_).load(resolve_paths(settings, source)))
    groups: dict[tuple[tuple[str, ...], str], list[RawFile]] = {}
    headers = _unusual_headers(chosen, source)
    for file in chosen:
        # Only folders named key=value need a read of their own for each declared folder: they hold columns.
        groups.setdefault((headers.get(file, ()), file.root if file.keys else ""), []).append(file)
    frames = []
    for (header, root), members in groups.items():
        reader = _reader(spark, source, _ddl(header, members[0], source) if header else source.schema_)
        if root:
            reader = reader.option("basePath", root)
        if source.format == "parquet" and source.schema_ is None and schemas_differ(members):
            reader = reader.option("mergeSchema", True)
        frames.append(_with_file(reader.load(_paths(members, files))))
    rows = reduce(lambda a, b: a.unionByName(b, allowMissingColumns=True), frames)
    return _with_declared(rows, source) if headers else rows


def _unusual_headers(files: list[RawFile], source: Input) -> dict[RawFile, tuple[str, ...]]:
    """Headers of the CSV files that do not have the declared one, but can be read by theirs.

    A column that was added or moved then costs nothing; Spark itself would refuse the file.
    """
    if source.format != "csv" or not heads.has_header(source):
        return {}
    declared = [name.lower() for name, _ in heads.fields_of(source.schema_ or "")]
    unusual = {}
    for file, header in heads.csv_headers(files, source).items():
        found, keys = [name.lower() for name in header], {key.lower() for key in file.keys}
        readable = len(set(found)) == len(found) and set(found) & set(declared)
        if readable and found != [name for name in declared if name not in keys]:
            unusual[file] = header
    return unusual


def _ddl(header: tuple[str, ...], file: RawFile, source: Input) -> str:
    """Schema of a CSV file with that header: declared types, text for columns that are not declared."""
    types = {name.lower(): sql_type for name, sql_type in heads.fields_of(source.schema_ or "")}
    keys = [key for key in file.keys if key.lower() in types]
    quoted = ((name, "`{}`".format(name.replace("`", "``"))) for name in (*header, *keys))
    return ", ".join(f"{column} {types.get(name.lower(), 'string')}" for name, column in quoted)


def _with_declared(rows: "DataFrame", source: Input) -> "DataFrame":
    """Add declared columns that no file has, as nulls."""
    from pyspark.sql import functions as F

    known = {name.lower() for name in rows.columns}
    declared = heads.fields_of(source.schema_ or "")
    return rows.select(
        "*", *(F.lit(None).cast(kind).alias(name) for name, kind in declared if name.lower() not in known)
    )


def _read_delta(spark: "SparkSession", settings: Config, name: str, source: Input, files: list[RawFile]) -> "DataFrame":
    """Files of the latest version of Delta tables, read as the Parquet files that they are: needs no Delta JARs."""
    from deltalake import DeltaTable
    from pyspark.sql import functions as F
    from pyspark.sql.types import StructType

    chosen = of_interval(settings, name, files)
    frames = []
    for path in resolve_paths(settings, source):
        located = locate(path)
        assert located is not None, "only what the driver can list comes here"
        uri = path if "://" in path else located[1]
        struct = StructType.fromJson(json.loads(DeltaTable(uri).schema().to_json()))
        members = [as_named(file.path) for file in chosen if file.root == path]
        if members:
            reader = _reader(spark, source, struct).option("basePath", plain(path) if path == uri else uri)
            frames.append(_with_file(reader.load(members)))
        else:
            nothing = F.lit(None).cast("string")
            frames.append(spark.createDataFrame([], struct).withColumns({FILE: nothing, CORRUPT: nothing}))
    return reduce(lambda a, b: a.unionByName(b, allowMissingColumns=True), frames)


def _reader(spark: "SparkSession", source: Input, schema: "str | StructType | None") -> "DataFrameReader":
    text = source.format in ("csv", "json")
    as_parquet = source.format == "delta" and not has_delta_jars(spark)
    reader = spark.read.format("parquet" if as_parquet else source.format)
    if schema is not None:
        reader = reader.schema(f"{schema}, {CORRUPT} STRING" if text else schema)
    # What a session may have switched on must not lose rows here.
    reader = reader.options(ignoreCorruptFiles=False, ignoreMissingFiles=False)
    if text:
        reader = reader.options(mode="PERMISSIVE", columnNameOfCorruptRecord=CORRUPT, timeZone=source.time_zone)
    if source.format == "csv":
        # Without pruning, a line with too few fields is told as such whichever columns a query needs.
        reader = reader.options(header=True, enforceSchema=False, escape='"', columnPruning=False)
    if source.format == "json" and heads.encoding_of(source).lower() not in ("utf-8", "utf8"):
        reader = reader.option("lineSep", "\n")
    return reader.options(**resolved(source.options, "inputs.*.options"))


def _with_file(rows: "DataFrame") -> "DataFrame":
    """Add the file of each row, and the column of lines that could not be parsed where the format has none."""
    from pyspark.sql import functions as F

    rows = rows.withColumn(FILE, F.col("_metadata.file_path"))
    return rows if CORRUPT in rows.columns else rows.withColumn(CORRUPT, F.lit(None).cast("string"))


def _paths(chosen: list[RawFile], files: list[RawFile]) -> list[str]:
    """Paths for Spark: of files, or of folders of which every file is read where there are many."""
    if len(chosen) <= _MANY_PATHS:
        return [as_named(file.path) for file in chosen]
    everything: dict[str, int] = {}
    for file in files:
        everything[file.path.rpartition("/")[0]] = everything.get(file.path.rpartition("/")[0], 0) + 1
    by_folder: dict[str, list[RawFile]] = {}
    for file in chosen:
        by_folder.setdefault(file.path.rpartition("/")[0], []).append(file)
    paths = []
    for folder, members in by_folder.items():
        leaf = not any(other.startswith(f"{folder}/") for other in everything)
        if leaf and members[0].whole and len(members) == everything[folder]:
            paths.append(as_named(folder))
        else:
            paths += [as_named(file.path) for file in members]
    return paths


def as_named(path: str) -> str:
    """A path that was found, not written by a person: brackets in it are letters, not a pattern."""
    return re.sub(r"([\\{}\[\]*?])", r"\\\1", path)
