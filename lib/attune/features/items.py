"""Item features as of many dates from one pass over the daily counts. Formulas: ``attune.feature_registry``."""

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

from attune.feature_registry import ITEM_FEATURES, ITEM_SUMS
from attune.feature_registry.feature import in_days
from attune.features.daily import Daily, first_days
from attune.features.described import formulas, stacked
from attune.features.windows import MONEY_BITS, WEIGHT_BITS, each_date, exact, known_before, share_of, with_overall
from attune.tables import conform

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_SUMMED = (
    "num_events", "num_clicks", "num_carts", "num_purchases", "num_refunds", "value_matched", "dwell_ms", "num_dwells",
    "num_others", "new_users", "shown", "clicked", "num_reviews", "num_rated", "stars", "num_scored", "positive",
    "num_negative",
)  # fmt: skip
_NULLABLE = ("item_id", "as_of", "days_since_first", "days_since_last")


def item_days(daily: Daily, reviews: "DataFrame", sentiment: "DataFrame | None" = None) -> "DataFrame":
    """Everything that is summed over an item's days. Grain: one item and day on which something happened to it.

    Args:
        sentiment: table review_sentiment of one model version, see ``of_version``.
    """
    from pyspark.sql import functions as F

    acted = daily.user_items.withColumns(
        {
            "num_events": F.expr("num_clicks + num_views + num_carts + num_purchases + num_refunds"),
            "num_clicks": F.col("num_clicks") + F.col("num_views"),
        }
    )
    new_users = first_days(daily.user_items).select("item_id", "ds", F.lit(1).alias("new_users"))
    seen = daily.impressions.where(F.col("kind") == "item").withColumnRenamed("id", "item_id")
    rated = reviews.select(
        "item_id", "ds", F.lit(1).alias("num_reviews"), F.when(F.col("rating").isNotNull(), 1).alias("num_rated"),
        exact(F.col("rating"), MONEY_BITS).alias("stars"),
    )  # fmt: skip
    sources = [acted, new_users, seen, rated]
    if sentiment is not None:
        scored = sentiment.where(F.col("status") == "scored")
        sources.append(
            scored.select(
                "item_id", F.to_date("review_ts").alias("ds"), F.lit(1).alias("num_scored"),
                exact(F.col("probability"), WEIGHT_BITS).alias("positive"),
                F.when(F.col("label") == "negative", 1).alias("num_negative"),
            )
        )  # fmt: skip
    return stacked("item_id", _SUMMED, *sources)


def item_features(days: "DataFrame", items: "DataFrame", cutoffs: Sequence[dt.date]) -> "DataFrame":
    """Table item_features for some dates, each from days before it. Grain: one item of the catalogue or the log.

    Args:
        days: ``item_days``; read twice.
        items: ``described``.
    """
    from pyspark.sql import functions as F

    dated = known_before(days, cutoffs)
    sums = dated.groupBy("item_id", "as_of").agg(*formulas(ITEM_SUMS, ITEM_FEATURES))
    catalogue = _catalogue(items, cutoffs)
    joined = catalogue.join(sums, ["item_id", "as_of"], "full").fillna(
        0, [c for c in sums.columns if c not in _NULLABLE]
    )
    overall = {
        "click_rate": share_of("clicked", "shown"),
        "conversion_rate": share_of("num_purchases", "num_clicks"),
        "cart_rate": share_of("num_carts", "num_clicks"),
        "refund_rate": share_of("num_refunds", "num_purchases"),
        "rating": share_of("stars", "num_rated"),
        "sentiment": share_of("positive", "num_scored"),
        "events_30d": in_days("num_events", 30),
    }
    rows = with_overall(joined, dated, overall)
    derived = {feature.name: F.expr(feature.sql) for feature in ITEM_FEATURES if feature.after}
    return conform(rows.withColumns(derived), "item_features")


def of_version(scored: "DataFrame", model_version: str) -> "DataFrame":
    """Rows that one version of a model made: scores of two versions do not compare."""
    from pyspark.sql import functions as F

    return scored.where(F.col("model_version") == model_version)


def _catalogue(items: "DataFrame", cutoffs: Sequence[dt.date]) -> "DataFrame":
    """Columns item_id, as_of, price and price_ratio of each item known before each date."""
    from pyspark.sql import functions as F

    before = F.date_sub("as_of", 1)
    known = each_date(items, cutoffs).where((before >= F.col("told")) & (before < F.col("until")))
    usual = known.where(F.col("log_price").isNotNull() & F.col("category").isNotNull()).groupBy("as_of", "category")
    means = usual.agg((F.sum("log_price") / F.count("*")).alias("_usual"))
    ratio = (F.col("log_price") - F.col("_usual")).alias("price_ratio")
    joined = known.join(F.broadcast(means), ["as_of", "category"], "left")
    return joined.select("item_id", "as_of", "price", ratio)
