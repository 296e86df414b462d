"""User features as of a date. Each formula is told in ``schemas.py``."""

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING

from attune.features.windows import events_in_days, seconds_before
from attune.tables import conform

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def user_features(events: "DataFrame", items: "DataFrame", weights: Mapping[str, float], as_of: dt.date) -> "DataFrame":
    """Table user_features for one date, from events strictly before it. Grain: one user with an event."""
    from pyspark.sql import functions as F

    known = events.where(F.col("ds") < F.lit(as_of)).join(_first_levels(items), "item_id", "left")
    behaviour = known.groupBy("user_id").agg(
        (F.min(seconds_before("event_ts", as_of)) / 86400).alias("days_since_last"),
        *(events_in_days("ds", as_of, days).alias(f"num_events_{days}d") for days in (7, 30, 90)),
        F.count_if(F.col("event_type") == "purchase").alias("num_purchases"),
        F.coalesce(F.sum(F.when(F.col("event_type").isin("purchase", "refund"), F.col("value"))), F.lit(0.0)).alias(
            "value_total"
        ),
        F.avg("price").alias("mean_price"),
        F.count_distinct("item_id").alias("num_items"),
        F.count_distinct("session_id").alias("num_sessions"),
    )
    return conform(
        behaviour.join(_top_categories(known, weights), "user_id", "left").withColumn("as_of", F.lit(as_of)),
        "user_features",
    )


def _first_levels(items: "DataFrame") -> "DataFrame":
    from pyspark.sql import functions as F

    return items.select("item_id", "price", F.trim(F.split("category", ">")[0]).alias("_category"))


def _top_categories(known: "DataFrame", weights: Mapping[str, float]) -> "DataFrame":
    from pyspark.sql import functions as F

    weight = F.create_map(*(F.lit(part) for pair in weights.items() for part in pair))[F.col("event_type")].cast(
        "double"
    )
    by_category = (
        known.where(F.col("_category").isNotNull()).groupBy("user_id", "_category").agg(F.sum(weight).alias("w"))
    )
    best = (
        by_category.where("w > 0")
        .groupBy("user_id")
        .agg(F.max(F.struct("w", "_category")).alias("best"), F.sum("w").alias("total"))
    )
    return best.select(
        "user_id",
        F.col("best._category").alias("top_category"),
        (F.col("best.w") / F.col("total")).alias("category_share"),
    )
