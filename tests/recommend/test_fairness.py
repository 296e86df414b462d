"""How evenly users are served is told with what chance makes of it, and of groups large enough to say."""

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from attune import config
from attune.recommend.fairness import gaps_at, group_rows, user_groups
from attune.recommend.inputs import Inputs
from attune.recommend.measured import Lists

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NUM = 200
SETTINGS = config.load([], ["evaluate.k=[5]", "evaluate.bootstrap_samples=300"], "2026-03-01")


def lists(hits: np.ndarray) -> Lists:
    """One relevant item a user, which stands first in the list of the blend where ``hits`` says so, and never elsewhere."""
    at_first = np.zeros((NUM, 5), int)
    at_first[:, 0] = hits
    users = np.array([f"u{number:03}" for number in range(NUM)], object)
    ones = np.ones(NUM, int)
    models = {
        "blend": at_first,
        "blend without diversity": np.ones_like(at_first) * [1, 0, 0, 0, 0],
        "popular": 0 * at_first,
    }
    return Lists(users, ones > 0, ones, 0 * ones, {name: 0 * own for name, own in models.items()}, models)


def groups(**columns: list[str | None]) -> pd.DataFrame:
    """Users in another order than that of the lists."""
    users = [f"u{number:03}" for number in range(NUM)]
    return pd.DataFrame(columns, users).sample(frac=1, random_state=1)


def test_the_gap_is_told_with_its_ends_and_chance() -> None:
    north = ["north" if number < 120 else "south" for number in range(NUM)]
    hits = np.array([number % 10 < (8 if number < 120 else 3) for number in range(NUM)], int)
    rows = pd.DataFrame(group_rows(lists(hits), groups(region=north), SETTINGS))
    plain = rows[rows["metric"] == "ndcg"].set_index("slice")
    assert plain["value"].round(6).to_dict() == {"region: north": 0.8, "region: south": 0.3}
    assert plain["num"].to_dict() == {"region: north": 120, "region: south": 80}
    gaps = rows[rows["metric"] == "ndcg_gap:region"].set_index("model")
    assert gaps["value"].drop("random_groups").round(6).to_dict() == {
        "blend": 0.5,
        "blend without diversity": 0,
        "popular": 0,
    }
    assert gaps.loc["random_groups", "high"] < gaps.loc["blend", "low"]
    told = gaps_at(rows, 5)["region"]
    assert (told["best"], told["worst"], told["gap"]["value"]) == ("north", "south", 0.5)
    assert told["by_chance"]["high"] < 0.2


def test_groups_of_a_few_users_and_columns_of_one_group_are_not_compared() -> None:
    few = ["a"] * 100 + ["b"] * 60 + ["c"] * 29 + [None] * 11
    hits = np.array([1] * 160 + [0] * 40)
    rows = pd.DataFrame(group_rows(lists(hits), groups(age_band=few, gender=["x"] * NUM), SETTINGS))
    assert set(rows["slice"]) == {"age_band: a", "age_band: b", "all"}
    assert set(rows["metric"]) == {"ndcg", "ndcg_gap:age_band"}
    assert rows[rows["metric"] != "ndcg"]["num"].unique().tolist() == [160]
    assert gaps_at(rows, 5)["age_band"]["gap"]["value"] == pytest.approx(0), (
        "those who are served badly are too few to say"
    )
    assert group_rows(lists(hits), groups(gender=["x"] * NUM), SETTINGS) == []


def test_users_are_grouped_by_what_was_known_of_them(spark: "SparkSession") -> None:
    day = dt.date(2026, 2, 15)
    rows = spark.createDataFrame([("a", "France"), ("b", None)], "user_id string, region string")
    users = spark.createDataFrame([("a", "18-24", None)], "user_id string, age_band string, gender string")
    features = spark.createDataFrame(
        [("a", day, "Home"), ("b", day, "Toys"), ("b", dt.date(2026, 3, 1), "Food")],
        "user_id string, as_of date, top_category string",
    )
    whole = user_groups(rows, Inputs(events=rows, users=users, user_features=features), day)
    assert whole.loc["a"].tolist() == ["France", "18-24", None, "Home"]
    assert list(whole.columns) == ["region", "age_band", "gender", "top_category"]
    assert whole.loc["b", "top_category"] == "Toys"
    assert list(user_groups(rows, Inputs(events=rows), day).columns) == ["region"]
