"""Features are right by hand count, at every date, from one pass."""

import datetime as dt
import math
from typing import TYPE_CHECKING

import pytest

from features.log import Row, action, features, review, rows_by, scored, shown

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

AS_OF, EARLIER = dt.date(2020, 3, 1), dt.date(2020, 2, 1)
LOG = [
    action("u", "a", "2020-01-15T12:00"),
    action("u", "a", "2020-02-20T12:00", session="t"),
    action("u", "a", "2020-02-28T12:00", "purchase", 9.0, session="t"),
    action("u", "b", "2020-02-29T12:00", "purchase", 3.0, session="w"),
    action("u", "b", "2020-02-29T12:10", "refund", -3.0, session="w", refund_of="ub2020-02-29T12:00purchase"),
    action("u", "a", "2020-02-29T18:00", "refund", -1.0, session="w"),
    action("u", None, "2020-02-29T23:00", "search", session="w"),
    action("v", "b", "2019-06-01T00:00", "click", session="v"),
]


SHOWS = [
    shown("u", "a", "2020-02-01T00:00", True),
    shown("u", "a", "2020-02-02T00:00"),
    shown("u", "b", "2020-02-03T00:00"),
    shown("u", "b", "2020-02-04T00:00"),
    shown("w", "b", "2020-02-02T11:00"),
]
REVIEWS = [
    review("a", 5.0, "2020-02-01"),
    review("b", 1.0, "2020-01-02"),
    review("b", 3.0, "2020-02-03"),
    review("b", None, "2020-02-03T01:00"),
]
SENTIMENT = [
    scored("a", 0.9, "2020-02-01"),
    scored("b", 0.1, "2020-01-02"),
    scored("b", 0.6, "2020-02-03"),
    scored("b", None, "2020-02-03T01:00"),
]
Found = dict[str, "DataFrame"]


@pytest.fixture(scope="module")
def found(spark: "SparkSession") -> Found:
    """The feature tables as of both dates."""
    return features(spark, [AS_OF, EARLIER], LOG, SHOWS, REVIEWS, SENTIMENT)


@pytest.fixture(scope="module")
def users(found: Found) -> dict[tuple[str, dt.date], Row]:
    return rows_by(found["user_features"], "user_id", "as_of")


def test_user_features_count_what_was_known(users: dict[tuple[str, dt.date], Row]) -> None:
    assert set(users) == {("u", AS_OF), ("v", AS_OF), ("u", EARLIER), ("v", EARLIER)}
    u = users["u", AS_OF]
    ages = [1] * 4 + [2, 10, 46]
    mean_log = (4 * math.log(10) + 2 * math.log(4)) / 6
    squares = (4 * math.log(10) ** 2 + 2 * math.log(4) ** 2) / 6
    assert u == {
        "user_id": "u", "as_of": AS_OF, "days_since_last": pytest.approx(1 / 24), "days_since_first": 45.5,
        "days_since_purchase": 1, "num_actions": 7, "num_events_1d": 4, "num_events_7d": 5, "num_events_30d": 6,
        "num_events_90d": 7, "num_active_days_7d": 2, "num_active_days_30d": 3, "num_active_days_90d": 4,
        "num_purchases": 2, "num_purchases_1d": 1, "num_purchases_7d": 2, "num_purchases_30d": 2,
        "num_purchases_90d": 2, "value_total": 8.0, "value_1d": 0.0, "value_7d": 9.0, "value_30d": 9.0,
        "value_90d": 9.0, "mean_price": pytest.approx(48 / 6), "mean_log_price": pytest.approx(mean_log),
        "price_spread": pytest.approx(math.sqrt(squares - mean_log**2)), "num_items": 2, "num_sessions": 3,
        "top_category": "Home", "category_share": pytest.approx(7 / 12), "num_categories": 2, "top_brand": "Lux",
        "brand_share": pytest.approx(7 / 12),
        "num_events_decayed_7d": pytest.approx(sum(0.5 ** (age / 7) for age in ages)),
        "num_events_decayed_30d": pytest.approx(sum(0.5 ** (age / 30) for age in ages)),
        "num_purchases_decayed_30d": pytest.approx(0.5 ** (1 / 30) + 0.5 ** (2 / 30)),
        "click_rate": pytest.approx((1 + 20 / 5) / 24), "conversion_rate": pytest.approx((2 + 20 * 2 / 3) / 22),
        "refund_rate": pytest.approx((2 + 20) / 22), "share_night": 0.0, "share_morning": 0.0,
        "share_afternoon": pytest.approx(5 / 7), "share_evening": pytest.approx(2 / 7),
        "share_weekend": pytest.approx(4 / 7), "top_weekday": 6,
        "mean_dwell_seconds": 600.0, "actions_per_session": pytest.approx(7 / 3),
    }  # fmt: skip


