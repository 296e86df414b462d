"""Features of a labelled choice, from what happened strictly before it."""

from attune.feature_registry.feature import Feature

_BEFORE = "strictly before ts"
EXAMPLE_HALF_LIFE_DAYS = 7

EXAMPLE_FEATURES = (
    Feature("user_num_events", "int", "count", _BEFORE, "actions of the user"),
    Feature("item_num_events", "int", "count", _BEFORE, "actions on the item"),
    Feature("hours_since_user", "double", "hours", _BEFORE, "since the user's last action; null for the first"),
    Feature("user_decayed", "double", "count", _BEFORE,
            f"actions of the user, each halved every {EXAMPLE_HALF_LIFE_DAYS} days"),
    Feature("item_decayed", "double", "count", _BEFORE,
            f"actions on the item, each halved every {EXAMPLE_HALF_LIFE_DAYS} days"),
    Feature("hours_since_item", "double", "hours", _BEFORE, "since anyone's last action on the item; null for the first"),
    Feature("pair_num_events", "int", "count", _BEFORE, "actions of the user on the item"),
    Feature("hours_since_pair", "double", "hours", _BEFORE, "since the user's last action on the item; null for the first"),
    Feature("category_match", "double", "share", _BEFORE,
            "share of the user's actions in the item's first level of category; null before the first action"),
    Feature("price_match", "double", "log ratio", _BEFORE,
            "log of the item's list price less the mean log of the list prices that the user acted on"),
)  # fmt: skip
