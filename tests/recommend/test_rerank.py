"""Each rule does what its setting says, and nothing where it is not set."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attune import config
from attune.errors import SettingsError
from attune.evaluation.metrics import discounts, exposure
from attune.recommend.catalogue import Catalogue
from attune.recommend.exposure import item_groups, required_exposure
from attune.recommend.rerank import Reranker, Rules
from recommend.tiny import BULB, LAMP, MUG, NOVELTY, catalogue

CASE = tuple[Catalogue, np.ndarray, Rules, int]
ALL = np.arange(4)
SCORES = np.array([0.9, 0.8, 0.3, 0.7])  # lamp, bulb, mug, novelty


def items_of(brands: np.ndarray, categories: np.ndarray | None = None, actors: np.ndarray | None = None) -> Catalogue:
    """A catalogue of so many items, given by their codes."""
    num = len(brands)
    of_category = np.zeros(num, int) if categories is None else categories
    features = (
        np.ones((num, 2), np.float32) if actors is None else np.stack([np.where(actors, 9, np.nan), actors], axis=1)
    )
    return catalogue(
        item_ids=np.arange(num).astype(object), offered=np.ones(num, bool), brand=brands.astype(np.int32), brands=[f"brand {code}" for code in range(4)],
        category=of_category.astype(np.int32), categories=[f"Level {code} > All" for code in range(4)],
        columns=["item_days_since_first", "item_actors"], features=features.astype(np.float32), vectors=None,
    )  # fmt: skip


@st.composite
def cases(draw: st.DrawFn) -> tuple[Catalogue, np.ndarray, Rules, int]:
    """Items of all kinds with scores, any rules at once, and a length of the list."""
    num = draw(st.integers(0, 40))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    brands, categories = random.integers(-1, 4, (2, num))
    actors = np.maximum(random.geometric(0.1, num) - draw(st.integers(1, 10)), 0)
    shares = draw(st.dictionaries(st.sampled_from(["new", "tail", "Level 1", "brand 2"]), st.floats(0.02, 0.25)))
    rules = Rules(
        diversity=draw(st.sampled_from([0.0, 0.3, 1.0])),
        novelty=draw(st.sampled_from([0.0, 0.3, 1.0])),
        max_per_category=draw(st.sampled_from([None, 1, 3])),
        max_per_brand=draw(st.sampled_from([None, 1, 3])),
        boosts=draw(st.sampled_from([{}, {"Level 0": 2.0}])),
        min_exposure=shares,
    )
    return items_of(brands, categories, actors), random.random(num), rules, draw(st.integers(0, 12))


@settings(deadline=None)
@given(cases())
def test_whatever_the_rules_a_list_is_full_has_nothing_twice_and_is_the_same_again(case: CASE) -> None:
    items, scores, rules, top_n = case
    found = Reranker(items, rules).order(np.arange(len(scores)), scores, top_n)
    assert len(set(found.tolist())) == len(found) == min(top_n, len(scores))
    assert Reranker(items, rules).order(np.arange(len(scores)), scores, top_n).tolist() == found.tolist()


@settings(deadline=None)
@given(cases())
def test_caps_hold_while_alternatives_remain(case: CASE) -> None:
    items, scores, rules, top_n = case
    found = Reranker(items, rules).order(np.arange(len(scores)), scores, top_n)
    for place, item in enumerate(found):
        before, rest = found[:place], np.setdiff1d(np.arange(len(scores)), found[:place])

        def within(most: int | None, codes: np.ndarray, of: np.ndarray, before: np.ndarray = before) -> np.ndarray:
            counts = np.array([(codes[before] == codes[one]).sum() for one in of])
            return np.ones(len(of), bool) if most is None else (codes[of] < 0) | (counts < most)

        fits = within(rules.max_per_category, items.category, rest)
        assert within(rules.max_per_category, items.category, np.array([item])).all() or not fits.any()
        fits &= within(rules.max_per_brand, items.brand, rest)
        assert within(rules.max_per_brand, items.brand, np.array([item])).all() or not fits.any()


@settings(deadline=None)
@given(cases())
def test_shares_are_met_where_there_are_items_enough(case: CASE) -> None:
    """With one group its share is met for certain, whatever else shapes the list, but for caps, which come first."""
    items, scores, rules, top_n = case
    for name, share in rules.min_exposure.items():
        alone = replace(rules, min_exposure={name: share}, max_per_category=None, max_per_brand=None)
        (members,) = item_groups(items, [name])
        found = Reranker(items, alone).order(np.arange(len(scores)), scores, top_n)
        if len(found) == top_n > 0 and members.sum() >= top_n:
            assert exposure(found[None], members, top_n)[0] >= share - 1e-9


@settings(deadline=None)
@given(cases())
def test_all_shares_are_as_they_must_be_place_by_place_where_each_group_has_items_enough(case: CASE) -> None:
    items, scores, rules, top_n = case
    shares = replace(rules, max_per_category=None, max_per_brand=None)
    members = item_groups(items, rules.min_exposure)
    found = Reranker(items, shares).order(np.arange(len(scores)), scores, top_n)
    if len(found) == top_n and (members.sum(axis=1) >= top_n).all():
        had = np.cumsum(members[:, found] * discounts(top_n), axis=1)
        assert (had >= required_exposure(tuple(rules.min_exposure.values()), top_n) - 1e-9).all()


def order(rules: Rules, top_n: int = 4, **changes: object) -> list[int]:
    return [int(ALL[n]) for n in Reranker(catalogue(**changes), rules).order(ALL, SCORES, top_n)]


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4), st.integers(1, 5))
def test_without_rules_the_order_is_that_of_the_scores(scores: list[float], top_n: int) -> None:
    found = Reranker(catalogue(), Rules()).order(ALL, np.array(scores), top_n)
    assert found.tolist() == np.argsort(-np.array(scores), kind="stable")[:top_n].tolist()


def test_variety_puts_the_unlike_forward() -> None:
    assert order(Rules()) == [LAMP, BULB, NOVELTY, MUG]
    # Cosines to the lamp: bulb 0.6, mug 0, novelty 0.8; scores relative to the lamp's: 0.89, 0.33, 0.78.
    assert order(Rules(diversity=0.5))[:2] == [LAMP, MUG]
    assert order(Rules(diversity=0.2))[:2] == [LAMP, BULB]
    assert order(Rules(diversity=0.5), 0) == []
    assert order(Rules(diversity=0.5), vectors=None)[:2] == [LAMP, MUG], "without vectors one category is alike"


def test_a_category_takes_no_more_than_its_cap_while_others_remain() -> None:
    assert order(Rules(max_per_category=1), 2) == [LAMP, MUG]
    assert order(Rules(max_per_category=2), 3) == [LAMP, BULB, MUG]
    assert order(Rules(max_per_category=1), 4) == [LAMP, MUG, BULB, NOVELTY], "a list is filled all the same"


def test_a_brand_takes_no_more_than_its_cap_and_unknown_brands_are_free() -> None:
    assert order(Rules(max_per_brand=1), 3) == [LAMP, BULB, MUG], "the novelty is of the lamp's brand"
    no_brands = {"brand": np.full(4, -1, np.int32), "brands": []}
    assert order(Rules(max_per_brand=1), 3, **no_brands) == [LAMP, BULB, NOVELTY]


def test_caps_look_beyond_the_best_where_these_are_all_of_one_kind() -> None:
    many = 50
    alike = items_of(np.r_[np.zeros(many, int), 1])
    found = Reranker(alike, Rules(max_per_brand=1)).order(np.arange(many + 1), np.linspace(1, 0.1, many + 1), 2)
    assert found.tolist() == [0, many]


def test_novelty_puts_the_little_known_forward() -> None:
    # Actors 4, 3, 16 and none make surprises of 0.5, 0.6, 0 and 1; scores relative to the lamp's: 1, 0.89, 0.33, 0.78.
    assert order(Rules(novelty=0.4)) == [NOVELTY, LAMP, BULB, MUG]
    assert order(Rules(novelty=0.1)) == [LAMP, BULB, NOVELTY, MUG]
    assert order(Rules(novelty=1.0)) == [NOVELTY, BULB, LAMP, MUG]
    assert order(Rules(novelty=1.0), columns=["a", "b", "c"]) == [LAMP, BULB, NOVELTY, MUG], (
        "of nobody's acts none is known"
    )


def test_a_group_of_items_gets_its_share_of_the_exposure() -> None:
    assert order(Rules(min_exposure={"Kitchen": 0.15})) == [LAMP, BULB, NOVELTY, MUG], "the last place has 0.17 of it"
    assert order(Rules(min_exposure={"Kitchen": 0.19})) == [LAMP, BULB, MUG, NOVELTY], "the third has 0.195"
    assert order(Rules(min_exposure={"Kitchen": 0.5}), 2) == [MUG, LAMP], "the first of two places has 0.61"
    assert order(Rules(min_exposure={"new": 0.3}), 2) == [LAMP, NOVELTY]
    assert order(Rules(min_exposure={"Lux": 0.45})) == [LAMP, BULB, NOVELTY, MUG], "the lamp is of it and has enough"
    assert order(Rules(min_exposure={"new": 0.9}), 3) == [NOVELTY, LAMP, BULB], "there is but one"


def test_the_longest_category_named_boosts() -> None:
    assert order(Rules(boosts={"Kitchen": 4.0}))[0] == MUG
    assert order(Rules(boosts={"Home": 0.1, "Home >  Lighting": 1.0}))[0] == LAMP
    assert order(Rules(boosts={"Home": 0.1}))[0] == MUG
    assert order(Rules(boosts={"Ho": 0.1}))[0] == LAMP, "part of a name is no beginning of a path"


def test_each_rule_that_is_set_can_be_left_out() -> None:
    rules = Rules(diversity=0.3, boosts={"Home": 2.0})
    assert rules.without_each() == {"diversity": Rules(boosts={"Home": 2.0}), "boosts": Rules(diversity=0.3)}
    assert Rules().without_each() == {}
    every = Rules(0.1, 0.1, 1, 1, {"Home": 2.0}, {"new": 0.1}, True)
    assert list(every.without_each()) == [rule.name for rule in fields(Rules)]
    assert every.without_each()["frequency_cap"] == replace(every, frequency_cap=False)


def test_settings_are_checked() -> None:
    rerank = config.load(["demo"], ["recommend.rerank.diversity=0.3"]).recommend.rerank
    assert Rules.of(rerank, catalogue()) == Rules(diversity=0.3)
    capped = config.load(["demo"], ["recommend.rerank.frequency_cap={times: 3, days: 7}"]).recommend.rerank
    assert Rules.of(capped, catalogue()) == Rules(frequency_cap=True)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("diversity=1.5", "diversity"),
        ("novelty=-1", "novelty"),
        ("max_per_brand=0", "max_per_brand"),
        ("min_exposure={new: 0}", "min_exposure"),
        ("min_exposure={new: 0.6, tail: 0.6}", "add up to 1.2"),
        ("frequency_cap={times: 3}", "frequency_cap.days"),
        ("frequency_cap={times: 0, days: 7}", "frequency_cap.times"),
    ],
)
def test_settings_out_of_range_are_refused(setting: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        config.load(["demo"], [f"recommend.rerank.{setting}"])


def test_new_items_cannot_be_shown_where_they_are_not_offered() -> None:
    with pytest.raises(SettingsError, match="new_items=true"):
        config.load(["demo"], ["recommend.new_items=false", "recommend.rerank.min_exposure={new: 0.1}"])


def test_an_exposure_of_no_group_is_refused() -> None:
    known = "recommend.rerank.min_exposure={new: 0.1, tail: 0.1, Home > Lighting: 0.1, Kitchen: 0.1, Volt: 0.1}"
    assert len(Rules.of(config.load(["demo"], [known]).recommend.rerank, catalogue()).min_exposure) == 5
    wrong = config.load(["demo"], ["recommend.rerank.min_exposure={Kitchn: 0.2}"]).recommend.rerank
    with pytest.raises(SettingsError, match=r"min_exposure: no item is of category or brand 'Kitchn'.*'Kitchen'"):
        Rules.of(wrong, catalogue())


def test_a_boost_of_no_category_is_refused() -> None:
    known = config.load(["demo"], ["recommend.rerank.boosts={Home: 2, 'Home > Lighting': 3}"]).recommend.rerank
    assert Rules.of(known, catalogue()).boosts == {"Home": 2, "Home > Lighting": 3}
    wrong = config.load(["demo"], ["recommend.rerank.boosts={Kitchn: 2}"]).recommend.rerank
    with pytest.raises(SettingsError, match=r"rerank\.boosts: no item has category 'Kitchn'.*did you mean 'Kitchen'"):
        Rules.of(wrong, catalogue())
