"""What each user did to each item before a date, weighted by kind of action and age; and what he did next."""

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING

from attune.features.windows import seconds_before

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

SECONDS_PER_DAY = 86400


def interactions(
    events: "DataFrame", event_weights: Mapping[str, float], half_life_days: float, cutoff: dt.date
) -> "DataFrame":
    """Weighted actions strictly before a date. Grain: one user and item.

    Columns: user_id, item_id, weight (sum of the worths of the actions, each halved every ``half_life_days``),
    age_days and first_age_days (of the last and the first action), num_actions, log_quantity (mean log of the
    units), session_id (of the last action), bought (whether any action was a purchase; a refund does not undo it).
    """
    from pyspark.sql import functions as F

    age = seconds_before("event_ts", cutoff) / SECONDS_PER_DAY
    worth = worth_of(event_weights)
    acted = events.where(F.col("ds") < F.lit(cutoff)).where(F.col("item_id").isNotNull() & F.col("user_id").isNotNull())
    return (
        acted.where(F.col("event_type").isin(*event_weights))
        .groupBy("user_id", "item_id")
        .agg(
            F.sum(worth * F.pow(F.lit(0.5), age / half_life_days)).alias("weight"),
            F.min(age).alias("age_days"),
            F.max(age).alias("first_age_days"),
            F.count("*").alias("num_actions"),
            F.avg(F.when(F.col("quantity") > 0, F.log("quantity"))).alias("log_quantity"),
            F.max(F.struct("event_ts", "session_id"))["session_id"].alias("session_id"),
            F.bool_or(F.col("event_type") == "purchase").alias("bought"),
        )
    )


def worth_of(event_weights: Mapping[str, float]) -> "Column":
    """Worth of an event by its type; null for types that do not count."""
    from pyspark.sql import functions as F

    return F.create_map(*(F.lit(part) for pair in event_weights.items() for part in pair))[F.col("event_type")].cast(
        "double"
    )


def latest_items(interactions: "DataFrame", max_history: int) -> "DataFrame":
    """The latest ``max_history`` items of each user: a cap on heavy users, whose pairs grow with the square."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    latest_first = Window.partitionBy("user_id").orderBy("age_days", "item_id")
    return (
        interactions.withColumn("_nth", F.row_number().over(latest_first))
        .where(F.col("_nth") <= max_history)
        .drop("_nth")
    )


def acted_on(events: "DataFrame", event_types: Mapping[str, float], start: dt.date, end: dt.date) -> "DataFrame":
    """Distinct items that each user acted on from ``start`` to the day before ``end``. Columns user_id, item_id."""
    from pyspark.sql import functions as F

    period = events.where((F.col("ds") >= F.lit(start)) & (F.col("ds") < F.lit(end)))
    chosen = period.where(
        F.col("event_type").isin(*event_types) & F.col("item_id").isNotNull() & F.col("user_id").isNotNull()
    )
    return chosen.select("user_id", "item_id").distinct()


def regions(events: "DataFrame", users: "DataFrame | None", end: dt.date) -> "DataFrame":
    """Region of each user: as stated, else the country of his first event before ``end``. Columns user_id, region."""
    from pyspark.sql import functions as F

    known = events.where((F.col("ds") < F.lit(end)) & F.col("user_id").isNotNull())
    seen = known.groupBy("user_id").agg(
        F.min_by("country", F.when(F.col("country").isNotNull(), F.col("event_ts"))).alias("_country")
    )
    if users is None:
        return seen.select("user_id", F.col("_country").alias("region"))
    stated = users.select("user_id", F.col("region").alias("_stated"))
    return seen.join(stated, "user_id", "left").select("user_id", F.coalesce("_stated", "_country").alias("region"))
