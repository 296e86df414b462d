"""The linear blend learns which source to trust, and says what each adds."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from attune.errors import InputError
from attune.recommend.booster import Groups
from attune.recommend.linear import fit_linear, source_features

NAN = np.nan


def test_features_of_sources_are_comparable_between_users() -> None:
    users = np.array([0, 0, 0, 2, 2])
    scores = np.array([[1, 5], [2, NAN], [3, 5], [100, NAN], [300, NAN]], np.float32)
    columns, values = source_features(users, scores, ["a", "b"])
    assert columns == ["a_score", "b_score", "a_deviation", "b_deviation", "a_place", "b_place"]
    by_name = dict(zip(columns, values.T, strict=True))
    third = np.sqrt(3 / 2)
    assert_allclose(by_name["a_deviation"], [-third, 0, third, -1, 1], rtol=1e-6)
    assert_allclose(by_name["b_deviation"], [0, NAN, 0, NAN, NAN])
    assert_allclose(by_name["a_place"], [1 / 13, 1 / 12, 1 / 11, 1 / 12, 1 / 11], rtol=1e-6)
    assert_allclose(by_name["b_place"], [1 / 11, NAN, 1 / 12, NAN, NAN], rtol=1e-6)


def test_features_of_nobody_are_empty() -> None:
    columns, values = source_features(np.empty(0, np.int64), np.empty((0, 2), np.float32), ["a", "b"])
    assert values.shape == (0, len(columns)) == (0, 6)


def groups(num: int, seed: int) -> Groups:
    """The first feature tells the label, the second is noise on another scale, the third is mostly unknown."""
    rng = np.random.default_rng(seed)
    features = np.column_stack([rng.normal(size=num), rng.normal(1e4, 1e3, num), rng.normal(size=num)]).astype(
        np.float32
    )
    features[rng.random(num) < 0.8, 2] = NAN
    labels = (rng.random(num) < 1 / (1 + np.exp(-2 * features[:, 0] + 1))).astype(np.int8)
    return Groups(features, labels, np.array([num]))


def test_the_source_that_tells_most_weighs_most() -> None:
    blend = fit_linear(groups(4000, 0), ["good", "noise", "rare"], 1.0)
    assert blend.weights[0] == pytest.approx(2.0, abs=0.2)
    assert abs(blend.weights[1]) < 0.3
    assert abs(blend.weights[2]) < 0.3
    unseen = groups(500, 1)
    assert_allclose(
        blend.scores(unseen.features), blend.contributions(unseen.features).sum(axis=1) + blend.intercept, rtol=1e-9
    )
    assert not blend.contributions(unseen.features)[np.isnan(unseen.features)].any(), "what is not known adds nothing"


def test_one_kind_of_label_is_refused() -> None:
    of_one_kind = Groups(np.ones((3, 1), np.float32), np.zeros(3, np.int8), np.array([3]))
    with pytest.raises(InputError, match="only one kind"):
        fit_linear(of_one_kind, ["a"], 1.0)
