"""What the feature tables share: items as features see them, daily rows of several sources, formulas of the registry."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from attune.feature_registry import Feature
from attune.features.windows import WEIGHT_BITS, exact

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def described(items: "DataFrame") -> "DataFrame":
    """Columns item_id, category (first level), brand, price, log_price and log_price_square; null where unknown."""
    from pyspark.sql import functions as F

    log_price = exact(F.log(F.when(F.col("price") > 0, F.col("price"))))
    return items.select(
        "item_id",
        F.nullif(F.trim(F.split("category", ">")[0]), F.lit("")).alias("category"),
        "brand",
        "price",
        log_price.alias("log_price"),
        exact(log_price * log_price, WEIGHT_BITS).alias("log_price_square"),
    )


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
    rows = rows.withColumns({name: F.lit(None).cast("int") for name in summed if name not in rows.columns})
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
