"""Features are right by hand count, and nothing that happens later changes them."""

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest

from attune.features.examples import NEGATIVES_PER_POSITIVE, examples
from attune.features.items import item_features
from attune.features.users import user_features
from attune.schemas import TABLES

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

AS_OF = dt.date(2020, 3, 1)
WEIGHTS = {"click": 1.0, "purchase": 5.0}


def table(spark: "SparkSession", name: str, rows: list[dict[str, Any]]) -> "DataFrame":
    schema = TABLES[name]
    return spark.createDataFrame([tuple(row.get(column) for column in schema.names) for row in rows], schema.struct())


def action(
    user: str, item: str, day: str, kind: str = "click", value: float | None = None, session: str = "s"
) -> dict[str, Any]:
    stamp = dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC)
    return {
        "event_id": f"{user}{item}{day}{kind}", "user_id": user, "session_id": session, "item_id": item,
        "event_type": kind, "event_ts": stamp, "value": value, "ds": stamp.date(),
    }  # fmt: skip


LOG = [
    action("u", "a", "2020-01-15T12:00"),
    action("u", "a", "2020-02-20T12:00", session="t"),
    action("u", "a", "2020-02-28T12:00", "purchase", 9.0, session="t"),
    action("u", "b", "2020-02-29T12:00", "purchase", 3.0, session="w"),
    action("u", "b", "2020-02-29T18:00", "refund", -3.0, session="w"),
    action("v", "b", "2019-06-01T00:00", "click"),
]
LATER = [
    action("u", "b", "2020-03-01T00:00", "purchase", 99.0, session="x"),
    action("w", "a", "2020-03-05T00:00", "purchase", 99.0, session="y"),
]
ITEMS = [
    {"item_id": "a", "title": "A", "category": "Home > Light", "price": 10.0},
    {"item_id": "b", "title": "B", "category": "Toys", "price": 4.0},
    {"item_id": "c", "title": "C", "category": "Toys", "price": 1.0},
]


@pytest.mark.parametrize("log", [LOG, LOG + LATER], ids=["known", "with what comes later"])
def test_user_features_count_what_was_known(spark: "SparkSession", log: list[dict[str, Any]]) -> None:
    frame = user_features(table(spark, "events", log), table(spark, "items", ITEMS), WEIGHTS, AS_OF)
    rows = {row["user_id"]: row.asDict() for row in frame.collect()}
    assert set(rows) == {"u", "v"}
    assert rows["u"] == {
        "user_id": "u", "as_of": AS_OF, "days_since_last": 0.25, "num_events_7d": 3, "num_events_30d": 4,
        "num_events_90d": 5, "num_purchases": 2, "value_total": 9.0, "mean_price": pytest.approx(38 / 5),
        "num_items": 2, "num_sessions": 3, "top_category": "Home", "category_share": pytest.approx(7 / 12),
    }  # fmt: skip
    assert rows["v"]["num_events_90d"] == 0


