"""Features of a user and an item together, as of many dates. Formulas: ``attune.feature_registry``."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from attune.feature_registry import PAIR_FEATURES
from attune.features.daily import Daily
from attune.features.described import as_told, formulas
from attune.features.users import favourites
from attune.features.windows import known_before, worth_of_counts
from attune.tables import conform

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

PAIR_DAYS = 90
"""Pairs without an action in so many days before a date have no row."""


def user_item_features(
    daily: Daily,
    items: "DataFrame",
    liked: "DataFrame",
    users: "DataFrame",
    weights: Mapping[str, float],
    cutoffs: Sequence[dt.date],
) -> "DataFrame":
    """Table user_item_features for some dates. Grain: one user and item acted on in the 90 days before a date.

    Args:
        items: ``described``.
        liked: ``users.affinities`` of ``daily``.
        users: columns user_id, as_of, mean_log_price.
    """
    from pyspark.sql import functions as F

    num = F.expr("num_clicks + num_views + num_carts + num_purchases + num_refunds")
    acted = daily.user_items.where(F.col("item_id").isNotNull()).select(
        "user_id", "item_id", "ds", num.alias("num_events"), "num_purchases", "dwell_ms", "last_micros",
        worth_of_counts(weights).alias("worth"),
    )  # fmt: skip
    pairs = known_before(acted, cutoffs, PAIR_DAYS).groupBy("user_id", "item_id", "as_of")
    rows = as_told(pairs.agg(*formulas({}, PAIR_FEATURES)), items, F.date_sub("as_of", 1))
    # The order of the joins saves a sort: rows in the order of user, date and category are in that of user and date.
    rows = _with_worth(rows, liked, "category")
    worths = favourites(liked).select("user_id", "as_of", "category_worth", "brand_worth")
    totals = worths.join(users.select("user_id", "as_of", "mean_log_price"), ["user_id", "as_of"], "full")
    rows = _with_worth(rows.join(totals, ["user_id", "as_of"], "left"), liked, "brand")
    shares = {kind: F.coalesce(f"_{kind}", F.lit(0.0)) / F.col(f"{kind}_worth") for kind in ("category", "brand")}
    matches = {f"{kind}_match": F.when(F.col(kind).isNotNull(), share) for kind, share in shares.items()}
    return conform(
        rows.withColumns({**matches, "price_match": F.col("log_price") - F.col("mean_log_price")}),
        "user_item_features",
    )


def _with_worth(rows: "DataFrame", liked: "DataFrame", kind: str) -> "DataFrame":
    """Add what the user's actions on the item's category, or brand, were worth; null where there was none."""
    from pyspark.sql import functions as F

    worths = liked.where(F.col("kind") == kind).select(
        "user_id", "as_of", F.col("value").alias(kind), F.col("worth").alias(f"_{kind}")
    )
    return rows.join(worths, ["user_id", "as_of", kind], "left")
