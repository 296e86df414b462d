"""Building blocks of features: ages, days known before a date, sums that do not depend on the order of rows."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from attune.feature_registry import HALF_LIVES_DAYS

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

MONEY_BITS, WEIGHT_BITS = 24, 32
"""Binary places to which addends are rounded, see ``exact``: of money and stars, and of weights and probabilities."""

KINDS = {
    "search": "num_searches", "click": "num_clicks", "view": "num_views", "cart": "num_carts",
    "purchase": "num_purchases", "refund": "num_refunds",
}  # fmt: skip
"""Type of event -> the column of user_item_days that counts it."""


def seconds_before(timestamp: str, as_of: dt.date) -> "Column":
    """Seconds from a timestamp to the start of a day."""
    from pyspark.sql import functions as F

    return F.lit(as_of).cast("timestamp").cast("double") - F.col(timestamp).cast("double")


def each_date(rows: "DataFrame", cutoffs: Sequence[dt.date]) -> "DataFrame":
    """Each row once for each date, column ``as_of``."""
    from pyspark.sql import functions as F

    return rows.withColumn("as_of", F.explode(F.array(*map(F.lit, sorted(set(cutoffs))))))


def known_before(days: "DataFrame", cutoffs: Sequence[dt.date], max_age: int | None = None) -> "DataFrame":
    """Each daily row (column ``ds``) once for each date after it, so that all dates are computed from one pass.

    Adds ``as_of``; ``age``, the days from ds to it (1: the day before); and ``decay_<half-life>d``, the weight of an
    action of that age. With ``max_age`` older rows are left out.
    """
    from pyspark.sql import functions as F

    age = F.datediff("as_of", "ds")
    near = F.col("ds") < F.col("as_of")
    if max_age is not None:
        near = near & (age <= max_age)
    dated = each_date(days, cutoffs).where(near).withColumn("age", age)
    weights = {f"decay_{h}d": exact(F.pow(F.lit(0.5), F.col("age") / h), WEIGHT_BITS) for h in HALF_LIVES_DAYS}
    return dated.withColumns(weights)


def exact(number: "Column", bits: int = MONEY_BITS) -> "Column":
    """A number rounded to multiples of ``2**-bits``.

    Sums of such doubles are exact as long as they stay below ``2**(53 - bits)``, and then do not depend on the order in
    which Spark happens to add: a feature stays the same to the last bit when rows are added that it does not count.
    """
    from pyspark.sql import functions as F

    return F.rint(number * float(2**bits)) / float(2**bits)


def worth_of_counts(weights: Mapping[str, float]) -> "Column":
    """Worth of the actions of a row of user_item_days, by ``recommend.event_weights``."""
    from pyspark.sql import functions as F

    counted = {kind: num for kind, num in KINDS.items() if kind in weights}
    return sum((F.col(num) * exact(F.lit(float(weights[kind]))) for kind, num in counted.items()), start=F.lit(0.0))


def with_overall(sums: "DataFrame", days: "DataFrame", figures: Mapping[str, str]) -> "DataFrame":
    """Add figures over all rows of each date, as ``overall_<name>``; null where there is nothing to divide by.

    Args:
        days: dated daily rows, as ``known_before`` gives them.
        figures: name -> SQL aggregate.
    """
    from pyspark.sql import functions as F

    overall = days.groupBy("as_of").agg(*(F.expr(sql).alias(f"overall_{name}") for name, sql in figures.items()))
    return sums.join(F.broadcast(overall), "as_of", "left")


def share_of(top: str, bottom: str) -> str:
    """SQL of one sum over another."""
    return f"try_divide(sum({top}), sum({bottom}))"
