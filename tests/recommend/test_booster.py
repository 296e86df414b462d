"""The ranking model must learn what there is to learn, and be the same each time."""

from pathlib import Path

import numpy as np

from attune.recommend.booster import Groups, RankingModel, TreeSettings, choose_rounds, fit_booster, read_model

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
        rounds, curve = choose_rounds(earlier, made_up(60, 1), COLUMNS, TREES)
        assert 1 <= rounds <= TREES.num_rounds
        assert list(curve) == [10, 20, 30, 40]
        assert max(curve.values()) > 0.8


def test_columns_are_put_in_order_and_holes_left_open() -> None:
    groups = Groups(np.array([[1, 2]], np.float32), np.array([1], np.int8), np.array([1]))
    np.testing.assert_array_equal(groups.select(["a", "b"], ["b", "c", "a"]).features, [[2, np.nan, 1]])


def test_stored_model_scores_as_before(tmp_path: Path) -> None:
    groups = made_up(60, 1)
    model = RankingModel(
        fit_booster(groups, COLUMNS, TREES).model_to_string(),
        tuple(COLUMNS),
        {"rank": 8, "reg": 0.1, "alpha": 1.0},
        7.0,
    )
    model.write(tmp_path)
    loaded = read_model(tmp_path)
    assert loaded == model
    np.testing.assert_array_equal(loaded.booster().predict(groups.features), model.booster().predict(groups.features))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["features.json", "ranker.txt"]
