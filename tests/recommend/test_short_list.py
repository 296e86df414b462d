"""The cross-encoder orders the short list anew, nothing else, and only where that was seen to help."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from attune.recommend.booster import Groups, RankingModel
from attune.recommend.catalogue import Catalogue
from attune.recommend.examples import group_rows
from attune.recommend.measured import list_rows
from attune.recommend.pair_features import pair_features
from attune.recommend.ranking import Ranker
from attune.recommend.retrieval import retrieve
from attune.recommend.short_list import ShortList, acted_on_last, read_again
from attune.recommend.short_list_fit import MAX_PAIRS, fit_short_list
from attune.training.calibration import expected_calibration_error
from recommend.tiny import BULB, LAMP, LAMP_BUYER, MUG, NOVELTY, STRANGER, batch, catalogue, quotas

PLAIN = ShortList("v1", 2, 1.0, 1.0, 0.0)


def by_item(values: np.ndarray):  # type: ignore[no-untyped-def]
    """Log odds of a pair: a value of the second item."""
    return lambda firsts, seconds: values[seconds].astype(float)


def test_the_latest_item_is_that_of_the_last_action() -> None:
    users = batch(
        {"items": [LAMP, BULB, MUG], "weights": [1.0] * 3, "ages": [3.0, 0.5, 2.0], "first_ages": [3.0, 9.0, 2.0], "recent": [0] * 3},
        STRANGER,
        {"items": [BULB, MUG, LAMP], "weights": [1.0] * 3, "ages": [1.0, 1.0, 5.0], "recent": [0] * 3},
    )  # fmt: skip
    assert acted_on_last(users.ages).tolist() == [BULB, -1, MUG]


def test_the_best_are_read_after_the_latest_item_and_the_others_stay_below() -> None:
    users = np.array([0, 0, 0, 0, 1, 1])
    items = np.array([0, 1, 2, 3, 0, 1])
    odds = np.array([-1.0, -3.0, -2.0, -2.5, -1.0, 4.0])
    asked = []

    def pair_log_odds(firsts: np.ndarray, seconds: np.ndarray) -> np.ndarray:
        asked.extend(zip(firsts.tolist(), seconds.tolist(), strict=True))
        return np.array([-5.0, 2.0])[: len(firsts)]

    reading = read_again(users, items, np.array([9, -1]), odds, 2, pair_log_odds)
    assert asked == [(9, 0), (9, 2)]
    found = PLAIN.blended(reading, odds)
    assert found[[0, 2]].tolist() == [-6.0, 0.0]
    assert found[3] < found[0]
    assert found[1] < found[0]
    assert found[4:].tolist() == odds[4:].tolist(), "without history there is nothing to read after"


def test_the_latest_item_itself_and_items_without_text_keep_their_odds() -> None:
    odds = np.array([-1.0, -2.0, -3.0])
    values = np.array([50.0, np.nan, 4.0])
    reading = read_again(np.zeros(3, int), np.arange(3), np.array([0]), odds, 3, by_item(values))
    assert PLAIN.blended(reading, odds).tolist() == [-1.0, -2.0, 1.0]


NUMBERS = st.floats(-20, 20)


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=12), st.integers(1, 14), st.integers(1, 3))
def test_no_other_candidate_passes_one_of_the_short_list(
    candidates: list[tuple[float, float]], length: int, num_users: int
) -> None:
    odds, match = np.array(candidates * num_users).T
    num = len(candidates)
    users = np.repeat(np.arange(num_users), num)
    reading = read_again(
        users, np.tile(np.arange(num), num_users), np.full(num_users, num), odds, length, by_item(match)
    )
    found = expit(replace(PLAIN, odds_weight=0.7, match_weight=1.3, intercept=-0.2).blended(reading, odds))
    for user in range(num_users):
        own = users == user
        inside = reading.inside[own]
        assert inside.sum() == min(length, num)
        assert odds[own][inside].min() >= odds[own][~inside].max(initial=-np.inf)
        assert found[own][inside].min() > found[own][~inside].max(initial=-np.inf)


class Pairs:
    """A stand-in for the stored cross-encoder: what it says is a value of the second item."""

    def __init__(self, values: list[float]) -> None:
        self.values = np.array(values)
        self.asked: list[tuple[int, int]] = []

    def log_odds(self, firsts: np.ndarray, seconds: np.ndarray) -> np.ndarray:
        self.asked += zip(firsts.tolist(), seconds.tolist(), strict=True)
        return self.values[seconds]


@pytest.fixture
def ranker(monkeypatch: pytest.MonkeyPatch) -> Ranker:
    """By the trees the novelty comes before the bulb, and the bulb before the mug."""
    columns = pair_features(
        catalogue(), batch(LAMP_BUYER), retrieve(catalogue(), batch(LAMP_BUYER), quotas(4), False)
    ).columns

    class Trees:
        def predict(self, features: np.ndarray, **_: object) -> np.ndarray:
            return np.nan_to_num(features[:, columns.index("text_score")].astype(np.float64), nan=-9)

    monkeypatch.setattr(RankingModel, "booster", lambda _: Trees())
    return Ranker(RankingModel("", columns, {}, 7.0, short_list=PLAIN), quotas=quotas(4), repeat=False)


def with_pairs(*values: float) -> tuple[Catalogue, Pairs]:
    pairs = Pairs(list(values))
    return catalogue(cross_match=pairs), pairs


def test_lists_are_in_the_new_order_and_strangers_keep_theirs(ranker: Ranker) -> None:
    shop, pairs = with_pairs(0.0, 3.0, 9.0, 0.0)
    users = batch(LAMP_BUYER, STRANGER)
    shown = ranker.recommend(shop, users, 3)
    buyer = shown[shown["user_id"] == "lamp buyer"]
    assert buyer["item_id"].tolist() == ["bulb", "novelty", "mug"], "the mug is not in the short list"
    assert buyer["score"].is_monotonic_decreasing
    assert set(pairs.asked) == {(LAMP, BULB), (LAMP, NOVELTY)}
    plain = ranker.recommend(catalogue(), users, 3)
    assert plain[plain["user_id"] == "lamp buyer"]["item_id"].tolist() == ["novelty", "bulb", "mug"]
    strangers = [frame[frame["user_id"] == "stranger"].reset_index(drop=True) for frame in (shown, plain)]
    pd.testing.assert_frame_equal(*strangers, check_exact=True)


def test_users_together_score_as_each_alone(ranker: Ranker) -> None:
    shop, _ = with_pairs(0.0, 3.0, 9.0, 0.5)
    other: dict[str, object] = {"user_id": "mug", "items": [MUG], "weights": [1.0], "ages": [1.0], "recent": [1]}
    together = ranker.score(shop, batch(LAMP_BUYER, STRANGER, other)).scores
    alone = [ranker.score(shop, batch(user)).scores for user in (LAMP_BUYER, STRANGER, other)]
    np.testing.assert_allclose(together, np.concatenate(alone))


def test_a_reason_is_verified_by_the_scores_that_are_shown(ranker: Ranker) -> None:
    """Without the lamp there is nothing to read the bulb after, and the cross-encoder, which thinks little of it, is not asked."""
    users, removed = batch(LAMP_BUYER), [(LAMP,)]
    for value, is_lower in ((9.0, True), (-30.0, False)):
        shop, _ = with_pairs(0.0, value, 0.0, 0.0)
        scored = ranker.score(shop, users)
        (place,) = np.flatnonzero(scored.candidates.items == BULB)
        without = ranker.scores_without(shop, users, np.array([0]), np.array([BULB]), removed)
        assert (without[0] < scored.scores[place]) == is_lower


def test_the_blend_is_measured_without_it_too(ranker: Ranker) -> None:
    shop, _ = with_pairs(0.0, 3.0, 9.0, 0.0)
    rows = list_rows(shop, batch(LAMP_BUYER), {}, 3, False, ranker).set_index("model")
    assert rows.loc["blend", "items"].tolist() == [BULB, NOVELTY, MUG]
    assert rows.loc["blend without cross_match", "items"].tolist() == [NOVELTY, BULB, MUG]
    trees_alone = Ranker(replace(ranker.model, short_list=None), quotas=quotas(4), repeat=False)
    assert "blend without cross_match" not in list(
        list_rows(shop, batch(LAMP_BUYER), {}, 3, False, trees_alone)["model"]
    )


def test_groups_tell_items_and_the_latest_one() -> None:
    shop, users = catalogue(), batch(LAMP_BUYER | {"labels": [BULB]}, STRANGER)
    rows = group_rows(shop, users, quotas(4), False).set_index("user_id")
    assert rows["anchor"].to_dict() == {"lamp buyer": LAMP, "stranger": -1}
    found = retrieve(shop, users, quotas(4), False)
    for place, (start, stop) in enumerate(pairwise(np.searchsorted(found.users, [0, 1, 2]))):
        own = np.frombuffer(rows.loc[users.user_ids[place], "items"], np.int64)
        assert own.tolist() == found.items[start:stop].tolist()
        labels = np.frombuffer(rows.loc[users.user_ids[place], "labels"], np.int8)
        assert own[labels > 0].tolist() == ([BULB] if place == 0 else [MUG])


NUM_ITEMS = 50


def made_up(num_users: int, seed: int, match: np.ndarray) -> tuple[Groups, np.ndarray]:
    """Users with 30 candidates, acted on by what the odds say and, as much, by what pairs of items say; a third never acts."""
    rng = np.random.default_rng(seed)
    items = np.concatenate([rng.permutation(NUM_ITEMS)[:30] for _ in range(num_users)])
    anchors = rng.integers(0, NUM_ITEMS, num_users)
    users = np.repeat(np.arange(num_users), 30)
    odds = rng.normal(-2.5, 1.0, len(items))
    truth = 1.2 * odds + 1.0 * match[anchors[users], items] - 0.5
    acts = (rng.random(len(items)) < expit(truth)) & (users % 3 > 0)
    return Groups(
        np.zeros((len(items), 1), np.float32), acts.astype(np.int8), np.full(num_users, 30), items, anchors
    ), odds


@pytest.fixture(scope="module")
def match() -> np.ndarray:
    return np.random.default_rng(8).normal(0, 1.5, (NUM_ITEMS, NUM_ITEMS))


def test_a_model_that_knows_is_used_with_calibrated_odds(match: np.ndarray) -> None:
    groups, odds = made_up(800, 1, match)
    fitted = fit_short_list(groups, odds, lambda a, b: match[a, b], "v1", 20, seed=7)
    short, told = fitted.short_list, fitted.metrics
    assert short is not None
    assert told["used"]
    assert told["ndcg@10_with"] > told["ndcg@10_without"] + 0.05  # type: ignore[operator]
    fresh, fresh_odds = made_up(800, 2, match)
    assert fresh.items is not None
    assert fresh.anchors is not None
    users = np.repeat(np.arange(800), 30)
    reading = read_again(users, fresh.items, fresh.anchors, fresh_odds, 20, lambda a, b: match[a, b])
    shown = expit(short.blended(reading, fresh_odds))[reading.inside]
    acted = fresh.labels[reading.inside].astype(float)
    assert shown.mean() == pytest.approx(acted.mean(), abs=0.01)
    assert expected_calibration_error(shown, acted) < 0.02


@pytest.mark.parametrize("seed", [10, 13])
def test_noise_is_not_used_even_where_chance_favours_it(match: np.ndarray, seed: int) -> None:
    groups, odds = made_up(800, 1, match)
    noise = np.random.default_rng(seed).normal(0, 1.5, match.shape)
    fitted = fit_short_list(groups, odds, lambda a, b: noise[a, b], "v1", 20, seed=7)
    assert fitted.short_list is None
    told = fitted.metrics
    assert told["ndcg@10_without"] < told["ndcg@10_with"]  # type: ignore[operator]
    assert told["used"] is False


@pytest.mark.parametrize("kind", ["turned around", "silent"])
def test_a_model_that_does_not_help_is_not_used(match: np.ndarray, kind: str) -> None:
    groups, odds = made_up(800, 1, match)
    said = {"turned around": -match, "silent": np.full_like(match, np.nan)}[kind]
    fitted = fit_short_list(groups, odds, lambda a, b: said[a, b], "v1", 20, seed=7)
    assert fitted.short_list is None
    assert fitted.metrics["used"] is False


def test_users_without_history_are_not_asked_and_pairs_are_bounded(
    match: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups, odds = made_up(300, 1, match)
    assert groups.anchors is not None
    anchors = np.where(np.arange(300) % 2 == 0, groups.anchors, -1)
    some = replace(groups, anchors=anchors)
    asked: list[np.ndarray] = []

    def pair_log_odds(firsts: np.ndarray, seconds: np.ndarray) -> np.ndarray:
        asked.append(firsts)
        return match[firsts, seconds]

    told = fit_short_list(some, odds, pair_log_odds, "v1", 20, seed=7).metrics
    assert told["users_fitted"] == 75
    assert min(firsts.min() for firsts in asked) >= 0
    assert sum(map(len, asked)) <= MAX_PAIRS
    asked.clear()
    monkeypatch.setattr("attune.recommend.short_list_fit.MAX_PAIRS", 1000)
    told = fit_short_list(groups, odds, pair_log_odds, "v1", 20, seed=7).metrics
    assert (told["users_fitted"], told["users_checked"]) == (25, 25)
    assert 900 <= sum(map(len, asked)) <= 1000
    repeated = fit_short_list(groups, odds, pair_log_odds, "v1", 20, seed=7).metrics
    assert repeated == told


def test_nobody_with_history_is_no_reason_to_fail(match: np.ndarray) -> None:
    groups, odds = made_up(10, 1, match)
    nobody = replace(groups, anchors=np.full(10, -1))
    assert fit_short_list(nobody, odds, lambda a, b: match[a, b], "v1", 20, seed=7).short_list is None
