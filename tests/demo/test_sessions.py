"""The demo log must behave like a shop's, and as its truth tells: else models would learn the wrong thing."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from attune.demo.catalogue import make_catalogue, make_shelves
from attune.demo.people import make_people, match
from attune.demo.sessions import CART, CLICK, IMPRESSION, PURCHASE, REFUND, VIEW, calibrate, make_events
from attune.demo.visits import examination, make_visits, show
from attune.demo.world import DAY_MS, World


@pytest.fixture(scope="module")
def impressions(world: World, events: pd.DataFrame) -> pd.DataFrame:
    """Impressions with how well the item suits the user, and whether it was clicked."""
    shown = events[events["type"] == IMPRESSION].reset_index(drop=True)
    clicks = events.loc[events["type"] == CLICK, ["user", "item", "ts_ms"]]
    gap = shown.merge(clicks, on=["user", "item"], suffixes=("", "_click"))
    gap = gap[(gap["ts_ms_click"] - gap["ts_ms"]).between(0, 60_000)]
    people = make_people(world, np.arange(world.num_users))
    tau = ((shown["ts_ms"] - world.start_ms) / (world.num_days * DAY_MS)).to_numpy()
    suits = match(world, people, shown["user"].to_numpy(), tau, shown["item"].to_numpy())
    return shown.assign(suits=suits, clicked=shown["event_key"].isin(gap["event_key"]))


def test_users_have_the_same_events_in_whatever_company(make: Callable[..., World]):
    world = make(num_events=20_000)
    per_weight, users = calibrate(world), np.arange(world.num_users)
    whole = make_events(world, users, per_weight)
    parts = pd.concat([make_events(world, part, per_weight) for part in np.array_split(users[::-1], 3)])
    order = ["user", "event_key"]
    pd.testing.assert_frame_equal(
        whole.sort_values(order, ignore_index=True), parts.sort_values(order, ignore_index=True)
    )


def test_another_seed_gives_other_events(make: Callable[..., World]):
    keys = [
        set(make_events(w, np.arange(w.num_users), calibrate(w))["event_key"])
        for w in (make(num_events=5000), make("seed=8", num_events=5000))
    ]
    assert not keys[0] & keys[1]


@pytest.mark.parametrize(("num_events", "tolerance"), [(1_000, 0.1), (10_000, 0.03), (100_000, 0.02)])
def test_the_log_has_about_as_many_rows_as_asked_for(make: Callable[..., World], num_events: int, tolerance: float):
    world = make(num_events=num_events, dirty_share=0)
    events = make_events(world, np.arange(world.num_users), calibrate(world))
    assert len(events) == pytest.approx(num_events, rel=tolerance)


def test_rates_are_those_of_a_shop(world: World, events: pd.DataFrame):
    count = events["type"].value_counts()
    visits = make_visits(world, make_people(world, np.arange(world.num_users)), calibrate(world))
    assert 0.65 < count[IMPRESSION] / len(events) < 0.75
    assert 0.05 < count[CLICK] / count[IMPRESSION] < 0.08
    assert 0.03 < count[PURCHASE] / len(visits.user) < 0.07
    assert count[CART] > count[PURCHASE] > 20 * count[REFUND] > 0
    assert events["event_key"].is_unique


def test_nothing_happens_outside_the_log_or_before_an_item_or_user_is_there(world: World, events: pd.DataFrame):
    assert events["ts_ms"].between(world.start_ms, world.end_ms - 1).all()
    with_item = events[events["item"] >= 0]
    assert (with_item["day"] >= make_catalogue(world).launch_day[with_item["item"]]).all()
    people = make_people(world, np.arange(world.num_users))
    assert (events["day"] >= people.first_day[events["user"]]).all()
    assert (people.first_day > 0.88 * world.num_days).mean() > 0.05
    assert (make_catalogue(world).launch_day > 0.85 * world.num_days).mean() > 0.03


def test_one_user_day_stays_far_from_the_limit_for_bots(world: World, events: pd.DataFrame):
    assert events.groupby(["user", "day"]).size().max() < world.bot_events_per_day / 2


def test_every_action_follows_from_one_before_it(events: pd.DataFrame):
    first = events.groupby(["user", "item", "type"])["ts_ms"].min().unstack("type")
    for later, earlier in ((CLICK, IMPRESSION), (CART, VIEW), (PURCHASE, CART), (REFUND, PURCHASE)):
        both = first[first[later].notna()]
        assert (both[earlier] <= both[later]).all()


def test_clicks_fall_with_position_as_truth_tells(impressions: pd.DataFrame):
    rate = impressions.groupby("position")["clicked"].mean()
    told = examination(rate.index.to_numpy())
    # Lower positions show slightly less popular, not less suitable items: the ratio of the rates is the bias.
    assert np.allclose(rate.loc[2:10] / rate[1], told[1:10] / told[0], rtol=0.25)
    assert rate[10] < rate[1] / 2


def test_clicks_follow_taste(impressions: pd.DataFrame):
    assert roc_auc_score(impressions["clicked"], impressions["suits"]) > 0.7
    assert roc_auc_score(impressions["clicked"], np.random.default_rng(0).permutation(impressions["suits"])) < 0.53


def test_propensities_are_the_rates_at_which_items_are_shown(world: World):
    people = make_people(world, np.arange(world.num_users))
    visits = make_visits(world, people, calibrate(world))
    shown = show(world, visits)
    assert shown.propensity.min() > 0
    assert shown.propensity.max() <= 1
    first = shown.position == 1
    item, propensity = shown.item[first], shown.propensity[first]
    context = visits.context[shown.visit[first]]
    home = context == 0
    best = make_catalogue(world).popularity.argmax()
    told = make_shelves(world).probability[best] / make_shelves(world).on_sale[0, visits.day[shown.visit[first]][home]]
    assert np.allclose(propensity[home & (item == best)], told[item[home] == best])
    # The mean of 1 / propensity is the number of items that could have been shown (inverse propensity identity).
    pages = (context > 0) & (context <= 16)
    on_sale = np.array(
        [
            ((make_catalogue(world).category == c - 1) & (make_catalogue(world).launch_day <= d)).sum()
            for c, d in zip(context[pages], visits.day[shown.visit[first]][pages], strict=True)
        ]
    )
    assert (1 / propensity[pages]).mean() == pytest.approx(on_sale.mean(), rel=0.05)


def test_tastes_drift_over_the_log(world: World):
    people = make_people(world, np.arange(world.num_users))
    correlation = np.corrcoef(people.style_start.ravel(), people.style_end.ravel())[0, 1]
    assert 0.5 < correlation < 0.85


def test_the_position_bias_and_taste_beat_popularity(world: World, events: pd.DataFrame):
    """Ranking each user's last fortnight by true taste must beat ranking by earlier popularity clearly."""
    cut = world.num_days - 14
    acted = events[events["type"].isin((CLICK, VIEW, CART, PURCHASE))]
    popularity = np.bincount(acted.loc[acted["day"] < cut, "item"], minlength=world.num_items)
    test = acted[acted["day"] >= cut].drop_duplicates(["user", "item"])
    people = make_people(world, np.arange(world.num_users))
    other = np.random.default_rng(0).integers(world.num_items, size=len(test))
    user, tau = test["user"].to_numpy(), np.full(len(test), 0.92)
    taken = match(world, people, user, tau, test["item"].to_numpy())
    passed = match(world, people, user, tau, other)
    popular = popularity[test["item"]] + 0.5 > popularity[other] + np.random.default_rng(1).random(len(test))
    assert (taken > passed).mean() > 0.75
    assert (taken > passed).mean() > popular.mean() + 0.05
