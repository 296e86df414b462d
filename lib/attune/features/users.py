"""User features as of many dates from one pass over the daily counts. Formulas: ``attune.feature_registry``."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from attune.feature_registry import USER_FEATURES, USER_SUMS
from attune.features.daily import Daily, first_days
from attune.features.described import as_told, formulas, stacked
from attune.features.windows import each_date, exact, known_before, share_of, with_overall, worth_of_counts
from attune.tables import conform

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_SUMMED = (
    "num_events", "num_clicks", "num_purchases", "num_refunds", "num_night", "num_morning", "num_afternoon",
    "num_evening", "value", "value_matched", "dwell_ms", "num_dwells", "price_sum", "price_num", "log_price_sum",
    "log_price_squares", "log_price_num", "new_items", "new_sessions", "shown", "clicked",
)  # fmt: skip


def user_days(daily: Daily, items: "DataFrame") -> "DataFrame":
    """Everything that is summed over a user's days. Grain: one user and day with an action or an impression.

    Args:
        items: ``described``.
    """
    from pyspark.sql import functions as F

    num = F.expr("num_searches + num_clicks + num_views + num_carts + num_purchases + num_refunds")
    priced, known = F.col("price").isNotNull(), F.col("log_price").isNotNull()
    acted = as_told(daily.user_items, items, F.col("ds")).withColumns(
        {
            "num_events": num,
            "num_clicks": F.col("num_clicks") + F.col("num_views"),
            "price_sum": num * exact(F.col("price")),
            "price_num": F.when(priced, num),
            "log_price_sum": num * F.col("log_price"),
            "log_price_squares": num * F.col("log_price_square"),
            "log_price_num": F.when(known, num),
        }
    )
    new_items = first_days(daily.user_items).select("user_id", "ds", F.lit(1).alias("new_items"))
    starts = daily.sessions.groupBy("user_id", "session_id").agg(F.min("ds").alias("ds"))
    seen = daily.impressions.where(F.col("kind") == "user").withColumnRenamed("id", "user_id")
    sources = (acted, new_items, starts.select("user_id", "ds", F.lit(1).alias("new_sessions")), seen)
    return stacked("user_id", _SUMMED, *sources)


def user_features(days: "DataFrame", liked: "DataFrame", cutoffs: Sequence[dt.date]) -> "DataFrame":
    """Table user_features for some dates, each from days before it. Grain: one user with an action before a date.

    Args:
        days: ``user_days``; read twice.
        liked: ``affinities``.
    """
    from pyspark.sql import functions as F

    dated = known_before(days, cutoffs)
    sums = dated.groupBy("user_id", "as_of").agg(*formulas(USER_SUMS, USER_FEATURES))
    overall = {
        "click_rate": share_of("clicked", "shown"),
        "conversion_rate": share_of("num_purchases", "num_clicks"),
        "refund_rate": share_of("num_refunds", "num_purchases"),
    }
    rows = with_overall(sums.where(F.col("num_actions") > 0), dated, overall)
    rows = rows.join(favourites(liked), ["user_id", "as_of"], "left")
    derived = {feature.name: F.expr(feature.sql) for feature in USER_FEATURES if feature.after}
    return conform(rows.fillna(0, ["num_categories"]).withColumns(derived), "user_features")


def affinities(
    daily: Daily, items: "DataFrame", weights: Mapping[str, float], cutoffs: Sequence[dt.date]
) -> "DataFrame":
    """Weighted actions of each user by first level of category, and by brand, before each date.

    Grain: user_id, as_of, kind (category or brand) and value, where worth is above 0. Days between two dates are summed
    before they are given to each date after them.
    """
    from pyspark.sql import functions as F

    in_order = sorted(set(cutoffs))
    first = F.coalesce(*(F.when(F.col("ds") < F.lit(date), F.lit(date)) for date in in_order))
    kinds = F.array(
        *(F.struct(F.lit(kind).alias("kind"), F.col(kind).alias("value")) for kind in ("category", "brand"))
    )
    acted = as_told(daily.user_items.where(F.col("ds") < F.lit(in_order[-1])), items, F.col("ds"))
    periods = (
        acted.select("user_id", first.alias("_first"), worth_of_counts(weights).alias("worth"), F.inline(kinds))
        .where(F.col("value").isNotNull() & (F.col("worth") > 0))
        .groupBy("user_id", "kind", "value", "_first")
        .agg(F.sum("worth").alias("worth"))
    )
    dated = each_date(periods, in_order).where(F.col("_first") <= F.col("as_of"))
    return dated.groupBy("user_id", "as_of", "kind", "value").agg(F.sum("worth").alias("worth"))


def favourites(liked: "DataFrame") -> "DataFrame":
    """What each user likes best. Columns user_id, as_of, top_category, category_share, num_categories, category_worth, ..."""
    from pyspark.sql import functions as F

    def of(kind: str) -> "list[Column]":
        own = F.col("kind") == kind
        best = F.max(F.when(own, F.struct("worth", "value")))
        total = F.sum(F.when(own, F.col("worth")))
        return [
            best["value"].alias(f"top_{kind}"),
            (best["worth"] / total).alias(f"{kind}_share"),
            total.alias(f"{kind}_worth"),
        ]

    return liked.groupBy("user_id", "as_of").agg(
        *of("category"), *of("brand"), F.count_if(F.col("kind") == "category").alias("num_categories")
    )