@pytest.mark.parametrize("later", [False, True], ids=["known", "with what comes later"])
def test_item_features_count_what_was_known(spark: "SparkSession", later: bool) -> None:
    def shown(item: str, clicked: bool, day: int) -> dict[str, Any]:
        return {
            "impression_id": f"{item}{clicked}{day}",
            "user_id": "u",
            "item_id": item,
            "clicked": clicked,
            "ds": dt.date(2020, 2, day),
        }

    def review(item: str, stars: float, day: dt.date) -> dict[str, Any]:
        return {"review_id": f"{item}{day}", "item_id": item, "rating": stars, "ds": day}

    shows = [shown("a", True, 1), shown("a", False, 2), shown("b", False, 3), shown("b", False, 4)]
    reviews = [
        review("a", 5.0, dt.date(2020, 2, 1)),
        review("b", 1.0, dt.date(2020, 2, 2)),
        review("b", 3.0, dt.date(2020, 2, 3)),
    ]
    if later:
        shows.append(shown("a", True, 1) | {"ds": AS_OF, "impression_id": "later"})
        reviews.append(review("a", 1.0, AS_OF))
    frame = item_features(
        table(spark, "items", ITEMS), table(spark, "events", LOG + LATER * later),
        table(spark, "impressions", shows), table(spark, "reviews", reviews), AS_OF,
    )  # fmt: skip
    rows = {row["item_id"]: row for row in frame.collect()}
    a, b, c = rows["a"], rows["b"], rows["c"]
    assert (a["num_users"], a["num_events_7d"], a["num_events_30d"], a["num_events_90d"], a["num_purchases"]) == (
        1,
        1,
        2,
        3,
        1,
    )
    assert (b["num_users"], b["num_events_90d"], b["price"]) == (2, 2, 4.0)
    assert (c["num_users"], c["num_events_90d"], c["num_reviews"], c["click_rate"]) == (0, 0, 0, None)
    assert a["click_rate"] == pytest.approx((1 + 20 * 0.25) / 22)
    assert b["mean_rating"] == pytest.approx((4 + 3 * 5) / 7)
    assert a["trend"] > b["trend"] - 10
    assert a["days_since_first"] == pytest.approx(45.5)


def _examples(spark: "SparkSession", log: list[dict[str, Any]], shows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    frame = examples(
        table(spark, "events", log), table(spark, "impressions", shows), WEIGHTS,
        dt.date(2020, 2, 15), dt.date(2020, 2, 29), seed=1,
    )  # fmt: skip
    return [row.asDict() for row in frame.collect()]


def test_examples_know_only_what_came_before_them(spark: "SparkSession") -> None:
    by_choice = {
        (r["user_id"], r["item_id"], r["ts"].day, r["ts"].month): r for r in _examples(spark, LOG, []) if r["label"]
    }
    assert {key: row["split"] for key, row in by_choice.items()} == {
        ("u", "a", 15, 1): "train", ("u", "a", 20, 2): "valid", ("u", "b", 29, 2): "test", ("v", "b", 1, 6): "train",
    }  # fmt: skip
    first, last = by_choice["u", "a", 15, 1], by_choice["u", "b", 29, 2]
    assert (first["user_num_events"], first["item_num_events"], first["hours_since_user"]) == (0, 0, None)
    assert (last["user_num_events"], last["item_num_events"], last["hours_since_user"]) == (3, 1, 24.0)


def test_later_events_change_no_earlier_example(spark: "SparkSession") -> None:
    def earlier(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
        return sorted(tuple(map(str, row.values())) for row in rows if row["ts"].date() < AS_OF and row["label"])

    known = earlier(_examples(spark, LOG, []))
    assert known == earlier(_examples(spark, LOG + LATER, []))
    assert len(known) == 4


def test_negatives_are_impressions_passed_over(spark: "SparkSession") -> None:
    stamp = dt.datetime(2020, 2, 20, tzinfo=dt.UTC)
    shows = [
        {"impression_id": f"i{n}", "user_id": "u", "item_id": f"x{n}", "shown_ts": stamp, "clicked": n == 0}
        for n in range(12)
    ]
    negatives = [row for row in _examples(spark, LOG, shows) if not row["label"] and row["user_id"] == "u"]
    assert len(negatives) == NEGATIVES_PER_POSITIVE
    assert {row["item_id"] for row in negatives} <= {f"x{n}" for n in range(1, 12)}


def test_without_impressions_negatives_are_items_never_taken(spark: "SparkSession") -> None:
    log = [action(f"u{n}", f"i{n % 7}", f"2020-02-{n % 28 + 1:02d}T00:00") for n in range(60)]
    rows = _examples(spark, log, [])
    taken = {(row["user_id"], row["item_id"]) for row in rows if row["label"]}
    negatives = [(row["user_id"], row["item_id"]) for row in rows if not row["label"]]
    assert len(negatives) > 60
    assert not taken & set(negatives)