def test_each_date_knows_only_the_days_before_it(users: dict[tuple[str, dt.date], Row]) -> None:
    early, v = (users[key] for key in (("u", EARLIER), ("v", AS_OF)))
    assert (early["num_actions"], early["num_sessions"], early["num_items"], early["value_total"]) == (1, 1, 1, 0.0)
    assert (early["top_category"], early["category_share"], early["days_since_purchase"]) == ("Home", 1.0, None)
    assert (early["click_rate"], early["top_weekday"], early["mean_dwell_seconds"]) == (None, 3, None)
    assert (v["num_events_90d"], v["num_actions"], v["days_since_last"]) == (0, 1, 274.0)


def test_item_features_count_what_was_known(found: Found) -> None:
    rows = rows_by(found["item_features"], "item_id", "as_of")
    assert set(rows) == {(item, date) for item in "abc" for date in (AS_OF, EARLIER)}
    a, b, c = (rows[item, AS_OF] for item in "abc")
    counts = [
        a[name]
        for name in ("num_users", "num_events_1d", "num_events_7d", "num_events_30d", "num_events_90d", "num_purchases")
    ]
    assert counts == [1, 1, 2, 3, 4, 1]
    assert (b["num_users"], b["num_events_90d"], b["price"]) == (2, 2, 4.0)
    assert {name: c[name] for name in ("num_users", "num_events_90d", "num_reviews", "value_90d", "num_events_decayed_7d")} == {
        "num_users": 0, "num_events_90d": 0, "num_reviews": 0, "value_90d": 0.0, "num_events_decayed_7d": 0.0,
    }  # fmt: skip
    for name in (
        "click_rate",
        "conversion_rate",
        "cart_rate",
        "refund_rate",
        "mean_rating",
        "sentiment",
        "share_negative",
        "days_since_first",
        "mean_dwell_seconds",
    ):
        assert c[name] is None, name
    assert a["click_rate"] == pytest.approx((1 + 20 / 5) / 22)
    assert a["conversion_rate"] == pytest.approx((1 + 20 * 2 / 3) / 22)
    assert b["mean_rating"] == pytest.approx((4 + 3 * 5) / 7)
    assert b["sentiment"] == pytest.approx((0.7 + 5 * 1.6 / 3) / 7)
    assert (b["num_reviews"], b["num_reviews_30d"], b["num_reviews_90d"], b["share_negative"]) == (3, 2, 3, 0.5)
    assert a["trend"] == pytest.approx(math.log((3 / 7) / ((3 + 30 / 7) / 30)))
    assert (a["days_since_first"], a["days_since_last"]) == (45.5, 0.25)
    assert (a["value_90d"], b["value_90d"]) == (9.0, 0.0)
    assert (a["num_covisits_30d"], b["num_covisits_30d"], a["share_events_30d"]) == (1, 1, pytest.approx(3 / 5))
    assert a["price_ratio"] == pytest.approx(0)
    assert b["price_ratio"] == pytest.approx(math.log(4) / 2)
    assert b["mean_dwell_seconds"] == 600.0
    assert (
        rows["b", EARLIER]["num_users"],
        rows["b", EARLIER]["mean_rating"],
        rows["a", EARLIER]["num_events_90d"],
    ) == (1, 1.0, 1)


def test_pair_features_tell_how_user_and_item_fit(found: Found) -> None:
    rows = rows_by(found["user_item_features"], "user_id", "item_id", "as_of")
    assert set(rows) == {("u", "a", AS_OF), ("u", "b", AS_OF), ("u", "a", EARLIER)}, "v acted too long ago"
    pair, early = rows["u", "a", AS_OF], rows["u", "a", EARLIER]
    mean_log = (4 * math.log(10) + 2 * math.log(4)) / 6
    assert pair == {
        "user_id": "u", "item_id": "a", "as_of": AS_OF, "num_events_7d": 2, "num_events_30d": 3, "num_events_90d": 4,
        "num_purchases_90d": 1, "num_active_days_90d": 4,
        "weight_decayed_30d": pytest.approx(5 * 0.5 ** (2 / 30) + 0.5 ** (10 / 30) + 0.5 ** (46 / 30)),
        "days_since_last": 0.25, "dwell_seconds": 0.0, "category_match": pytest.approx(7 / 12),
        "brand_match": pytest.approx(7 / 12), "price_match": pytest.approx(math.log(10) - mean_log),
    }  # fmt: skip
    assert rows["u", "b", AS_OF]["dwell_seconds"] == 600.0
    assert (early["num_events_90d"], early["category_match"], early["price_match"]) == (1, 1.0, 0.0)


def test_a_day_knows_nothing_of_what_follows_midnight(spark: "SparkSession") -> None:
    """A visit that goes on after midnight must not lengthen the dwell that was known before."""
    log = [action("u", "a", "2020-02-29T23:55"), action("u", "b", "2020-03-01T00:05")]
    row = rows_by(features(spark, [AS_OF], log)["user_features"], "user_id")["u"]
    assert (row["mean_dwell_seconds"], row["num_sessions"], row["num_items"]) == (None, 1, 1)
