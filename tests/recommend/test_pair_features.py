"""The ranking model must see each number under the right name, and a hole where nothing is known."""

import numpy as np
import pytest

from attune.recommend.pair_features import Matrix, pair_features
from attune.recommend.retrieval import retrieve
from recommend.tiny import BULB, LAMP, LAMP_BUYER, MUG, NOVELTY, STRANGER, batch, catalogue, quotas

CATALOGUE = catalogue()
USERS = batch(LAMP_BUYER | {"user_visits": 3.0}, STRANGER | {"user_visits": np.nan})


@pytest.fixture(name="feature")
def _feature():  # type: ignore[no-untyped-def]
    candidates = retrieve(CATALOGUE, USERS, quotas(4), True)
    matrix = pair_features(CATALOGUE, USERS, candidates)

    def value(name: str, user: int, item: int) -> float:
        row = np.flatnonzero((candidates.users == user) & (candidates.items == item))[0]
        return float(matrix.values[row, matrix.columns.index(name)])

    return value


def test_sources_item_and_user(feature) -> None:  # type: ignore[no-untyped-def]
    assert feature("covisit_score", 0, BULB) == pytest.approx(4)
    assert feature("covisit_mean", 0, BULB) == pytest.approx(0.8)
    assert feature("popular_rank", 0, MUG) == 1
    assert feature("item_satisfaction", 0, LAMP) == pytest.approx(0.9)
    assert feature("item_price", 0, NOVELTY) == 50
    assert feature("user_visits", 0, MUG) == 3


def test_how_user_and_item_fit(feature) -> None:  # type: ignore[no-untyped-def]
    assert feature("pair_weight", 0, LAMP) == 5
    assert feature("pair_days_since", 0, LAMP) == 2
    assert feature("pair_category_share", 0, BULB) == 1
    assert feature("pair_category_share", 0, MUG) == 0
    assert feature("pair_category_days_since", 0, BULB) == 2
    assert feature("pair_price_ratio", 0, BULB) == pytest.approx(np.log(5 / 40))


@pytest.mark.parametrize(
    "name",
    ["pair_weight", "pair_days_since", "pair_price_ratio", "pair_category_days_since", "als_score", "user_visits"],
)
def test_unknown_is_nan_and_not_zero(feature, name: str) -> None:  # type: ignore[no-untyped-def]
    assert np.isnan(feature(name, 1, MUG))


def test_model_gets_its_columns_in_its_order() -> None:
    matrix = Matrix(("a", "b"), np.array([[1, 2]], np.float32))
    np.testing.assert_array_equal(matrix.select(["b", "absent", "a"]), [[2, np.nan, 1]])
