"""What the feature tables share: items as features see them, daily rows of several sources, formulas of the registry."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING

from attune.clean.catalogue import item_versions
from attune.feature_registry import Feature
from attune.features.windows import WEIGHT_BITS, exact

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_ALWAYS, _NEVER = dt.date(1000, 1, 1), dt.date.max  # py4j cannot pass a year of fewer than four digits


def described(history: "DataFrame") -> "DataFrame":
    """What features see of items, and from when on. Grain: one item and span of days over which it stays the same.

    What is told of an item later does not change how it was seen before. Only the first day of the whole history counts
    for all days before it too: a catalogue that was not kept from the start is better known late than never.

    Columns: item_id; told and until, the first day of the span and the first after it; category (first level), brand,
    price, log_price and log_price_square, null where unknown.

    Args:
        history: table item_history.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    log_price = exact(F.log(F.when(F.col("price") > 0, F.col("price"))))
    seen = {
        "category": F.nullif(F.trim(F.split("category", ">")[0]), F.lit("")),
        "brand": F.col("brand"),
        "price": F.col("price"),
        "log_price": log_price,
        "log_price_square": exact(log_price * log_price, WEIGHT_BITS),
    }
    versions = item_versions(history).select("item_id", "ds", *(column.alias(name) for name, column in seen.items()))
    of_item = Window.partitionBy("item_id").orderBy("ds")
    before = [F.lag(name).over(of_item) for name in seen]
    same = reduce(lambda a, b: a & b, (F.col(n).eqNullSafe(b) for n, b in zip(seen, before, strict=True)))
    first = F.broadcast(history.agg(F.min("ds").alias("_first")))
    spans = versions.withColumn("_same", same & F.lag("ds").over(of_item).isNotNull()).where(~F.col("_same"))
    told = F.when(F.col("ds") == F.col("_first"), F.lit(_ALWAYS)).otherwise(F.col("ds"))
    until = F.coalesce(F.lead("ds").over(of_item), F.lit(_NEVER))
    return spans.crossJoin(first).select("item_id", told.alias("told"), until.alias("until"), *seen)


def as_told(rows: "DataFrame", items: "DataFrame", day: "Column") -> "DataFrame":
    """Rows with what was known of their item at the end of a day; nulls where that was nothing.

    Args:
        rows: column item_id.
        items: ``described``.
    """
    from pyspark.sql import functions as F

    named = items.withColumnRenamed("item_id", "_item")
    known = (F.col("item_id") == F.col("_item")) & (day >= F.col("told")) & (day < F.col("until"))
    return rows.join(named, known, "left").drop("_item", "told", "until")


def stacked(key: str, summed: Sequence[str], *sources: "DataFrame") -> "DataFrame":
    """Daily rows of several sources added up. Grain: one key and day. A measure that a source lacks adds nothing."""
    from pyspark.sql import functions as F

    first, last = ("first_micros", "last_micros")
    measures = [*summed, first, last]
    rows = None
    for source in sources:
        present = [key, "ds", *(name for name in measures if name in source.columns)]
        part = source.where(F.col(key).isNotNull()).select(*present)
        rows = part if rows is None else rows.unionByName(part, allowMissingColumns=True)
    assert rows is not None
    rows = rows.select("*", *(F.lit(None).cast("int").alias(name) for name in summed if name not in rows.columns))
    return rows.groupBy(key, "ds").agg(
        *(F.coalesce(F.sum(name), F.lit(0)).alias(name) for name in summed),
        F.min(first).alias(first),
        F.max(last).alias(last),
    )


def formulas(sums: Mapping[str, str], features: Iterable[Feature]) -> "list[Column]":
    """Aggregates over daily rows: those that other formulas use, and those that are features."""
    from pyspark.sql import functions as F

    aggregates = dict(sums) | {feature.name: feature.sql for feature in features if feature.sql and not feature.after}
    return [F.expr(sql).alias(name) for name, sql in aggregates.items()]
