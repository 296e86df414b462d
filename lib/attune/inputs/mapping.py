"""Rows of an input as our columns: typed, with the reasons to refuse each; a good row costs little more than its values.

``map_columns`` evaluates each expression of the settings once, in a first projection; types, conditions and reasons are
made from its results in further ones, which Spark runs as one pass. The texts of the reasons are put together only for
rows that have one, and the row as text (``raw_text``) only where it is asked for.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import reduce
from typing import TYPE_CHECKING

from attune.config import Input
from attune.errors import MissingError, SettingsError
from attune.inputs.names import CORRUPT, FILE, REASONS, ROW, UNPARSED, types_of
from attune.session import is_connect

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_ADDED = (CORRUPT, FILE)
_NO_REASON = "array<string>"
_BETWEEN = "\x1f"
"""Between reasons while they are put together: Unicode's unit separator, which no setting holds."""


def map_columns(raw: "DataFrame", name: str, source: Input) -> "DataFrame":
    """Our columns, with the row as it was read and the reasons to refuse it found so far.

    Grain: one row of the input. Beside our columns: FILE, ROW (struct of the source's columns), CORRUPT (text of a line
    that could not be parsed) and REASONS (array of texts, empty for a good row). ROW is free until it is shuffled or
    stored: take ``F.when(F.size(REASONS) > 0, raw_text())`` and drop it before. A value that cannot be read as its type
    becomes null with a reason; the conditions of ``refuse`` add theirs. A line that cannot be parsed has that reason
    alone: all its values are missing for it. Expressions are evaluated in the input's
    ``time_zone``. Raises SettingsError that names the expression that Spark does not accept.
    """
    from pyspark.sql import functions as F

    types = types_of(name)
    for column, text in source.columns.items():
        _check_expression(raw, text, f"inputs.{name}.columns.{column}")
    for reason, condition in source.refuse.items():
        _check_expression(raw, condition, f"inputs.{name}.refuse.{reason}")
    own = [c for c in raw.columns if c not in _ADDED]
    with _session_time_zone(raw, name, source):
        # Aliases that no column of a log has: an expression must not see another's result.
        values = raw.select(
            F.struct(*(F.col(_quoted(c)) for c in own)).alias(ROW),
            *_ADDED,
            *(F.expr(text).alias(f"_value {column}") for column, text in source.columns.items()),
            *(F.expr(f"({condition})").alias(f"_refuse {n}") for n, condition in enumerate(source.refuse.values())),
            _explained_by_type(raw, source).alias("_mistyped"),
        )
        typed = values.withColumns(
            {
                column: F.expr(f"try_cast(`_value {column}` AS {sql_type})")
                if column in source.columns
                else F.lit(None).cast(sql_type)
                for column, sql_type in types.items()
            }
        )
    reasons: dict[str, Column] = {}
    for column, sql_type in types.items():
        if column in source.columns and sql_type != "string":
            reasons[f"{column} is not a {sql_type}"] = F.col(f"`_value {column}`").isNotNull() & F.col(column).isNull()
    for n, reason in enumerate(source.refuse):
        reasons[reason] = F.col(f"`_refuse {n}`")
    found = F.when(_any(reasons), _texts(reasons)).otherwise(_none())
    unparsed = F.when(F.size("_mistyped") == 0, F.array(F.lit(UNPARSED))).otherwise(F.concat("_mistyped", found))
    judged = F.when(F.col(CORRUPT).isNotNull(), unparsed).otherwise(found)
    return typed.select(*types, ROW, CORRUPT, FILE, judged.alias(REASONS))


def raw_text() -> "Column":
    """The row as it was read: the line that could not be parsed, else its columns as JSON."""
    from pyspark.sql import functions as F

    return F.coalesce(F.col(CORRUPT), F.to_json(F.col(ROW)))


