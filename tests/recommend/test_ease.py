"""EASE against the problem that it solves: least squares with a penalty, each title from all others."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from attune.errors import SettingsError
from attune.recommend import ease
from attune.recommend.ease import item_weights


def test_weights_are_those_of_one_ridge_regression_an_item() -> None:
    """Without the diagonal the columns do not depend on each other: each item is told by the others."""
    x = (np.random.default_rng(0).random((60, 12)) < 0.3).astype(float)
    weights = item_weights(x.T @ x, 3.0)
    assert weights.diagonal().tolist() == [0.0] * 12
    for item in range(12):
        others = np.delete(x, item, axis=1)
        ridge = np.linalg.solve(others.T @ others + 3.0 * np.eye(11), others.T @ x[:, item])
        assert_allclose(np.delete(weights[:, item], item), ridge, atol=1e-12)


def test_items_without_users_speak_for_nothing() -> None:
    gram = np.diag([4.0, 0.0, 5.0])
    gram[0, 2] = gram[2, 0] = 2
    weights = item_weights(gram, 10.0)
    assert not weights[1].any()
    assert not weights[:, 1].any()
    assert weights[0, 2] > 0


def test_an_empty_catalogue_has_no_weights() -> None:
    assert item_weights(np.zeros((0, 0)), 1.0).shape == (0, 0)


@pytest.mark.parametrize("regularisation", [0.0, -1.0, float("nan")])
def test_a_regularisation_that_is_none_is_refused(regularisation: float) -> None:
    with pytest.raises(SettingsError, match="regularisation above 0"):
        item_weights(np.eye(2), regularisation)


def test_a_matrix_that_is_no_gram_matrix_is_refused() -> None:
    with pytest.raises(SettingsError, match="no such matrix"):
        item_weights(np.array([[1.0, 9.0], [9.0, 1.0]]), 0.1)


def test_a_catalogue_that_does_not_fit_is_refused_with_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ease, "MAX_ITEMS", 3)
    with pytest.raises(SettingsError, match="4 items, 3 at most"):
        item_weights(np.eye(4), 1.0)
