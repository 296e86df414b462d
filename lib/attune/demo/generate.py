"""Writes the demo data: raw files as a company's logs would lie there, and the truth behind them."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from attune.demo import raw_events
from attune.demo.campaigns import describe_campaigns, make_exposures
from attune.demo.catalogue import describe_items, item_id, make_catalogue
from attune.demo.people import describe_users, make_people, user_id
from attune.demo.pictures import has_picture, picture_path, write_pictures
from attune.demo.randomness import Floats, Ints
from attune.demo.reviews import COLUMNS as REVIEW_COLUMNS
from attune.demo.reviews import make_reviews
from attune.demo.visits import examination
from attune.demo.vocabulary import ASPECTS, CATEGORIES, STYLES
from attune.demo.world import World, make_world

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from attune.config import Config

_ROWS_PER_PARTITION = 25_000
_MOST_ROWS_PER_PARTITION = 500_000
_MAX_POSITION = 20


def generate(spark: "SparkSession", settings: "Config", root: str) -> None:
    """Write events, reviews, items, their pictures, users, campaigns and truth under ``root``, in place of what lies there.

    One seed and the same settings give the same rows, whatever the cluster.
    """
    world = make_world(settings)
    root = root.rstrip("/")
    events = raw_events.generate_events(spark, world, num_partitions(world.num_events))
    lines = raw_events.to_lines(world, events).sortWithinPartitions("ds", "ts_ms").drop("ts_ms")
    _write_text(lines, f"{root}/events", "ds")
    reviews = _map(spark, world, world.num_reviews, make_reviews, REVIEW_COLUMNS)
    _write_text(_review_lines(reviews), f"{root}/reviews")
    items = _map(spark, world, world.num_items, _items, _ITEMS)
    _write_json(items, f"{root}/items")
    if world.image_share > 0:
        write_pictures(world, root)
    users = _map(spark, world, world.num_users, describe_users, _USERS)
    _write_json(users, f"{root}/users")
    _write_campaigns(spark, world, root)
    review_dirt = reviews.where("dirt IS NOT NULL").selectExpr(
        "'reviews' AS source", "review_id AS key", "dirt AS kind", "CAST(NULL AS DATE) AS ds"
    )
    _write_parquet(raw_events.to_truth(world, events).unionByName(review_dirt), f"{root}/truth/dirty_rows")
    _write_parquet(reviews.where("dirt IS NULL OR dirt != 'duplicate'").select(
        "review_id", "true_stars", "problem"), f"{root}/truth/reviews")  # fmt: skip
    _write_parquet(_map(spark, world, world.num_users, _tastes, _TASTES), f"{root}/truth/users")
    _write_parquet(_map(spark, world, world.num_items, _qualities, _QUALITIES), f"{root}/truth/items")
    _write_small_truths(spark, world, root)


def num_partitions(rows: int) -> int:
    """Partitions of so many rows, whatever the cluster: few enough files in each day, small enough tasks.

    >>> [num_partitions(rows) for rows in (1_000, 100_000, 1_000_000, 100_000_000)]
    [1, 2, 6, 200]
    """
    return max(1, round((rows / _ROWS_PER_PARTITION) ** 0.5), rows // _MOST_ROWS_PER_PARTITION)


def _map(
    spark: "SparkSession", world: World, count: int, make: Callable[[World, Ints], pd.DataFrame], schema: str
) -> "DataFrame":
    """Rows that a function makes from the numbers 0 to ``count - 1``."""

    def rows(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            yield make(world, batch["id"].to_numpy())

    return spark.range(0, count, 1, num_partitions(count)).mapInPandas(rows, schema)  # type: ignore[arg-type]


_ITEMS = "item string, title string, description string, category string, brand string, price double, image string"
_USERS = "user string, age_band string, gender string, country string, consent boolean"
_EXPOSURES = (
    "exposure_key bigint, user int, campaign int, ts_ms bigint, treated boolean, probability double, "
    "probability_untreated double, probability_treated double, responded boolean, response_ms bigint, value double"
)
_TASTES = (
    "user string, first_day int, thrift double, category_start array<double>, category_end array<double>, "
    "style_start array<double>, style_end array<double>"
)
_QUALITIES = (
    "item string, category int, style int, quality double, popularity double, launch_day int, strength string, "
    "problem string"
)


def _review_lines(reviews: "DataFrame") -> "DataFrame":
    from pyspark.sql import functions as F

    named = {name: F.col(name) for name in ("review_id", "user", "item", "stars", "headline", "text")}
    fields = named | {"ts": _moment("ts_ms"), "helpful": F.col("helpful")}
    line = F.to_json(F.struct(*(column.alias(name) for name, column in fields.items())))
    cut = F.left(line, F.lit(40) + F.pmod(F.hash("review_id"), F.length(line) - 45))
    return reviews.select(F.when(F.col("dirt") == "malformed", cut).otherwise(line).alias("value"))


def _write_campaigns(spark: "SparkSession", world: World, root: str) -> None:
    from pyspark.sql import functions as F

    exposures = _map(spark, world, world.num_users, make_exposures, _EXPOSURES)
    user = F.format_string("u%07d", "user").alias("user")
    campaign = F.format_string("c%03d", "campaign").alias("campaign")
    _write_json(spark.createDataFrame(describe_campaigns(world)).coalesce(1), f"{root}/campaigns/campaigns")
    _write_json(
        exposures.select(user, campaign, _moment("ts_ms").alias("ts"), "treated"), f"{root}/campaigns/exposures"
    )
    _write_json(
        exposures.where("responded").select(user, campaign, _moment("response_ms").alias("ts"), "value"),
        f"{root}/campaigns/responses",
    )
    truth = ("probability", "probability_untreated", "probability_treated")
    _write_parquet(exposures.select(user, campaign, *truth), f"{root}/truth/exposures")


def _items(world: World, item: Ints) -> pd.DataFrame:
    """Raw fields of items, with the path of a picture where there is one."""
    paths = [
        picture_path(i) if drawn else None for i, drawn in zip(item.tolist(), has_picture(world, item), strict=True)
    ]
    return describe_items(world, item).assign(image=pd.Series(paths, dtype=object))


def _tastes(world: World, user: Ints) -> pd.DataFrame:
    """What users like. Grain: one user; arrays in the order of truth/axes, standardised logits."""
    people = make_people(world, user)
    return pd.DataFrame(
        {
            "user": [user_id(u) for u in user],
            "first_day": people.first_day,
            "thrift": people.thrift,
            **{
                name: _rows(getattr(people, name))
                for name in ("category_start", "category_end", "style_start", "style_end")
            },
        }
    )


def _qualities(world: World, item: Ints) -> pd.DataFrame:
    """What items are. Grain: one item."""
    catalogue = make_catalogue(world)
    names = np.array(ASPECTS)
    return pd.DataFrame(
        {
            "item": [item_id(i) for i in item],
            **{
                name: getattr(catalogue, name)[item]
                for name in ("category", "style", "quality", "popularity", "launch_day")
            },
            "strength": names[catalogue.strength[item]],
            "problem": names[catalogue.problem[item]],
        }
    )


def _rows(matrix: Floats) -> list[list[float]]:
    rows: list[list[float]] = matrix.round(6).tolist()
    return rows


def _write_small_truths(spark: "SparkSession", world: World, root: str) -> None:
    position = np.arange(1, _MAX_POSITION + 1)
    axes = [("category", i, c.path) for i, c in enumerate(CATEGORIES)] + [("style", i, s) for i, s in enumerate(STYLES)]
    tables = {
        "position_bias": pd.DataFrame({"position": position, "examination": examination(position)}),
        "axes": pd.DataFrame(axes, columns=["axis", "number", "name"]),
        "bots": raw_events.bots(world),
    }
    for name, rows in tables.items():
        schema = _SMALL_TRUTHS[name]
        _write_parquet(spark.createDataFrame(rows, schema).coalesce(1), f"{root}/truth/{name}")


_SMALL_TRUTHS = {
    "position_bias": "position int, examination double",
    "axes": "axis string, number int, name string",
    "bots": "user string, ds date, num_events int",
}


def _moment(column: str) -> "Column":
    from pyspark.sql import functions as F

    return F.date_format(F.timestamp_millis(column), "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'")


def _write_text(lines: "DataFrame", path: str, *partition_by: str) -> None:
    lines.write.partitionBy(*partition_by).mode("overwrite").option("compression", "gzip").text(path)


def _write_json(rows: "DataFrame", path: str) -> None:
    rows.write.mode("overwrite").option("compression", "gzip").json(path)


def _write_parquet(rows: "DataFrame", path: str) -> None:
    rows.write.mode("overwrite").parquet(path)
