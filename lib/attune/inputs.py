"""Inputs as the settings declare them: read without losing a row, mapped to our columns, refused rows with reasons."""

import re
from collections.abc import Mapping
from functools import reduce
from typing import TYPE_CHECKING, cast

from attune.config import Config, Input
from attune.errors import AttuneError, InputError, SettingsError
from attune.schemas import TABLES

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

CORRUPT, FILE, RAW, REASONS = "_corrupt_record", "_file", "_raw", "_reasons"
UNPARSED = "line cannot be parsed"
EXTRA_TYPES = {"price": "double", "propensity": "double"}
"""Types of the columns of an input that land in another table than the one of its name."""


def resolve_paths(settings: Config, source: Input) -> list[str]:
    """Paths of an input, relative ones put under ``inputs.root``."""
    paths = [source.path] if isinstance(source.path, str) else list(source.path or [])
    return [p if p.startswith("/") or ":/" in p else f"{settings.inputs_root.rstrip('/')}/{p}" for p in paths]


def read_raw(spark: "SparkSession", settings: Config, name: str, source: Input) -> "DataFrame":
    """Rows of an input as they lie there, with the file of each and, where it could not be parsed, its raw text.

    Raises InputError where the path or table does not exist, and SettingsError where the schema cannot be read.
    """
    from pyspark.errors import AnalysisException, ParseException
    from pyspark.sql import functions as F

    try:
        if source.table is not None:
            return spark.read.table(source.table).withColumns({CORRUPT: F.lit(None), FILE: F.lit(source.table)})
        reader = spark.read.format(source.format)
        if source.format in ("csv", "json"):
            reader = reader.schema(f"{source.schema_}, {CORRUPT} STRING")
            reader = reader.options(mode="PERMISSIVE", columnNameOfCorruptRecord=CORRUPT)
        if source.format == "csv":
            reader = reader.options(header=True, enforceSchema=False, escape='"')
        raw = reader.options(**source.options).load(resolve_paths(settings, source))
    except ParseException as error:
        raise SettingsError(f"setting inputs.{name}.schema: {_first_line(error)}") from None
    except AnalysisException as error:
        raise explain_spark_error(error, name) or InputError(f"input {name}: {_first_line(error)}") from None
    raw = raw.withColumn(FILE, F.col("_metadata.file_path"))
    return raw if CORRUPT in raw.columns else raw.withColumn(CORRUPT, F.lit(None).cast("string"))


def map_columns(raw: "DataFrame", name: str, source: Input) -> "DataFrame":
    """Our columns, typed, with the row as text and the reasons to refuse it found so far.

    A value that cannot be read as its type becomes null with a reason; the conditions of ``refuse`` add theirs.
    Raises SettingsError that names the expression that Spark does not accept.
    """
    from pyspark.sql import functions as F

    types = {c.name: c.type for c in TABLES[name].columns if c.name != "ds"} | (EXTRA_TYPES if name == "events" else {})
    columns: dict[str, Column] = {}
    reasons = _parse_reasons(raw, source)
    for column, sql_type in types.items():
        text = source.columns.get(column)
        if text is None:
            columns[column] = F.lit(None).cast(sql_type)
            continue
        _check_expression(raw, text, f"inputs.{name}.columns.{column}")
        columns[column] = F.expr(f"try_cast(({text}) AS {sql_type})")
        readable = F.expr(f"({text}) IS NULL OR try_cast(({text}) AS {sql_type}) IS NOT NULL")
        if sql_type != "string":
            reasons.append(_reason(~readable, f"{column} is not a {sql_type}"))
    for reason, condition in source.refuse.items():
        _check_expression(raw, condition, f"inputs.{name}.refuse.{reason}")
        reasons.append(_reason(F.expr(f"coalesce(({condition}), false)"), reason))
    row = F.to_json(F.struct(*(F.col(f"`{c}`") for c in raw.columns if c not in (CORRUPT, FILE))))
    return raw.select(
        *(column.alias(alias) for alias, column in columns.items()),
        F.coalesce(F.col(CORRUPT), row).alias(RAW),
        F.col(FILE),
        F.filter(F.array(*reasons), lambda reason: reason.isNotNull()).alias(REASONS),
    )


def _parse_reasons(raw: "DataFrame", source: Input) -> "list[Column]":
    """Why Spark could not parse a line: a JSON value of another type than declared, by name, or the line as a whole."""
    from pyspark.sql import functions as F
    from pyspark.sql.types import StringType

    corrupt = F.col(CORRUPT)
    mistyped: dict[str, Column] = {}
    if source.format == "json":
        for field in raw.schema.fields:
            if field.name not in (CORRUPT, FILE) and not isinstance(field.dataType, StringType):
                written = F.get_json_object(corrupt, f"$.{field.name}")
                why = f"{field.name} is not a {field.dataType.simpleString()}"
                mistyped[why] = written.isNotNull() & F.col(f"`{field.name}`").isNull()
    explained = reduce(lambda a, b: a | b, mistyped.values(), F.lit(False))
    whole = corrupt.isNotNull() & ~F.coalesce(explained, F.lit(False))
    return [_reason(whole, UNPARSED), *(_reason(found, why) for why, found in mistyped.items())]


