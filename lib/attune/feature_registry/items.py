"""Features of an item as of a date. Grain: one item of the catalogue, or acted on before it."""

from attune.feature_registry.feature import (
    RATING_PRIOR,
    WINDOWS_DAYS,
    Feature,
    counts,
    days_to,
    decayed,
    money,
    rate,
    ratio,
)

ITEM_SUMS: dict[str, str] = {
    "actions": "sum(num_events)",
    "clicks": "sum(num_clicks)",
    "carts": "sum(num_carts)",
    "clicked": "sum(clicked)",
    "shown": "sum(shown)",
    "refunds": "sum(num_refunds)",
    "dwell_ms": "sum(dwell_ms)",
    "dwells": "sum(num_dwells)",
    "stars": "sum(stars)",
    "rated": "sum(num_rated)",
    "positive": "sum(positive)",
    "scored": "sum(num_scored)",
    "negative": "sum(num_negative)",
}
"""Aggregates over an item's days that formulas use and no column keeps."""

ITEM_FEATURES = (
    Feature("num_users", "int", "count", "ever", "distinct users who acted on it", "sum(new_users)", ranking=False),
    *counts("num_events", "num_events", "actions", (7, 30, 90)),
    Feature("num_purchases", "int", "count", "ever", "purchases", "sum(num_purchases)"),
    Feature(
        "trend", "double", "log ratio", "30 days", "log of the daily rate over 7 days by that over 30 days, smoothed",
        "ln(((num_events_7d + 1) / 7D) / ((num_events_30d + 30 / 7D) / 30D))", after=True,
    ),
    rate("click_rate", "clicked", "shown", "shown", "impressions clicked", "impressions"),
    rate("conversion_rate", "num_purchases", "clicks", "actions", "purchases per click or view", "actions"),
    Feature("price", "double", "currency", "none", "list price", ranking=False),
    Feature("days_since_first", "double", "days", "ever", "since it was first acted on; null without actions",
            days_to("as_of", "min(first_micros)"), ranking=False),
    Feature("num_reviews", "int", "count", "ever", "reviews", "sum(num_reviews)"),
    Feature(
        "mean_rating", "double", "stars", "ever",
        f"Bayesian mean of its stars: {RATING_PRIOR} reviews of the overall mean added; null without ratings",
        f"if(rated > 0, (stars + {RATING_PRIOR} * overall_rating) / (rated + {RATING_PRIOR}), NULL)", after=True,
    ),
    Feature("days_since_last", "double", "days", "ever", "since it was last acted on; null without actions",
            days_to("as_of", "max(last_micros)"), ranking=False),
    *counts("num_events", "num_events", "actions", (1,), ranking=False),
    *counts("num_purchases", "num_purchases", "purchases", WINDOWS_DAYS, ranking=False),
    *money("value", "purchases, less the refunds whose purchase is known"),
    *decayed("num_events", "num_events", "actions"),
    *decayed("num_purchases", "num_purchases", "purchases", (30,)),
    Feature("share_events_30d", "double", "share", "30 days", "share of all actions on items",
            "try_divide(num_events_30d, overall_events_30d)", after=True, ranking=False),
    rate("cart_rate", "carts", "clicks", "actions", "put into the cart per click or view", "actions"),
    rate("refund_rate", "refunds", "num_purchases", "num_purchases", "refunds per purchase", "purchases"),
    ratio("mean_dwell_seconds", "dwell_ms / 1000D", "dwells", "seconds",
          "mean time from an action on it to the next of the same visit and day, pauses over 30 minutes left out"),
    *counts("num_covisits", "num_others", "other items that its users acted on the same day, summed over users and days",
            (30, 90)),
    Feature("price_ratio", "double", "log ratio", "none",
            "log of its list price less the mean log of its first level of category"),
    *counts("num_reviews", "num_reviews", "reviews", (30, 90), ranking=False),
    Feature(
        "sentiment", "double", "probability", "ever",
        f"mean probability that a review is positive, by the sentiment model in use: {RATING_PRIOR} reviews of the overall "
        "mean added; null without scored reviews",
        f"if(scored > 0, (positive + {RATING_PRIOR} * overall_sentiment) / (scored + {RATING_PRIOR}), NULL)", after=True,
        ranking=False,
    ),
    ratio("share_negative", "negative", "scored", "share", "share of the scored reviews that are negative",
          ranking=False),
)  # fmt: skip
