"""What is built from the log in Spark must be what the same figures are in pandas."""

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from attune.recommend.covisit import neighbours
from attune.recommend.interactions import acted_on, interactions, latest_items, regions
from attune.recommend.popular import popularity, popularity_by_region
from recommend import shop

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

CUTOFF = shop.START + dt.timedelta(days=40)
WEIGHTS = {"view": 1.0, "purchase": 5.0}
HALF_LIFE = 10.0


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    frame = shop.events()
    frame["age"] = (pd.Timestamp(CUTOFF, tz="UTC") - frame["event_ts"]).dt.total_seconds() / 86400
    return frame


@pytest.fixture(scope="module")
def acted(spark: "SparkSession", log: pd.DataFrame) -> "DataFrame":
    return interactions(spark.createDataFrame(log.drop(columns="age")), WEIGHTS, HALF_LIFE, CUTOFF).persist()


def test_interactions_are_decayed_sums_of_what_came_before(acted: "DataFrame", log: pd.DataFrame) -> None:
    past = log[log["age"] > 0].copy()
    past["w"] = past["event_type"].map(WEIGHTS) * 0.5 ** (past["age"] / HALF_LIFE)
    past["buys"] = past["event_type"] == "purchase"
    expected = past.groupby(["user_id", "item_id"]).agg(
        weight=("w", "sum"), age_days=("age", "min"), num_actions=("w", "size"), bought=("buys", "any")
    )
    found = acted.toPandas().set_index(["user_id", "item_id"]).sort_index()[list(expected.columns)]
    pd.testing.assert_frame_equal(found, expected.sort_index(), check_dtype=False)


def test_labels_are_what_comes_from_the_cutoff_on(spark: "SparkSession", log: pd.DataFrame) -> None:
    end = CUTOFF + dt.timedelta(days=7)
    found = acted_on(spark.createDataFrame(log.drop(columns="age")), WEIGHTS, CUTOFF, end).toPandas()
    following = log[(log["ds"] >= CUTOFF) & (log["ds"] < end)]
    assert set(zip(found["user_id"], found["item_id"], strict=True)) == set(
        zip(following["user_id"], following["item_id"], strict=True)
    )


def test_popularity_counts_users_and_not_actions(acted: "DataFrame") -> None:
    pairs = acted.toPandas()
    found = popularity(acted, [7.0]).toPandas().set_index("item_id").sort_index()
    expected = pairs.assign(decayed=0.5 ** (pairs["age_days"] / 7)).groupby("item_id")["decayed"].sum()
    np.testing.assert_allclose(found["popularity_7d"], expected.sort_index())
    np.testing.assert_array_equal(found["actors"], pairs.groupby("item_id").size())


def test_region_is_stated_or_seen_and_splits_popularity(
    spark: "SparkSession", acted: "DataFrame", log: pd.DataFrame
) -> None:
    events = spark.createDataFrame(log.drop(columns="age"))
    stated = spark.createDataFrame([("u00", "Italy")], "user_id string, region string")
    located = regions(events, stated, CUTOFF)
    by_user = located.toPandas().set_index("user_id")["region"]
    assert (by_user["u00"], by_user["u01"], by_user["u02"]) == ("Italy", "Spain", "France")
    found = popularity_by_region(acted, located, 7.0).toPandas()
    assert set(found[found["region"] == "Spain"]["item_id"].str[:2]) == {"i1"}


def test_latest_items_cap_a_heavy_user(acted: "DataFrame") -> None:
    capped, everything = latest_items(acted, 3).toPandas(), acted.toPandas()
    assert capped.groupby("user_id").size().max() == 3
    oldest = capped.groupby("user_id")["age_days"].max()
    third = everything.groupby("user_id")["age_days"].nsmallest(3).groupby(level=0).max()
    np.testing.assert_allclose(oldest, third)


def test_neighbours_are_shrunk_cosines(acted: "DataFrame") -> None:
    from pyspark.sql import functions as F

    item = (F.substring("item_id", 2, 1).cast("int") * 100 + F.substring("item_id", 4, 2).cast("int")).alias("item")
    indexed = acted.select("*", item)
    found = neighbours(indexed, session_bonus=1.0, shrink=2.0, keep=4).toPandas()
    pairs = indexed.toPandas()
    root = pairs.assign(root=np.sqrt(pairs["weight"])).pivot(index="user_id", columns="item", values="root").fillna(0)
    visit = pairs.pivot(index="user_id", columns="item", values="session_id")
    for row in found.itertuples():
        a, b = root[row.item], root[row.neighbour]
        both = (a > 0) & (b > 0)
        together = both & (visit[row.item] == visit[row.neighbour])
        cosine = ((a * b)[both].sum() + (a * b)[together].sum()) / np.linalg.norm(a) / np.linalg.norm(b)
        assert row.similarity == pytest.approx(cosine * both.sum() / (both.sum() + 2), rel=1e-5)
    assert found.groupby("item").size().max() <= 4
    assert (found["item"] // 100 == found["neighbour"] // 100).all(), "the circles never meet"
