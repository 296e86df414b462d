"""Features of a user as of a date. Grain: one user with an action before it."""

from attune.feature_registry.feature import WINDOWS_DAYS, Feature, counts, days_to, decayed, money, rate, ratio, rounded

_PARTS_OF_DAY = (("night", "0 to 6"), ("morning", "6 to 12"), ("afternoon", "12 to 18"), ("evening", "18 to 24"))

LEAST_VARIANCE = 1e-8
"""Of log prices; what is less comes from rounding the sums."""
_VARIANCE = "(try_divide(log_price_squares, log_price_num) - pow(try_divide(log_price_sum, log_price_num), 2))"

USER_SUMS: dict[str, str] = {
    "clicks": "sum(num_clicks)",
    "clicked": "sum(clicked)",
    "shown": "sum(shown)",
    "refunds": "sum(num_refunds)",
    "price_sum": "sum(price_sum)",
    "price_num": "sum(price_num)",
    "log_price_sum": "sum(log_price_sum)",
    "log_price_squares": "sum(log_price_squares)",
    "log_price_num": "sum(log_price_num)",
    "dwell_ms": "sum(dwell_ms)",
    "dwells": "sum(num_dwells)",
    "weekend": "sum(if(weekday(ds) >= 5, num_events, 0))",
    **{part: f"sum(num_{part})" for part, _ in _PARTS_OF_DAY},
    **{f"weekday_{n}": f"sum(if(weekday(ds) = {n}, num_events, 0))" for n in range(7)},
}
"""Aggregates over a user's days that formulas use and no column keeps."""

USER_FEATURES = (
    Feature(
        "days_since_last", "double", "days", "ever", "since the last action",
        days_to("as_of", "max(last_micros)"), ranking=False,
    ),
    *counts("num_events", "num_events", "actions", (7, 30, 90)),
    Feature("num_purchases", "int", "count", "ever", "purchases", "sum(num_purchases)"),
    Feature("value_total", "double", "currency", "ever", "purchases and all refunds", rounded("sum(value)")),
    ratio("mean_price", "price_sum", "price_num", "currency", "mean list price of the items acted on, by action"),
    Feature("num_items", "int", "count", "ever", "distinct items acted on", "sum(new_items)", ranking=False),
    Feature("num_sessions", "int", "count", "ever", "visits", "sum(new_sessions)"),
    Feature(
        "top_category", "string", "name", "ever",
        "first level of the category acted on most, by recommend.event_weights", ranking=False,
    ),
    Feature("category_share", "double", "share", "ever", "share of the weighted actions that fall in top_category"),
    Feature("days_since_first", "double", "days", "ever", "since the first action",
            days_to("as_of", "min(first_micros)"), ranking=False),
    Feature("days_since_purchase", "int", "days", "ever", "since the day of the last purchase; null without one",
            "min(if(num_purchases > 0, age, NULL))"),
    Feature("num_actions", "int", "count", "ever", "actions", "sum(num_events)", ranking=False),
    *counts("num_events", "num_events", "actions", (1,), ranking=False),
    *(
        Feature(f"num_active_days_{d}d", "int", "days", f"{d} days", "days with an action",
                f"count(if(age <= {d} AND num_events > 0, 1, NULL))", ranking=d == 30)
        for d in (7, 30, 90)
    ),
    *counts("num_purchases", "num_purchases", "purchases", WINDOWS_DAYS, ranking=False),
    *money("value", "purchases, less the refunds whose purchase is known"),
    *decayed("num_events", "num_events", "actions"),
    *decayed("num_purchases", "num_purchases", "purchases", (30,)),
    rate("click_rate", "clicked", "shown", "shown", "impressions clicked", "impressions"),
    rate("conversion_rate", "num_purchases", "clicks", "num_actions", "purchases per click or view"),
    rate("refund_rate", "refunds", "num_purchases", "num_purchases", "refunds per purchase", "purchases",
         ranking=False),
    ratio("mean_log_price", "log_price_sum", "log_price_num", "log currency",
          "mean natural log of the list prices acted on", ranking=False),
    Feature(
        "price_spread", "double", "log ratio", "ever",
        f"standard deviation of the log of the list prices acted on; 0 where the variance is below {LEAST_VARIANCE:g}",
        f"if({_VARIANCE} >= {LEAST_VARIANCE:.0e}, sqrt({_VARIANCE}), if(log_price_num > 0, 0D, NULL))", after=True,
    ),
    Feature("num_categories", "int", "count", "ever", "distinct first levels of category acted on"),
    Feature("top_brand", "string", "name", "ever", "brand acted on most, by recommend.event_weights", ranking=False),
    Feature("brand_share", "double", "share", "ever", "share of the weighted actions that fall on top_brand"),
    *(
        Feature(f"share_{part}", "double", "share", "ever", f"share of the actions from {hours} o'clock UTC",
                f"try_divide({part}, num_actions)", after=True, ranking=False)
        for part, hours in _PARTS_OF_DAY
    ),
    Feature("share_weekend", "double", "share", "ever", "share of the actions on Saturday or Sunday, UTC",
            "try_divide(weekend, num_actions)", after=True, ranking=False),
    Feature(
        "top_weekday", "int", "day of week", "ever", "weekday with most actions, 1 Monday to 7 Sunday; first of equals",
        "array_position(array({0}), greatest({0}))".format(", ".join(f"weekday_{n}" for n in range(7))),
        after=True, ranking=False,
    ),
    Feature("mean_dwell_seconds", "double", "seconds", "ever",
            "mean time to the next action of the same visit and day, pauses over 30 minutes left out",
            "try_divide(dwell_ms, dwells) / 1000D", after=True),
    ratio("actions_per_session", "num_actions", "num_sessions", "count", "actions per visit: how deep visits go"),
)  # fmt: skip
