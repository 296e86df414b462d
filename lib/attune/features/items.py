"""Item features as of a date. Each formula is told in ``schemas.py``."""

import datetime as dt
from typing import TYPE_CHECKING

from attune.features.windows import events_in_days, seconds_before
from attune.tables import conform

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_RATE_PRIOR = 20
"""Impressions' (or clicks') worth of the overall rate that an item's rate is smoothed towards."""
_RATING_PRIOR = 5
"""Reviews' worth of the overall mean that an item's mean rating is smoothed towards."""


def item_features(
    items: "DataFrame", events: "DataFrame", impressions: "DataFrame", reviews: "DataFrame", as_of: dt.date
) -> "DataFrame":
    """Table item_features for one date, from rows strictly before it. Grain: one item of the catalogue or the log."""
    from pyspark.sql import functions as F

    def before(df: "DataFrame") -> "DataFrame":
        return df.where(F.col("ds") < F.lit(as_of))

    joined = (
        items.select("item_id", "price")
        .join(_behaviour(before(events), as_of), "item_id", "full")
        .join(_clicks(before(impressions)), "item_id", "left")
        .join(_ratings(before(reviews)), "item_id", "left")
    )
    zero = ("num_users", "num_events_7d", "num_events_30d", "num_events_90d", "num_purchases", "num_reviews")
    daily_7d, daily_30d = (F.col("num_events_7d") + 1) / 7, (F.col("num_events_30d") + 30 / 7) / 30
    return conform(
        joined.fillna(0, list(zero)).withColumns({"trend": F.log(daily_7d / daily_30d), "as_of": F.lit(as_of)}),
        "item_features",
    )


def _behaviour(events: "DataFrame", as_of: dt.date) -> "DataFrame":
    from pyspark.sql import functions as F

    counted = (
        events.where(F.col("item_id").isNotNull())
        .groupBy("item_id")
        .agg(
            F.count_distinct("user_id").alias("num_users"),
            *(events_in_days("ds", as_of, days).alias(f"num_events_{days}d") for days in (7, 30, 90)),
            F.count_if(F.col("event_type") == "purchase").alias("num_purchases"),
            F.count_if(F.col("event_type").isin("click", "view")).alias("num_clicks"),
            (F.max(seconds_before("event_ts", as_of)) / 86400).alias("days_since_first"),
        )
    )
    return counted.withColumn("conversion_rate", _smoothed(F.col("num_purchases"), F.col("num_clicks")))


def _clicks(impressions: "DataFrame") -> "DataFrame":
    from pyspark.sql import functions as F

    shown = impressions.groupBy("item_id").agg(F.count_if("clicked").alias("clicked"), F.count("*").alias("shown"))
    return shown.select("item_id", _smoothed(F.col("clicked"), F.col("shown")).alias("click_rate"))


def _smoothed(successes: "Column", trials: "Column") -> "Column":
    """Rate shrunk towards the rate over all items; null where nothing was ever tried.

    The prior counts as ``_RATE_PRIOR`` trials at the overall rate.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    everything = Window.partitionBy(F.lit(0))
    total = F.sum(trials).over(everything)
    overall = F.when(total > 0, F.sum(successes).over(everything) / total)
    return (successes + overall * _RATE_PRIOR) / (trials + _RATE_PRIOR)


def _ratings(reviews: "DataFrame") -> "DataFrame":
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    rated = (
        reviews.where(F.col("item_id").isNotNull())
        .groupBy("item_id")
        .agg(F.count("*").alias("num_reviews"), F.count("rating").alias("n"), F.sum("rating").alias("stars"))
    )
    everything = Window.partitionBy(F.lit(0))
    overall = F.try_divide(F.sum("stars").over(everything), F.sum("n").over(everything))
    mean = (F.col("stars") + overall * _RATING_PRIOR) / (F.col("n") + _RATING_PRIOR)
    return rated.select("item_id", "num_reviews", F.when(F.col("n") > 0, mean).alias("mean_rating"))
