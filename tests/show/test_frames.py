"""Frames from the tables of a demo shop, beside what pandas counts in the same rows."""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from attune.errors import InputError
from attune.show import customer, models, offers, opinion, shop
from attune.show.workspace import contents, end_of_data

if TYPE_CHECKING:
    from pipeline_run import Ran


Rows = Callable[[str], pd.DataFrame]


@pytest.fixture(scope="module")
def rows(ran: "Ran") -> Rows:
    """Rows of a table, fetched once."""
    return cache(lambda name: ran.tables.read(name).toPandas())


def test_the_contents_are_those_of_the_log(ran: "Ran") -> None:
    found = contents(ran.tables).set_index("table")
    assert set(found.index) == set(ran.tables.names())
    assert found.loc["events", "rows"] == ran.tables.rows("events")
    assert found.loc["items", "one row is"] == "one item"


def test_the_shop_is_counted_right(ran: "Ran", rows: Rows) -> None:
    events, sessions = rows("events"), rows("sessions")
    activity = shop.activity(ran.tables)
    assert activity.groupby("table")["num"].sum().to_dict() == {
        name: ran.tables.rows(name) for name in ("events", "impressions", "reviews")
    }
    funnel = shop.funnel(ran.tables).set_index("stage")
    purchases, carts = ((events["event_type"] == kind).sum() for kind in ("purchase", "cart"))
    assert list(funnel.index) == ["Shown", "Clicked", "Put in the cart", "Bought"]
    assert funnel.loc["Bought", ["num", "rate"]].tolist() == [purchases, purchases / carts]
    starts = sessions["start_ts"]
    expected = pd.crosstab(starts.dt.weekday, starts.dt.hour).reindex(index=range(7), columns=range(24), fill_value=0)
    assert (shop.visits_by_hour(ran.tables).to_numpy() == expected.to_numpy()).all()
    counts = shop.actions_by_item(ran.tables)
    of_item = events["item_id"].value_counts()
    of_item = of_item.reindex(sorted({*of_item.index, *rows("items")["item_id"]}), fill_value=0)
    assert counts.set_index("num_actions")["num_items"].to_dict() == of_item.value_counts().to_dict()
    refused = shop.refused(ran.tables)
    assert refused["num"].sum() == rows("quarantine")["reasons"].str.len().sum()


def test_a_customer_is_described_by_his_own_rows(ran: "Ran", rows: Rows) -> None:
    events = rows("events")
    user = customer.choose_customer(ran.tables)
    bought = events[events["event_type"] == "purchase"]["user_id"].value_counts()
    assert bought[user] == bought.max()
    assert customer.choose_customer(ran.tables, bought.index[-1]) == bought.index[-1]
    with pytest.raises(InputError, match="no event is of user 'nobody'"):
        customer.choose_customer(ran.tables, "nobody")
    known = customer.known(ran.tables, user)["value"]
    assert known["purchases"] == str(bought[user])
    assert {"region", "group of like interests", "most at home in"} <= set(known.index)
    actions = customer.actions(ran.tables, user)
    assert actions["event_ts"].is_monotonic_increasing
    assert len(actions) == (events["user_id"] == user).sum()
    titled = events.merge(rows("items")[["item_id", "category"]], on="item_id")
    own = titled[titled["user_id"] == user]["category"].str.split(" > ").str[0].value_counts(normalize=True)
    interests = customer.interests(ran.tables, user).set_index("category")
    assert interests["own"].loc[own.index].tolist() == pytest.approx(own.tolist())
    assert interests.sum().tolist() == pytest.approx([1, 1])
    reviews = rows("reviews")
    assert len(customer.reviews_by(ran.tables, user)) == (reviews["user_id"] == user).sum()