def refuse(df: "DataFrame", conditions: "Mapping[str, Column]") -> "DataFrame":
    """Add to each row's reasons those whose condition holds; a null condition does not hold.

    A line that cannot be parsed has that reason alone: all its values are missing for it.
    """
    from pyspark.sql import functions as F

    held = _any(conditions) & ~F.array_contains(REASONS, UNPARSED)
    return df.withColumn(REASONS, F.when(held, F.concat(REASONS, _texts(conditions))).otherwise(F.col(REASONS)))


def _any(conditions: "Mapping[str, Column]") -> "Column":
    """Whether any condition holds: all that a good row costs."""
    from pyspark.sql import functions as F

    return reduce(lambda a, b: a | b, (F.coalesce(c, F.lit(False)) for c in conditions.values()), F.lit(False))


def _texts(conditions: "Mapping[str, Column]") -> "Column":
    from pyspark.sql import functions as F

    # No function with a lambda: Spark would compile neither it nor what stands around it. One without texts is [""].
    held = F.concat_ws(_BETWEEN, *(F.when(condition, F.lit(why)) for why, condition in conditions.items()))
    return F.when(held == "", _none()).otherwise(F.split(held, _BETWEEN))


def _none() -> "Column":
    from pyspark.sql import functions as F

    return F.array().cast(_NO_REASON)


def _explained_by_type(raw: "DataFrame", source: Input) -> "Column":
    """For a line that Spark could not parse: the columns whose value has another type than declared, as reasons.

    Refers to every column that has a type, in every format: Spark parses only the columns that a query needs, and a
    value of a wrong type would otherwise refuse a row in one query and not in the next.
    """
    from pyspark.sql import functions as F
    from pyspark.sql.types import StringType

    fields = [f for f in raw.schema.fields if f.name not in _ADDED and not isinstance(f.dataType, StringType)]
    if source.format not in ("csv", "json") or not fields:
        return _none()
    if source.format == "csv":
        # True for every row, which Spark does not know.
        needed = F.hash(*(F.col(_quoted(f.name)) for f in fields)) >= F.lit(-(2**31))
        return F.when(F.col(CORRUPT).isNotNull() & needed, _none()).otherwise(_none())
    mistyped = {
        f"{f.name} is not a {f.dataType.simpleString()}": F.get_json_object(CORRUPT, f"$['{f.name}']").isNotNull()
        & F.col(_quoted(f.name)).isNull()
        for f in fields
    }
    return F.when(F.col(CORRUPT).isNotNull(), _texts(mistyped)).otherwise(_none())


@contextmanager
def _session_time_zone(raw: "DataFrame", name: str, source: Input) -> Iterator[None]:
    """Have expressions bound to an input's time zone.

    Spark notes the session's zone in each expression when it analyses it, so this gives a timestamp without a zone the
    input's zone and leaves one that names its zone alone, whatever the expression. A local time that a clock change
    skips moves forward by the change; one that occurs twice is taken for the earlier.
    """
    key = "spark.sql.session.timeZone"
    spark = raw.sparkSession
    before = spark.conf.get(key)
    if source.time_zone == before or source.time_zone == "UTC" == before:
        yield
        return
    if is_connect(raw):
        raise MissingError(
            f"setting inputs.{name}.time_zone: Spark Connect analyses late and cannot keep it; use a session without "
            "Connect, or convert in the expressions (to_utc_timestamp)"
        )
    spark.conf.set(key, source.time_zone)
    try:
        yield
    finally:
        spark.conf.set(key, before or "UTC")


def _quoted(name: str) -> str:
    return f"`{name.replace('`', '``')}`"


def _check_expression(raw: "DataFrame", text: str, setting: str) -> None:
    from pyspark.errors import AnalysisException, ParseException
    from pyspark.sql import functions as F

    try:
        raw.select(F.expr(text)).schema  # noqa: B018 - analysed, not run
    except (AnalysisException, ParseException) as error:
        raise SettingsError(f"setting {setting}: {text!r}: {first_line(error)}") from None


def first_line(error: Exception) -> str:
    """What Spark says, without its error class and its plans."""
    return re.sub(r"^\[[\w.]+\] ", "", str(error).splitlines()[0])
