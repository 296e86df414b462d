"""Drift is found where shares move, and only there; bins take every value, also those never seen before."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import entropy

from attune.quality.stability import Bins, category_bins, number_bins, psi

_counts = st.integers(2, 12).flatmap(
    lambda n: st.tuples(*(arrays.arrays(float, n, elements=st.integers(1, 1000)) for _ in range(2)))
)
_numbers = st.lists(st.floats(-1e9, 1e9) | st.integers(0, 5).map(float), min_size=1, max_size=300)


def bins_of(values: list[float], rows: int | None = None, bins: int = 10) -> Bins:
    """Bins of a whole column, its quantiles taken without approximation."""
    points = np.quantile(values, (np.arange(1000) + 0.5) / 1000, method="inverted_cdf")
    return number_bins([*map(float, points)], min(values), max(values), len(values), rows or len(values), bins)


def counted(bins: Bins, values: list[float | None]) -> list[int]:
    filled = [value for value in values if value is not None]
    found = [sum(value <= edge for value in filled) for edge in bins.edges]
    return bins.counts(found, len(filled), len(values))


@given(_counts)
def test_psi_is_the_sum_of_both_divergences(counts: tuple[np.ndarray, np.ndarray]) -> None:
    expected, actual = counts
    if min(expected.min() / expected.sum(), actual.min() / actual.sum()) < 1e-4:
        return
    oracle = entropy(actual, expected) + entropy(expected, actual)
    assert psi([*expected], [*actual]) == pytest.approx(oracle, abs=1e-12)
    assert psi([*actual], [*expected]) == pytest.approx(oracle, abs=1e-12)


@given(_counts, st.integers(2, 1000))
def test_psi_looks_at_shares_and_not_at_sizes(counts: tuple[np.ndarray, np.ndarray], times: int) -> None:
    expected, actual = counts
    assert psi([*expected], [*(actual * times)]) == pytest.approx(psi([*expected], [*actual]), abs=1e-12)
    assert psi([*expected], [*(expected * times)]) == pytest.approx(0, abs=1e-12)


def test_psi_of_a_new_value_is_finite_and_large() -> None:
    assert psi([100, 0], [0, 100]) == pytest.approx(2 * 0.9999 * math.log(1 / 1e-4))


@given(_numbers, st.integers(2, 20))
def test_a_column_does_not_drift_from_itself(values: list[float], bins: int) -> None:
    of_column = bins_of(values, bins=bins)
    assert sum(of_column.expected) == pytest.approx(len(values))
    assert psi(of_column.expected, counted(of_column, [*values])) < 0.02


@given(_numbers, st.lists(st.none() | st.floats(allow_nan=True), min_size=1, max_size=50))
def test_every_row_falls_into_one_bin(values: list[float], later: list[float | None]) -> None:
    bins = bins_of(values)
    counts = counted(bins, later)
    assert len(counts) == len(bins.expected)
    assert min(counts) >= 0
    assert sum(counts) == len(later)


def test_quantile_bins_hold_equal_shares() -> None:
    bins = bins_of([*map(float, range(1, 1001))])
    assert bins.edges[1:] == tuple(float(100 * i) for i in range(1, 11))
    assert bins.expected == (0, *[100] * 10, 0, 0)


def test_a_constant_that_changes_drifts_up_and_down() -> None:
    bins = bins_of([5.0] * 100)
    assert psi(bins.expected, counted(bins, [5.0] * 7)) == 0
    for other in (4.0, 6.0, math.nan, None):
        assert psi(bins.expected, counted(bins, [other] * 7)) > 10


def test_values_that_vanish_drift() -> None:
    bins = bins_of([float(i % 50) for i in range(1000)], rows=1000)
    half: list[float | None] = [float(i % 50) if i % 2 else None for i in range(1000)]
    assert psi(bins.expected, counted(bins, half)) > 0.25


def test_a_category_not_seen_before_is_counted_with_the_rare_ones() -> None:
    bins = category_bins({"en": 60, "zh": 30}, filled=95, rows=100)
    assert bins.expected == (60, 30, 5, 5)
    assert bins.counts([40, 10], filled=90, rows=100) == [40, 10, 40, 10]
