"""Satisfaction, telling words, user vectors and segments say what the reviews and actions say."""

import datetime as dt
import math
from typing import TYPE_CHECKING, Any

import pytest

from attune import config
from attune.features.satisfaction import item_satisfaction
from attune.features.segments import cluster_users, segments, user_profiles
from attune.features.user_vectors import sum_of_arrays, sum_of_vectors, user_vectors
from attune.features.words import distinct_words

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

AS_OF = dt.date(2020, 3, 1)
SCORE = config.load(["demo"]).score


def test_words_are_distinct_lower_case_and_chinese_by_pairs(spark: "SparkSession") -> None:
    frame = spark.createDataFrame([("The Zipper broke, the ZIPPER!",), ("电池很差",), ("",), (None,)], "t string")
    assert [row[0] for row in frame.select(distinct_words(frame["t"])).collect()] == [
        ["zipper", "broke"], ["电池", "池很", "很差"], [], [],
    ]  # fmt: skip


def test_satisfaction_is_shrunk_and_complaints_name_the_weak_spot(spark: "SparkSession") -> None:
    texts, scored = [], []

    def review(item: str, number: int, good: bool, text: str, day: int = 1) -> None:
        key = f"{item}{number}"
        texts.append((key, None, text))
        label, probability = ("positive", 0.9) if good else ("negative", 0.1)
        scored.append(
            (
                key,
                item,
                dt.datetime(2020, 2, day, tzinfo=dt.UTC),
                5.0 if good else 1.0,
                label,
                probability,
                "scored",
                "m",
            )
        )

    for n in range(6):
        review("lamp", n, good=n < 2, text="bright lamp lovely" if n < 2 else "lamp zipper flickers terrible")
        review("cup", n, good=n < 4, text="pretty cup lovely" if n < 4 else "cup terrible")
    scored.append(("late", "lamp", dt.datetime(2020, 3, 1, tzinfo=dt.UTC), 5.0, "positive", 1.0, "scored", "m"))
    scored.append(("mute", "lamp", dt.datetime(2020, 2, 1, tzinfo=dt.UTC), 5.0, None, None, "empty", "m"))
    sentiment = spark.createDataFrame(
        scored,
        "review_id string, item_id string, review_ts timestamp, rating double, label string, probability double, "
        "status string, model_version string",
    )
    reviews = spark.createDataFrame(texts, "review_id string, title string, body string")
    rows = {row["item_id"]: row for row in item_satisfaction(sentiment, reviews, SCORE, AS_OF).collect()}
    lamp, cup = rows["lamp"], rows["cup"]
    overall, prior = 0.5, SCORE.satisfaction_prior
    assert lamp["num_reviews"] == 6
    assert lamp["satisfaction"] == pytest.approx((2 * 0.9 + 4 * 0.1 + overall * prior) / (6 + prior))
    assert lamp["share_negative"] == pytest.approx(4 / 6)
    assert set(lamp["complaints"][:2]) == {"flickers", "zipper"}
    assert "lamp" not in lamp["complaints"]
    assert cup["praise"][0] in ("pretty", "lovely")
    assert cup["satisfaction"] > lamp["satisfaction"]


def _events(spark: "SparkSession", rows: list[tuple[str, str, str, int]]) -> Any:
    stamped = [
        (u, i, kind, dt.datetime(2020, 2, day, tzinfo=dt.UTC), dt.date(2020, 2, day)) for u, i, kind, day in rows
    ]
    return spark.createDataFrame(
        stamped, "user_id string, item_id string, event_type string, event_ts timestamp, ds date"
    )


def test_user_vectors_lean_to_late_and_strong_actions(spark: "SparkSession") -> None:
    vectors = spark.createDataFrame(
        [("a", "item", [1.0, 0.0], "m"), ("b", "item", [0.0, 1.0], "m")],
        "id string, kind string, vector array<float>, model_version string",
    )
    events = _events(spark, [("u", "a", "click", 1), ("u", "b", "purchase", 11), ("v", "a", "search", 2)])
    rows = user_vectors(events, vectors, {"click": 1.0, "purchase": 5.0}, 10.0, AS_OF).collect()
    assert [(row["id"], row["kind"], row["model_version"]) for row in rows] == [("u", "user", "m")]
    x, y = rows[0]["vector"]
    assert y / x == pytest.approx(10, rel=1e-5)
    assert math.hypot(x, y) == pytest.approx(1, rel=1e-6)


def test_vectors_are_summed_up_the_same_through_spark_connect(spark: "SparkSession") -> None:
    """Which has no Summarizer; both ways can be asked for here."""
    rows = spark.createDataFrame(
        [("u", [1.0, 2.0, -3.0], 0.5), ("u", [0.5, 0.0, 4.0], 2.0), ("v", [1.0, 1.0, 1.0], 3.0)],
        "user string, vector array<float>, weight double",
    )
    both = rows.groupBy("user").agg(sum_of_vectors().alias("vectors"), sum_of_arrays().alias("arrays"))
    found = {row["user"]: row for row in both.collect()}
    for user, total in {"u": [1.5, 1.0, 6.5], "v": [3.0, 3.0, 3.0]}.items():
        assert found[user]["vectors"] == pytest.approx(total)
        assert found[user]["arrays"] == pytest.approx(total)


def test_segments_part_users_by_interest_and_name_it(spark: "SparkSession") -> None:
    users = [(f"garden{n}", [1.0, 0.01 * n]) for n in range(40)] + [(f"kitchen{n}", [0.01 * n, 1.0]) for n in range(20)]
    vectors = spark.createDataFrame(users, "id string, vector array<float>")
    assigned = cluster_users(vectors, len(users), SCORE.model_copy(update={"num_segments": 2}), seed=1)
    segment = {row["user_id"]: row["segment_id"] for row in assigned.collect()}
    assert {segment[f"garden{n}"] for n in range(40)} == {0}
    assert {segment[f"kitchen{n}"] for n in range(20)} == {1}

    features = spark.createDataFrame(
        [(u, AS_OF, "top", 3, 2.0) for u in segment],
        "user_id string, as_of date, top_category string, num_events_90d int, value_total double",
    )
    profiles = user_profiles(assigned, features, AS_OF)
    events = _events(spark, [(u, "spade" if u.startswith("garden") else "pan", "click", 3) for u in segment])
    items = spark.createDataFrame([("spade", "Steel spade"), ("pan", "Steel pan")], "item_id string, title string")
    rows = sorted(segments(profiles, events, items, AS_OF).collect(), key=lambda row: row["segment_id"])
    assert [(row["num_users"], row["top_items"][0]) for row in rows] == [(40, "Steel spade"), (20, "Steel pan")]
    assert [row["name"].split(", ")[0] for row in rows] == ["spade", "pan"]
    assert rows[0]["share_users"] == pytest.approx(2 / 3)
