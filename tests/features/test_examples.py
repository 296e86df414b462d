"""Examples are what users took and what they passed over, each with what was known strictly before."""

from typing import TYPE_CHECKING, Any

import pytest

from attune import config
from attune.config import Config
from attune.features.described import described
from attune.features.examples import examples
from features.log import ITEMS, Row, action, shown, table, told

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

WEIGHTS = "recommend.event_weights={click: 1, purchase: 5}"
SPLIT = ["split.test_days=1", "split.valid_days=14", WEIGHTS]
SETTINGS = config.load(["demo"], SPLIT, "2020-03-01")
LOG = [
    action("u", "a", "2020-01-15T12:00"),
    action("u", "a", "2020-02-20T12:00", session="t"),
    action("u", "a", "2020-02-28T12:00", "purchase", 9.0, session="t"),
    action("u", "b", "2020-02-29T12:00", "purchase", 3.0, session="w"),
    action("u", "b", "2020-02-29T18:00", "refund", -3.0, session="w"),
    action("v", "b", "2019-06-01T00:00", "click"),
]


def _examples(
    spark: "SparkSession", log: list[Row], shows: list[Row], settings: Config = SETTINGS
) -> list[dict[str, Any]]:
    items = described(table(spark, "item_history", told(ITEMS)))
    frame = examples(table(spark, "events", log), table(spark, "impressions", shows), items, settings)
    return [row.asDict() for row in frame.collect()]


def test_examples_know_only_what_came_before_them(spark: "SparkSession") -> None:
    rows = {(r["user_id"], r["item_id"], r["ts"].strftime("%m-%d")): r for r in _examples(spark, LOG, []) if r["label"]}
    assert {key: row["split"] for key, row in rows.items()} == {
        ("u", "a", "01-15"): "train", ("u", "a", "02-20"): "valid", ("u", "b", "02-29"): "test",
        ("v", "b", "06-01"): "train",
    }  # fmt: skip
    features = [
        name
        for name in rows["u", "a", "01-15"]
        if name not in ("user_id", "item_id", "ts", "label", "split", "user_split")
    ]
    first, last = ([rows[key][name] for name in features] for key in (("u", "a", "01-15"), ("u", "b", "02-29")))
    assert dict(zip(features, first, strict=True)) == {
        "user_num_events": 0, "item_num_events": 0, "hours_since_user": None, "user_decayed": 0.0, "item_decayed": 0.0,
        "hours_since_item": None, "pair_num_events": 0, "hours_since_pair": None, "category_match": None,
        "price_match": None,
    }  # fmt: skip
    item_age = 273.5
    assert dict(zip(features, last, strict=True)) == {
        "user_num_events": 3, "item_num_events": 1, "hours_since_user": 24.0,
        "user_decayed": pytest.approx(sum(0.5 ** (age / 7) for age in (1, 9, 45))),
        "item_decayed": pytest.approx(0.5 ** (item_age / 7)), "hours_since_item": item_age * 24,
        "pair_num_events": 0, "hours_since_pair": None, "category_match": 0.0,
        "price_match": pytest.approx(-0.916290731874155),
    }  # fmt: skip
    middle = rows["u", "a", "02-20"]
    assert (middle["pair_num_events"], middle["hours_since_pair"], middle["category_match"], middle["price_match"]) == (
        1,
        36 * 24.0,
        1.0,
        0.0,
    )


def test_an_action_at_the_same_moment_is_not_before(spark: "SparkSession") -> None:
    """Two items put in the cart at once must not know of each other: at serving time neither has happened."""
    log = [action("u", item, "2020-02-20T12:00", session="t") for item in "ab"]
    assert [(row["user_num_events"], row["hours_since_user"]) for row in _examples(spark, log, [])] == [(0, None)] * 2


def test_negatives_are_impressions_passed_over_on_the_day(spark: "SparkSession") -> None:
    shows = [shown("u", f"x{n}", "2020-02-20T00:00", n == 0) for n in range(12)]
    shows += [shown("u", f"y{n}", "2020-02-22T00:00", n < 2) for n in range(20)]
    negatives = [
        row["item_id"]
        for row in _examples(spark, LOG, shows)
        if not row["label"] and row["user_id"] == "u" and row["ts"].month == 2
    ]
    of_days = [{name for name in negatives if name[0] == day} for day in "xy"]
    assert [len(of_day) for of_day in of_days] == [SETTINGS.features.negatives, 2 * SETTINGS.features.negatives]
    assert not {"x0", "y0", "y1"} & set(negatives), "what was clicked was not passed over"


def test_without_impressions_negatives_are_popular_items_not_taken_yet(spark: "SparkSession") -> None:
    log = [action(f"u{n}", "hit" if n % 2 else f"i{n % 7}", f"2020-02-{n % 28 + 1:02d}T00:00") for n in range(120)]
    rows = _examples(spark, log, [])
    first = {}
    for row in sorted((row for row in rows if row["label"]), key=lambda row: row["ts"]):
        first.setdefault((row["user_id"], row["item_id"]), row["ts"])
    known = {}
    for row in log:
        known.setdefault(row["item_id"], row["event_ts"].replace(tzinfo=None))
    negatives = [row for row in rows if not row["label"]]
    assert len(negatives) > 60
    for row in negatives:
        taken = first.get((row["user_id"], row["item_id"]))
        assert taken is None or taken.date() > row["ts"].date()
        assert known[row["item_id"]].date() < row["ts"].date(), "an item is popular only once it was acted on"
    of_even = [row["item_id"] for row in negatives if int(row["user_id"][1:]) % 2 == 0]
    assert of_even.count("hit") / len(of_even) > 0.3, "half of the actions are on it; its distinct draws are fewer"


def test_users_are_in_one_group_only_and_groups_have_their_shares(spark: "SparkSession") -> None:
    log = [action(f"u{n % 400}", f"i{n % 9}", f"2020-02-{n % 28 + 1:02d}T00:00") for n in range(800)]
    rows = _examples(spark, log, [])
    groups: dict[str, set[str]] = {}
    for row in rows:
        groups.setdefault(row["user_split"], set()).add(row["user_id"])
    assert sum(map(len, groups.values())) == 400
    for name, share in (("valid", SETTINGS.features.valid_user_share), ("test", SETTINGS.features.test_user_share)):
        assert abs(len(groups[name]) / 400 - share) < 0.05
    other = {
        row["user_id"]: row["user_split"] for row in _examples(spark, log, [], SETTINGS.model_copy(update={"seed": 8}))
    }
    assert any(other[user] != name for name, users in groups.items() for user in users), "the seed decides"
