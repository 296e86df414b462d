"""EASE against the problem that it solves: least squares with a penalty, each title from all others."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from attune.errors import SettingsError
from attune.recommend import ease
from attune.recommend.ease import item_weights, linear_matrix, together


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


def test_common_users_are_counted_for_the_items_with_most_of_them() -> None:
    users, items = np.array([7, 7, 7, 9, 9, 4]), np.array([0, 2, 5, 2, 5, 2])
    found = together(users, items, 8, max_items=2)
    assert found.items.tolist() == [2, 5]
    assert found.gram.tolist() == [[3, 2], [2, 2]]
    assert together(users, items, 8, max_items=5).items.tolist() == [0, 2, 5], "an item without users is not known"


def test_weights_stand_in_the_places_of_the_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    matrix = rng.random((80, 6)) < 0.4
    users, items = np.nonzero(matrix)
    known = together(users, items + 1, 9, max_items=6)
    linear = linear_matrix(known, 5.0)
    assert linear is not None
    expected = np.zeros((9, 9))
    expected[1:7, 1:7] = item_weights(matrix.T.astype(float) @ matrix, 5.0)
    assert_allclose(linear.toarray(), expected, atol=1e-6)
    monkeypatch.setattr(ease, "KEPT", 2)
    fewer = linear_matrix(known, 5.0)
    assert fewer is not None
    for full, kept in zip(expected, fewer.toarray(), strict=True):
        assert_allclose(kept[kept != 0], full[kept != 0], atol=1e-6)
        assert np.abs(kept[kept != 0]).sum() == pytest.approx(np.sort(np.abs(full))[-2:].sum(), abs=1e-5)


def test_nobody_acted_on_anything() -> None:
    assert linear_matrix(together(np.empty(0, int), np.empty(0, int), 3, 5), 1.0) is None
