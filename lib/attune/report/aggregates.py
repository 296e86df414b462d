"""What the report shows of each table, computed in Spark; each result is small enough for the driver."""

from collections.abc import Mapping
from functools import reduce
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

STAGES = ("impression", "click", "cart", "purchase")
"""Stages of the funnel, in order. A view counts as a click where nothing tells what was shown; else it may come from elsewhere."""

NUM_BINS = 20
"""Columns of the histogram of probabilities."""


def volume_by_day(tables: "Mapping[str, DataFrame]") -> "DataFrame":
    """Rows by day of several tables. Grain: table and day; columns table, ds, num."""
    from pyspark.sql import functions as F

    days = (rows.select(F.lit(name).alias("table"), "ds").where("ds IS NOT NULL") for name, rows in tables.items())
    return reduce(lambda a, b: a.unionByName(b), days).groupBy("table", "ds").agg(F.count("*").alias("num"))


def funnel_by_day(events: "DataFrame", impressions: "DataFrame | None") -> "DataFrame":
    """Actions in each stage by day. Grain: day and stage; columns ds, stage, num."""
    from pyspark.sql import functions as F

    view_is_click = F.lit(impressions is None) & (F.col("event_type") == "view")
    stage = F.when(view_is_click, "click").otherwise(F.col("event_type"))
    acted = events.select("ds", stage.alias("stage")).where(F.col("stage").isin(*STAGES))
    if impressions is not None:
        acted = acted.unionByName(impressions.select("ds", F.lit("impression").alias("stage")))
    return acted.where("ds IS NOT NULL").groupBy("ds", "stage").agg(F.count("*").alias("num"))


def shop_totals(events: "DataFrame") -> "DataFrame":
    """One row: users, items acted on, actions, purchases, and money of purchases less refunds."""
    from pyspark.sql import functions as F

    paid = F.when(F.col("event_type").isin("purchase", "refund"), F.col("value"))
    return events.agg(
        F.count_distinct("user_id").alias("users"),
        F.count_distinct("item_id").alias("items"),
        F.count("*").alias("actions"),
        F.count_if(F.col("event_type") == "purchase").alias("purchases"),
        F.sum(paid).alias("value"),
        F.min("ds").alias("first_day"),
        F.max("ds").alias("last_day"),
    )


def visit_totals(sessions: "DataFrame") -> "DataFrame":
    """One row: visits, and the share of them with a purchase."""
    from pyspark.sql import functions as F

    return sessions.agg(F.count("*").alias("visits"), F.avg(F.col("converted").cast("double")).alias("converted"))


def refusals(quarantine: "DataFrame", most: int = 40) -> "DataFrame":
    """Refused rows by source and reason, most frequent first, with one of the rows. A row may have several reasons."""
    from pyspark.sql import functions as F

    return (
        quarantine.select("source", F.explode("reasons").alias("reason"), F.substring("raw", 1, 300).alias("raw"))
        .groupBy("source", "reason")
        .agg(F.count("*").alias("num"), F.min("raw").alias("example"))
        .orderBy(F.desc("num"), "source", "reason")
        .limit(most)
    )


def sentiment_histogram(scored: "DataFrame") -> "DataFrame":
    """Reviews by probability of being positive. Grain: one of 20 bins (null: not scored) and status; column num."""
    from pyspark.sql import functions as F

    # least() passes over nulls, which would put reviews without a score into the last bin.
    last = F.least(F.floor(F.col("probability") * NUM_BINS), F.lit(NUM_BINS - 1)).cast("int")
    which = F.when(F.col("probability").between(0, 1), last)
    return scored.groupBy(which.alias("bin"), "status").agg(F.count("*").alias("num"))


def sentiment_by_month(scored: "DataFrame") -> "DataFrame":
    """Reviews that were scored, by month: num, and how many of them are positive."""
    from pyspark.sql import functions as F

    return (
        scored.where("label IS NOT NULL AND review_ts IS NOT NULL")
        .groupBy(F.trunc("review_ts", "month").alias("month"))
        .agg(F.count("*").alias("num"), F.count_if(F.col("label") == "positive").alias("positive"))
    )


def satisfaction_ends(satisfaction: "DataFrame", items: "DataFrame | None", most: int = 5) -> "DataFrame":
    """Items whose customers are the most and the least satisfied. Column ``end`` is best or worst; ``place`` from 1."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    known = satisfaction.where("satisfaction IS NOT NULL AND NOT isnan(satisfaction)")
    ends = []
    for name, order in (("best", F.desc("satisfaction")), ("worst", F.asc("satisfaction"))):
        by = (order, F.desc("num_reviews"), F.asc("item_id"))
        place = F.row_number().over(Window.orderBy(*by))
        ends.append(known.orderBy(*by).limit(most).withColumns({"end": F.lit(name), "place": place}))
    return with_titles(ends[0].unionByName(ends[1]), items)


def sample_user_ids(recommendations: "DataFrame", events: "DataFrame | None", most: int, seed: int) -> "DataFrame":
    """Ids of a few users, drawn by seed among those that have recommendations and, if they can be told, a history."""
    from pyspark.sql import functions as F

    users = recommendations.where(~F.col("user_id").startswith("*")).select("user_id").distinct()
    if events is not None:
        several = (
            events.where("item_id IS NOT NULL").groupBy("user_id").agg(F.count_distinct("item_id").alias("_items"))
        )
        users = users.join(several.where("_items >= 3"), "user_id", "left_semi")
    drawn = F.xxhash64(F.lit(seed), "user_id")
    return users.orderBy(drawn, "user_id").limit(most)


def recommended_to(
    recommendations: "DataFrame", users: "DataFrame", items: "DataFrame | None", most: int
) -> "DataFrame":
    """The first recommendations of some users. Grain: user and rank; columns of the table, and title and category."""
    wanted = recommendations.where(f"rank <= {most}").join(users.hint("broadcast"), "user_id", "left_semi")
    return with_titles(wanted.select("user_id", "rank", "item_id", "score", "sources", "reasons"), items)


def history_of(events: "DataFrame", users: "DataFrame", items: "DataFrame | None", most: int) -> "DataFrame":
    """The latest items of some users. Grain: user and item, with the strongest action on it and when it last was."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    strength = F.element_at(
        F.create_map(*(F.lit(v) for n, name in enumerate((*STAGES, "refund")) for v in (name, n))), F.col("event_type")
    )
    acted = (
        events.where("item_id IS NOT NULL")
        .join(users.hint("broadcast"), "user_id", "left_semi")
        .groupBy("user_id", "item_id")
        .agg(
            F.max("event_ts").alias("last_ts"),
            F.max_by("event_type", F.coalesce(strength, F.lit(1))).alias("event_type"),
        )
    )
    latest = Window.partitionBy("user_id").orderBy(F.desc("last_ts"), "item_id")
    chosen = acted.withColumn("place", F.row_number().over(latest)).where(F.col("place") <= most)
    return with_titles(chosen, items)


def with_titles(rows: "DataFrame", items: "DataFrame | None") -> "DataFrame":
    """Add an item's title and category; null where there is no catalogue."""
    from pyspark.sql import functions as F

    if items is None:
        return rows.withColumns({"title": F.lit(None).cast("string"), "category": F.lit(None).cast("string")})
    return rows.join(items.select("item_id", "title", "category"), "item_id", "left")