def test_a_customer_stands_where_ranks_say(ran: "Ran", rows: Rows) -> None:
    user = customer.choose_customer(ran.tables)
    features = rows("user_features")
    features = features[features["as_of"] == features["as_of"].max()].set_index("user_id")
    standing = customer.standing(ran.tables, user).set_index("feature")
    for name, told in customer.STANDING.items():
        values = features[name].dropna().astype(float)
        assert standing.loc[told, "below"] == pytest.approx((values.rank().loc[user] - 0.5) / len(values)), name
        assert standing.loc[told, "middle"] == pytest.approx(values.median()), name
    with pytest.raises(InputError, match="has no row of user 'nobody'"):
        customer.standing(ran.tables, "nobody")


def test_opinion_is_that_of_the_item(ran: "Ran", rows: Rows) -> None:
    item = opinion.choose_item(ran.tables)
    with pytest.raises(InputError, match="item 'nothing' has no scored review"):
        opinion.choose_item(ran.tables, "nothing")
    beside = opinion.items_beside(ran.tables, item)
    assert beside.loc[beside["own"], "item_id"].tolist() == [item]
    assert beside["category"].nunique() == 1
    category = rows("items").set_index("item_id")["category"].str.split(" > ").str[0]
    rated = rows("item_satisfaction")["item_id"].map(category)
    assert len(beside) == (rated == category[item]).sum()
    reviews = opinion.reviews_of(ran.tables, item)
    of_item = rows("reviews")[rows("reviews")["item_id"] == item]
    assert sorted(reviews["body"].fillna("")) == sorted(of_item["body"].fillna(""))
    # The words of praise are those that are counted: each stands in two reviews or more.
    mentions = opinion.mentions(reviews, *beside.loc[beside["own"], ["praise", "complaints"]].iloc[0])
    assert (mentions["num"] >= 2).all()


def test_offers_are_those_of_the_lists(ran: "Ran", rows: Rows) -> None:
    user = customer.choose_customer(ran.tables)
    lists = rows("recommendations")
    own = lists[lists["user_id"] == user].sort_values("rank")
    listed = offers.list_of(ran.tables, user)
    assert listed["score"].tolist() == own["score"].tolist()
    assert listed["reasons"].tolist() == ["; ".join(reasons) for reasons in own["reasons"]]
    known = lists[~lists["user_id"].str.startswith("*")]
    kinds = known["reasons"].str[0].map(offers.kind_of_reason).value_counts()
    assert offers.reasons_given(ran.tables).set_index("reason")["num"].to_dict() == kinds.to_dict()
    each = known.explode("sources")
    first = each[each["rank"] == 1]["sources"].value_counts() / (known["rank"] == 1).sum()
    found = offers.sources_by_rank(ran.tables)[1]
    assert found[found > 0].to_dict() == pytest.approx(first.to_dict())
    mix = offers.mix(ran.tables).set_index("category")
    offered = known.merge(rows("items")[["item_id", "category"]])["category"].str.split(" > ").str[0]
    assert mix["offered"][mix["offered"] > 0].to_dict() == pytest.approx(offered.value_counts(normalize=True).to_dict())


def test_models_are_compared_by_what_was_measured(ran: "Ran", rows: Rows) -> None:
    evaluated, differences = models.evaluated(ran.tables), models.differences(ran.tables)
    assert evaluated["value"].is_monotonic_decreasing
    assert {"Blend", "Implicit ALS", "Popularity"} <= set(evaluated["model"])
    assert set(differences["model"]) == set(evaluated["model"]) - {"Blend"}
    value = evaluated.set_index("model")["value"]
    gained = differences.set_index("model")["value"]
    assert gained["Popularity"] == pytest.approx(value["Blend"] - value["Popularity"])
    with pytest.raises(InputError, match=r"no ndgc at 10 of 'all'; it has metric: .*'ndcg'"):
        models.evaluated(ran.tables, "ndgc")
    assert end_of_data(ran.tables) == "2026-03-01"
    cards = models.cards(str(ran.workspace))
    assert {"sentiment", "text_match", "ranker"} <= set(cards)
    assert np.isfinite(models.main_figures(cards)["value"]).all()
