"""Each rule does what its setting says, and nothing where it is not set."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attune import config
from attune.errors import SettingsError
from attune.recommend.rerank import Reranker, Rules
from recommend.tiny import BULB, LAMP, MUG, NOVELTY, catalogue

ALL = np.arange(4)
SCORES = np.array([0.9, 0.8, 0.3, 0.7])  # lamp, bulb, mug, novelty


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


def test_the_longest_category_named_boosts() -> None:
    assert order(Rules(boosts={"Kitchen": 4.0}))[0] == MUG
    assert order(Rules(boosts={"Home": 0.1, "Home >  Lighting": 1.0}))[0] == LAMP
    assert order(Rules(boosts={"Home": 0.1}))[0] == MUG
    assert order(Rules(boosts={"Ho": 0.1}))[0] == LAMP, "part of a name is no beginning of a path"


def test_each_rule_that_is_set_can_be_left_out() -> None:
    rules = Rules(diversity=0.3, boosts={"Home": 2.0})
    assert rules.without_each() == {"diversity": Rules(boosts={"Home": 2.0}), "boosts": Rules(diversity=0.3)}
    assert Rules().without_each() == {}


def test_settings_are_checked() -> None:
    rerank = config.load(["demo"], ["recommend.rerank.diversity=0.3"]).recommend.rerank
    assert Rules.of(rerank, []) == Rules(diversity=0.3)
    with pytest.raises(SettingsError, match="diversity"):
        config.load(["demo"], ["recommend.rerank.diversity=1.5"])


def test_a_boost_of_no_category_is_refused() -> None:
    categories = catalogue().categories
    known = config.load(["demo"], ["recommend.rerank.boosts={Home: 2, 'Home > Lighting': 3}"]).recommend.rerank
    assert Rules.of(known, categories).boosts == {"Home": 2, "Home > Lighting": 3}
    wrong = config.load(["demo"], ["recommend.rerank.boosts={Kitchn: 2}"]).recommend.rerank
    with pytest.raises(SettingsError, match=r"rerank\.boosts: no item has category 'Kitchn'.*did you mean 'Kitchen'"):
        Rules.of(wrong, categories)
