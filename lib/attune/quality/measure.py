"""What the rows of a table give to its checks: one aggregate pass for all but uniqueness."""

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING

from attune.config import Check, Drift, Fresh, Nulls, Range, References, Unique, Values
from attune.quality.stability import Bins, category_bins, number_bins, psi

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, Row

_POINTS = 1000
"""Quantiles that stand for a published column; a bin's share is right to about one in so many."""
_CATEGORIES = 20
"""Most frequent values that have a bin of their own."""
_DAY_SECONDS = 86400


def measure(
    rows: "DataFrame",
    checks: Mapping[int, Check],
    as_of: dt.date,
    keys: "Mapping[int, DataFrame]",
    published: Mapping[int, Bins],
) -> dict[int, float | None]:
    """Value of each check that looks at rows, by its number; None where it has nothing to judge or compare with.

    Args:
        rows: rows of the table.
        checks: the checks by number.
        as_of: end of the data interval; ages are counted from its beginning, UTC.
        keys: by number of a ``references`` check, the table referred to.
        published: by number of a ``drift`` check, bins of what is published.
    """
    from pyspark.sql import functions as F

    values: dict[int, float | None] = dict.fromkeys(checks)
    aggregates: dict[int, Column] = {}
    joined = rows
    for number, check in checks.items():
        if isinstance(check, References) and number in keys:
            joined = _mark_found(joined, check, keys[number], number)
            aggregates[number] = _share(F.col(check.column).isNotNull() & F.col(_found(number)).isNull(), check.column)
        elif isinstance(check, Drift) and number in published:
            aggregates[number] = _drift_counts(check, published[number])
        elif isinstance(check, Unique):
            values[number] = _repeated(rows, check)
        elif isinstance(check, Nulls | Range | Values | Fresh):
            aggregates[number] = _aggregate(check, rows, as_of)
    if aggregates:
        found = joined.agg(*(column.alias(str(number)) for number, column in aggregates.items())).first()
        assert found is not None
        for number in aggregates:
            values[number] = _value(checks[number], found, number, published)
    return values


def published_bins(rows: "DataFrame", checks: Mapping[int, Drift]) -> dict[int, Bins]:
    """Bins of the published values of ``drift`` checks, by number; left out where there are too few.

    Numbers of all checks take one pass, each column of categories one more.
    """
    from pyspark.sql import functions as F

    ranks = [(i + 0.5) / _POINTS for i in range(_POINTS)]
    asked: list[Column] = [F.count(F.lit(1)).alias("rows")]
    for number, check in checks.items():
        asked.append(F.count(check.column).alias(f"filled_{number}"))
        if _is_number(rows, check):
            value = F.col(check.column).cast("double")
            asked.append(F.percentile_approx(value, ranks, 10 * _POINTS).alias(f"points_{number}"))
            asked += [F.min(value).alias(f"low_{number}"), F.max(value).alias(f"high_{number}")]
    found = rows.agg(*asked).first()
    assert found is not None
    bins: dict[int, Bins] = {}
    for number, check in checks.items():
        filled = found[f"filled_{number}"]
        if filled < check.min_rows:
            continue
        if _is_number(rows, check):
            spread = (found[f"points_{number}"], found[f"low_{number}"], found[f"high_{number}"])
            bins[number] = number_bins(*spread, filled, found["rows"], check.bins)
        else:
            bins[number] = category_bins(_most_frequent(rows, check.column), filled, found["rows"])
    return bins


def _is_number(rows: "DataFrame", check: Drift) -> bool:
    return dict(rows.dtypes)[check.column] not in ("string", "boolean")


def _most_frequent(rows: "DataFrame", column: str) -> dict[str, int]:
    from pyspark.sql import functions as F

    counted = rows.where(F.col(column).isNotNull()).groupBy(F.col(column).cast("string").alias("value")).count()
    return {
        row["value"]: row["count"] for row in counted.orderBy(F.desc("count"), "value").limit(_CATEGORIES).collect()
    }


def _share(fault: "Column", column: str) -> "Column":
    """Share of a column's values at fault; 0 where there are none."""
    from pyspark.sql import functions as F

    return F.coalesce(F.try_divide(F.count_if(fault), F.count(column)), F.lit(0.0))


def _aggregate(check: Nulls | Range | Values | Fresh, rows: "DataFrame", as_of: dt.date) -> "Column":
    from pyspark.sql import functions as F

    column = F.col(check.column)
    match check:
        case Nulls():
            return F.coalesce(F.avg(column.isNull().cast("int")), F.lit(0.0))
        case Values():
            return _share(~column.isin(*check.allowed), check.column)
        case Fresh():
            end = dt.datetime.combine(as_of, dt.time(), dt.UTC).timestamp()
            return (F.lit(end) - F.max(column).cast("timestamp").cast("double")) / _DAY_SECONDS
    # Spark holds NaN greater than any number.
    outside = F.isnan(column.cast("double"))
    if check.min is not None:
        outside |= column < check.min
    if check.max is not None:
        outside |= column > check.max
    return _share(outside, check.column)


def _found(number: int) -> str:
    return f"_found_{number}"


def _mark_found(rows: "DataFrame", check: References, target: "DataFrame", number: int) -> "DataFrame":
    """Mark rows whose key the other table has; each row stays one."""
    from pyspark.sql import functions as F

    name = f"_key_{number}"
    keys = target.select(F.col(check.key or check.column).alias(name)).where(F.col(name).isNotNull()).distinct()
    return rows.join(keys.withColumn(_found(number), F.lit(True)), F.col(check.column) == F.col(name), "left")


def _drift_counts(check: Drift, bins: Bins) -> "Column":
    """Rows up to each edge or of each category, then rows with a value, then all rows."""
    from pyspark.sql import functions as F

    column = F.col(check.column)
    if bins.categories:
        conditions = [column.cast("string") == category for category in bins.categories]
    else:
        conditions = [column.cast("double") <= edge for edge in bins.edges]
    return F.array(*map(F.count_if, conditions), F.count(column), F.count(F.lit(1)))


def _repeated(rows: "DataFrame", check: Unique) -> float:
    """Share of rows beyond the first of their key; nulls are equal to each other."""
    from pyspark.sql import functions as F

    keys = rows.groupBy(*check.columns).agg(F.count(F.lit(1)).alias("rows"))
    found = keys.agg(F.sum("rows").alias("rows"), F.count(F.lit(1)).alias("keys")).first()
    assert found is not None
    return (found["rows"] - found["keys"]) / found["rows"] if found["rows"] else 0.0


def _value(check: Check, found: "Row", number: int, published: Mapping[int, Bins]) -> float | None:
    value = found[str(number)]
    if not isinstance(check, Drift):
        return None if value is None else float(value)
    *counts, filled, rows = value
    if filled < check.min_rows:
        return None
    return psi(published[number].expected, published[number].counts(counts, filled, rows))
