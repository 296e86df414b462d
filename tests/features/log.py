"""Tables for tests from rows that name only the columns that matter."""

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from attune.features.daily import Daily, count_days
from attune.features.described import described
from attune.features.items import item_days, item_features
from attune.features.pairs import user_item_features
from attune.features.users import affinities, user_days, user_features
from attune.schemas import TABLES

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Row = dict[str, Any]


def table(spark: "SparkSession", name: str, rows: list[Row]) -> "DataFrame":
    """A table of ours; columns that a row does not name are null."""
    schema = TABLES[name]
    return spark.createDataFrame([tuple(row.get(column) for column in schema.names) for row in rows], schema.struct())


def at(time: str) -> dt.datetime:
    """A time in UTC."""
    return dt.datetime.fromisoformat(time).replace(tzinfo=dt.UTC)


def action(
    user: str, item: str | None, time: str, kind: str = "click", value: float | None = None, session: str = "s",
    refund_of: str | None = None,
) -> Row:  # fmt: skip
    """A row of table events."""
    return {
        "event_id": f"{user}{item}{time}{kind}", "user_id": user, "session_id": session, "item_id": item,
        "event_type": kind, "event_ts": at(time), "value": value, "refund_of": refund_of, "ds": at(time).date(),
    }  # fmt: skip


def shown(user: str, item: str, time: str, clicked: bool = False, after_minutes: int = 0) -> Row:
    """A row of table impressions."""
    click_ts = at(time) + dt.timedelta(minutes=after_minutes) if clicked else None
    return {
        "impression_id": f"{user}{item}{time}", "user_id": user, "session_id": "s", "item_id": item,
        "shown_ts": at(time), "clicked": clicked, "click_ts": click_ts, "ds": at(time).date(),
    }  # fmt: skip


def told(rows: Sequence[Row], day: str = "2020-01-01") -> list[Row]:
    """Rows of table item_history: items as a file of the day tells them."""
    return [row | {"num_rows": 1, "ds": dt.date.fromisoformat(day)} for row in rows]


def review(item: str, stars: float | None, day: str) -> Row:
    """A row of table reviews."""
    time = at(day)
    return {
        "review_id": f"{item}{day}", "user_id": "r", "item_id": item, "rating": stars, "review_ts": time,
        "ds": time.date(),
    }  # fmt: skip


def scored(item: str, probability: float | None, day: str, version: str = "m") -> Row:
    """A row of table review_sentiment."""
    label = None if probability is None else "positive" if probability >= 0.5 else "negative"
    return {
        "review_id": f"{item}{day}", "item_id": item, "review_ts": at(day), "label": label, "probability": probability,
        "status": "empty" if probability is None else "scored", "model_version": version,
    }  # fmt: skip


WEIGHTS = {"click": 1.0, "purchase": 5.0}
ITEMS: list[Row] = [
    {"item_id": "a", "title": "A", "category": "Home > Light", "brand": "Lux", "price": 10.0},
    {"item_id": "b", "title": "B", "category": "Toys", "brand": "Bo", "price": 4.0},
    {"item_id": "c", "title": "C", "category": "Toys", "price": 1.0},
]


def features(
    spark: "SparkSession",
    cutoffs: Sequence[dt.date],
    events: list[Row],
    impressions: Sequence[Row] = (),
    reviews: Sequence[Row] = (),
    sentiment: Sequence[Row] | None = None,
    history: Sequence[Row] | None = None,
) -> "dict[str, DataFrame]":
    """The feature tables of a small log, as the job computes them."""
    items = described(table(spark, "item_history", told(ITEMS) if history is None else list(history))).persist()
    counted = count_days(table(spark, "events", events), table(spark, "impressions", list(impressions)))
    daily = Daily(counted.user_items.persist(), counted.sessions.persist(), counted.impressions.persist())
    opinions = None if sentiment is None else table(spark, "review_sentiment", list(sentiment))
    liked = affinities(daily, items, WEIGHTS, cutoffs).persist()
    users = user_features(user_days(daily, items).persist(), liked, cutoffs).persist()
    of_items = item_days(daily, table(spark, "reviews", list(reviews)), opinions).persist()
    return {
        "user_features": users,
        "item_features": item_features(of_items, items, cutoffs),
        "user_item_features": user_item_features(daily, items, liked, users, WEIGHTS, cutoffs),
    }


def rows_by(frame: "DataFrame", *keys: str) -> dict[Any, Row]:
    """Rows by their keys; a single key by its value."""
    rows = [row.asDict() for row in frame.collect()]
    found = {tuple(row[key] for key in keys) if len(keys) > 1 else row[keys[0]]: row for row in rows}
    assert len(found) == len(rows), f"several rows of one {keys}"
    return found
