"""How popular each item is as of a date: users who acted on it, recent ones counting more."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def popularity(interactions: "DataFrame", half_lives_days: Sequence[float]) -> "DataFrame":
    """Distinct users by item, each counted as 0.5 ** (age of the last action / half-life). Grain: one item.

    Columns: item_id, actors, actions_per_user, log_quantity (mean log of the units), days_since_first, days_since_last
    and popularity_<half-life> for each half-life in days.
    """
    from pyspark.sql import functions as F

    return interactions.groupBy("item_id").agg(
        F.count("*").alias("actors"),
        F.avg("num_actions").alias("actions_per_user"),
        F.avg("log_quantity").alias("log_quantity"),
        F.max("first_age_days").alias("days_since_first"),
        F.min("age_days").alias("days_since_last"),
        *(F.sum(F.pow(F.lit(0.5), F.col("age_days") / days)).alias(name) for days, name in named(half_lives_days)),
    )


def popularity_by_region(interactions: "DataFrame", regions: "DataFrame", half_life_days: float) -> "DataFrame":
    """Distinct users by region and item, recent ones counting more. Columns region, item_id, popularity."""
    from pyspark.sql import functions as F

    located = interactions.join(regions.where("region IS NOT NULL"), "user_id")
    decayed = F.sum(F.pow(F.lit(0.5), F.col("age_days") / half_life_days))
    return located.groupBy("region", "item_id").agg(decayed.alias("popularity"))


def named(half_lives_days: Sequence[float]) -> list[tuple[float, str]]:
    """Each half-life with the name of its column.

    >>> named([7, 0.5])
    [(7, 'popularity_7d'), (0.5, 'popularity_0.5d')]
    """
    return [(days, f"popularity_{days:g}d") for days in half_lives_days]
