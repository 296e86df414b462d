"""The ranking model must learn what there is to learn, and be the same each time."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

from attune.recommend.booster import Groups, RankingModel, TreeSettings, choose_rounds, fit_booster, read_model
from attune.recommend.short_list import ShortList
from attune.training.calibration import expected_calibration_error

COLUMNS = ["signal", "noise"]
TREES = TreeSettings(num_rounds=40, learning_rate=0.1, num_leaves=7, seed=3)


def made_up(num_users: int, seed: int) -> Groups:
    """Users with 20 candidates, of which those with a high signal are acted on."""
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(num_users * 20, 2)).astype(np.float32)
    labels = (features[:, 0] + 0.3 * generator.normal(size=len(features)) > 1).astype(np.int8)
    return Groups(features, labels, np.full(num_users, 20))


def test_order_follows_the_signal() -> None:
    booster = fit_booster(made_up(60, 1), COLUMNS, TREES)
    low, high = booster.predict(np.array([[-1, 2], [2, -1]], np.float32))
    assert high > low
    assert booster.feature_importance("gain")[0] > 10 * booster.feature_importance("gain")[1]


def test_same_seed_gives_the_same_trees() -> None:
    first, second, other = (
        fit_booster(made_up(60, 1), COLUMNS, TreeSettings(10, 0.1, 7, seed)).model_to_string() for seed in (3, 3, 4)
    )
    assert first == second
    assert first != other


def test_rounds_are_chosen_on_users_aside_or_on_the_last_period() -> None:
    for earlier in ([], [made_up(60, 2)]):
        chosen = choose_rounds(earlier, made_up(60, 1), COLUMNS, TREES)
        assert 1 <= chosen.rounds <= TREES.num_rounds
        assert list(chosen.ndcg_by_round) == [10, 20, 30, 40]
        assert max(chosen.ndcg_by_round.values()) > 0.8


def test_columns_are_put_in_order_and_holes_left_open() -> None:
    groups = Groups(np.array([[1, 2]], np.float32), np.array([1], np.int8), np.array([1]))
    np.testing.assert_array_equal(groups.select(["a", "b"], ["b", "c", "a"]).features, [[2, np.nan, 1]])


@pytest.mark.parametrize("short_list", [None, ShortList("v3", 30, 0.8, 0.4, -0.1)])
def test_stored_model_scores_as_before(tmp_path: Path, short_list: ShortList | None) -> None:
    groups = made_up(60, 1)
    model = RankingModel(
        fit_booster(groups, COLUMNS, TREES).model_to_string(),
        tuple(COLUMNS),
        {"rank": 8, "reg": 0.1, "alpha": 1.0},
        7.0,
        short_list=short_list,
    )
    model.write(tmp_path)
    loaded = read_model(tmp_path)
    assert loaded == model
    np.testing.assert_array_equal(loaded.booster().predict(groups.features), model.booster().predict(groups.features))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["features.json", "ranker.txt"]


def test_probabilities_are_those_of_all_users_not_only_of_those_with_a_hit() -> None:
    """Half of the users act on none of their candidates, whatever these look like; trees never see them."""
    valid = made_up(400, 5)
    of_row = np.repeat(np.arange(400) % 2 == 0, 20)
    half = Groups(valid.features, np.where(of_row, valid.labels, 0).astype(np.int8), valid.sizes)
    chosen = choose_rounds([made_up(400, 2)], half, COLUMNS, TREES)
    booster = fit_booster(made_up(400, 2), COLUMNS, replace(TREES, num_rounds=chosen.rounds))
    fresh = made_up(400, 6)
    odds = np.asarray(booster.predict(fresh.features, raw_score=True))
    slope, intercept = chosen.calibration
    acted = np.where(of_row, fresh.labels, 0)
    before, after = (expected_calibration_error(expit(o), acted) for o in (odds, slope * odds + intercept))
    assert expit(slope * odds + intercept).mean() == pytest.approx(acted.mean(), abs=0.01)
    assert after < before / 2


def test_users_are_chosen_with_all_their_candidates() -> None:
    groups = Groups(
        np.arange(5, dtype=np.float32)[:, None], np.array([0, 1, 0, 0, 1], np.int8), np.array([2, 2, 1]),
        items=np.arange(5) + 10, anchors=np.array([7, 8, -1]),
    )  # fmt: skip
    assert groups.has_hit.tolist() == [True, False, True]
    some = groups.of_users(groups.has_hit)
    assert (some.features[:, 0].tolist(), some.sizes.tolist()) == ([0, 1, 4], [2, 1])
    assert some.items is not None
    assert some.anchors is not None
    assert (some.items.tolist(), some.anchors.tolist()) == ([10, 11, 14], [7, -1])


def test_odds_come_from_trees_that_did_not_learn_from_these_users() -> None:
    earlier, valid = made_up(60, 2), made_up(60, 1)
    chosen = choose_rounds([earlier], valid, COLUMNS, TREES)
    assert chosen.groups is valid
    trees = fit_booster(earlier, COLUMNS, replace(TREES, num_rounds=chosen.rounds))
    slope, intercept = chosen.calibration
    expected = slope * np.asarray(trees.predict(valid.features, raw_score=True)) + intercept
    np.testing.assert_allclose(chosen.odds, expected, atol=1e-6)