def refuse(df: "DataFrame", conditions: "Mapping[str, Column]") -> "DataFrame":
    """Add to each row's reasons those whose condition holds; a null condition does not hold.

    A line that cannot be parsed has that reason alone: all its values are missing for it.
    """
    from pyspark.sql import functions as F

    found = F.array(*(_reason(F.coalesce(condition, F.lit(False)), why) for why, condition in conditions.items()))
    added = F.filter(found, lambda reason: reason.isNotNull() & ~F.array_contains(REASONS, UNPARSED))
    return df.withColumn(REASONS, F.concat(REASONS, added))


def _reason(condition: "Column", why: str) -> "Column":
    from pyspark.sql import functions as F

    return F.when(condition, F.lit(why))


def _check_expression(raw: "DataFrame", text: str, setting: str) -> None:
    from pyspark.errors import AnalysisException, ParseException
    from pyspark.sql import functions as F

    try:
        raw.select(F.expr(text)).schema  # noqa: B018 - analysed, not run
    except (AnalysisException, ParseException) as error:
        raise SettingsError(f"setting {setting}: {text!r}: {_first_line(error)}") from None


_READ_FAILURES = {
    "unexpected end of (zlib )?input stream|premature eof": "is cut short: the compressed data end too early",
    "not in gzip format|incorrect header check|not a gzip|invalid (block|stored|code|distance|bit)|crc|corrupt gzip"
    "|unknown compression method": "is not a readable gzip file",
    "is not a parquet file|magic number|could not read footer|corrupt.*footer": "is not a Parquet file, or is cut short",
}


def explain_spark_error(
    error: BaseException, name: str | None = None, source: Input | None = None
) -> AttuneError | None:
    """Say in one line what Spark found wrong with an input; None where the error has another cause."""
    text = str(error)
    label = f"input {name}: " if name else ""
    if missing := re.search(r"PATH_NOT_FOUND\] Path does not exist: (\S+?)\.? ", text + " "):
        return InputError(f"{label}{_plain(missing[1])} does not exist; mend inputs.{name or '*'}.path or inputs.root")
    if header := re.search(r"CSV header.*CSV file: (\S+)", text, re.DOTALL):
        drift = _header_drift(header[1], source) if source else "a header that is not as declared"
        return InputError(f"{label}{_plain(header[1])} has {drift}; mend the file or inputs.{name or '*'}.schema")
    file = re.search(r"(?:reading file|file_path=|read file:?|file:)\s*[`'\"]?(\w+:/[^\s`'\"]+)", text)
    for pattern, what in _READ_FAILURES.items():
        if file and re.search(pattern, text, re.IGNORECASE):
            return InputError(f"{label}{_plain(file[1].rstrip('.,'))} {what}")
    if cast := re.search(r"\[(CAST_INVALID_INPUT|CANNOT_PARSE_TIMESTAMP|DIVIDE_BY_ZERO|CAST_OVERFLOW)\S*\] (.*)", text):
        return InputError(f"{label}an expression of the settings fails on a value; use its try_ form: {cast[2]}")
    if file and re.search("FAILED_READ_FILE", text):
        return InputError(f"{label}{_plain(file[1].rstrip('.,'))} cannot be read: {_cause(text)}")
    return None


def _header_drift(uri: str, source: Input) -> str:
    """How the header of a CSV file differs from the declared schema."""
    import csv

    import pyarrow.fs
    from pyspark.sql.types import StructType

    filesystem, path = pyarrow.fs.FileSystem.from_uri(uri)
    with filesystem.open_input_stream(path) as stream:
        first = stream.read(1 << 20).decode("utf-8-sig", "replace").splitlines()[0]
    found = next(csv.reader([first], delimiter=source.options.get("sep", source.options.get("delimiter", ","))))
    declared = [field.name for field in cast(StructType, StructType.fromDDL(source.schema_ or "")).fields]
    drift = [f"no column {column}" for column in declared if column not in found]
    drift += [f"an undeclared column {column}" for column in found if column not in declared]
    return " and ".join(drift) or f"its columns in another order: {', '.join(found)}"


def _plain(uri: str) -> str:
    return re.sub("^file:/+", "/", uri)


def _cause(text: str) -> str:
    causes = re.findall(r"Caused by: (?:[\w.$]+: )?(.*)", text)
    return causes[-1] if causes else text.splitlines()[0]


def _first_line(error: Exception) -> str:
    return re.sub(r"^\[[\w.]+\] ", "", str(error).splitlines()[0])
