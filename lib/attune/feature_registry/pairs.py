"""Features of a user and an item as of a date. Grain: one user and item acted on in the 90 days before it."""

from attune.feature_registry.feature import Feature, counts, days_to

PAIR_FEATURES = (
    *counts("num_events", "num_events", "actions of the user on the item", (7, 30, 90)),
    *counts("num_purchases", "num_purchases", "purchases of the item by the user", (90,)),
    Feature("num_active_days_90d", "int", "days", "90 days", "days on which the user acted on the item", "count(1)"),
    Feature("weight_decayed_30d", "double", "worth", "90 days, half-life 30 days",
            "worth of the actions by recommend.event_weights, each halved every 30 days", "sum(worth * decay_30d)"),
    Feature("days_since_last", "double", "days", "90 days", "since the user's last action on the item",
            days_to("as_of", "max(last_micros)")),
    Feature("dwell_seconds", "double", "seconds", "90 days",
            "time from an action on the item to the next of the same visit and day, summed",
            "sum(dwell_ms) / 1000D"),
    Feature("category_match", "double", "share", "ever",
            "share of the user's weighted actions in the item's first level of category; null without a category"),
    Feature("brand_match", "double", "share", "ever",
            "share of the user's weighted actions on the item's brand; null without a brand"),
    Feature("price_match", "double", "log ratio", "ever",
            "log of the item's list price less the mean log of the list prices that the user acted on"),
)  # fmt: skip
