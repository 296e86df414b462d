"""What was known just before each labelled choice: windows that end a microsecond before it."""

from typing import TYPE_CHECKING

from attune.feature_registry.examples import EXAMPLE_HALF_LIFE_DAYS
from attune.features.described import as_told

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, WindowSpec

_HALF_LIFE_MICROS = EXAMPLE_HALF_LIFE_DAYS * 86_400_000_000
_HOUR_MICROS = 3.6e9
_LOWEST_EXPONENT = -1000
"""Where weights that grow with time start: doubles then have room for 2,000 half-lives, 38 years."""


def with_history(labelled: "DataFrame", events: "DataFrame", items: "DataFrame") -> "DataFrame":
    """Add the features of table examples. Grain: as ``labelled``, with columns user_id, item_id, ts, label.

    Two shuffles: what the user did before, by user; what was done to the item before, by item. Every window reaches
    back to the beginning, so that it moves on with each row and a user with many actions takes no longer by row.

    Args:
        items: ``described``.
    """
    from pyspark.sql import functions as F

    actions = events.where(F.col("user_id").isNotNull()).select(
        "user_id", "item_id", F.unix_micros("event_ts").alias("_us")
    )
    choices = labelled.withColumn("_us", F.unix_micros("ts"))
    return _of_item(_of_user(choices, actions, items), actions)


def _of_user(choices: "DataFrame", actions: "DataFrame", items: "DataFrame") -> "DataFrame":
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    by_item = actions.groupBy("user_id", "item_id", "_us").agg(F.count("*").alias("_n"))
    by_time = actions.groupBy("user_id", "_us").agg(F.count("*").alias("_at_once"))
    # Of a choice what was known the day before, of an action what was on its day: it was made seeing it.
    made = F.to_date(F.timestamp_micros("_us"))
    day = F.when(F.col("label").isNull(), made).otherwise(F.date_sub(made, 1))
    seen = F.broadcast(items.drop("brand", "price", "log_price_square"))
    rows = (
        as_told(choices.unionByName(by_item, allowMissingColumns=True), seen, day)
        .unionByName(by_time, allowMissingColumns=True)
        .repartition("user_id")
    )
    user, pair, alike = (_before(*keys) for keys in (["user_id"], ["user_id", "item_id"], ["user_id", "category"]))
    known_category = F.col("category").isNotNull()
    priced = F.when(F.col("log_price").isNotNull(), F.col("_n"))
    acted_us = F.when(F.col("_n") > 0, F.col("_us"))
    first_us = F.min(F.when(F.col("_at_once") > 0, F.col("_us"))).over(Window.partitionBy("user_id"))
    mean_log_price = F.try_divide(F.sum(priced * F.col("log_price")).over(user), F.sum(priced).over(user))
    in_any = F.sum(F.when(known_category, F.col("_n"))).over(user)
    seen = rows.withColumns(
        {
            "user_num_events": F.coalesce(F.sum("_n").over(user), F.lit(0)),
            "hours_since_user": (F.col("_us") - F.max(acted_us).over(user)) / _HOUR_MICROS,
            "user_decayed": _decayed(first_us, user),
            "price_match": F.col("log_price") - mean_log_price,
            "pair_num_events": F.coalesce(F.sum("_n").over(pair), F.lit(0)),
            "hours_since_pair": (F.col("_us") - F.max(acted_us).over(pair)) / _HOUR_MICROS,
            "_alike": F.coalesce(F.sum("_n").over(alike), F.lit(0)),
            "_in_any": in_any,
        }
    )
    match = F.when(known_category, F.try_divide("_alike", "_in_any"))
    return seen.where(F.col("label").isNotNull()).withColumn("category_match", match).drop("_n", "_at_once")


def _of_item(choices: "DataFrame", actions: "DataFrame") -> "DataFrame":
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    acted = actions.where(F.col("item_id").isNotNull())
    by_time = acted.groupBy("item_id", "_us").agg(F.count("*").alias("_at_once"))
    item = _before("item_id")
    acted_us = F.when(F.col("_at_once") > 0, F.col("_us"))
    rows = choices.unionByName(by_time, allowMissingColumns=True)
    return rows.withColumns(
        {
            "item_num_events": F.coalesce(F.sum("_at_once").over(item), F.lit(0)),
            "hours_since_item": (F.col("_us") - F.max(acted_us).over(item)) / _HOUR_MICROS,
            "item_decayed": _decayed(F.min(acted_us).over(Window.partitionBy("item_id")), item),
        }
    ).where(F.col("label").isNotNull())


def _before(*keys: str) -> "WindowSpec":
    from pyspark.sql import Window

    return Window.partitionBy(*keys).orderBy("_us").rangeBetween(Window.unboundedPreceding, -1)


def _decayed(first_us: "Column", earlier: "WindowSpec") -> "Column":
    """Actions before a row, each halved every half-life.

    0.5 ** ((t - s) / h) is 2 ** (s / h) divided by 2 ** (t / h): the sum over s moves on with t. Rows of the same time
    are one (``_at_once``), so there is one order of adding up, and later rows change no bit of the result.
    """
    from pyspark.sql import functions as F

    exponent = (F.col("_us") - first_us) / _HALF_LIFE_MICROS + _LOWEST_EXPONENT
    grown = F.pow(F.lit(2.0), exponent)
    total = F.sum(F.when(F.col("_at_once") > 0, F.col("_at_once") * grown)).over(earlier)
    return F.coalesce(total / grown, F.lit(0.0))
