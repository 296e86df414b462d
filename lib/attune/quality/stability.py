"""How far a distribution has moved: bins of the published values, and the population stability index over them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

_EMPTY = 1e-4
"""Share that a bin without rows counts as; without it one new value would make the index infinite."""


def psi(expected: Sequence[float], actual: Sequence[float]) -> float:
    """Population stability index of two histograms over the same bins; 0 where all shares are equal.

    The sum of (a - e) * ln(a / e) over the shares of the bins (Siddiqi, Credit Risk Scorecards, 2006): the two
    Kullback-Leibler divergences added. It is symmetric, and of counts only their proportions matter.

    >>> psi([50, 50], [500, 500])
    0.0
    >>> round(psi([50, 50], [80, 20]), 3)
    0.416
    """
    assert len(expected) == len(actual)
    assert sum(expected) > 0
    assert sum(actual) > 0
    e = np.maximum(np.asarray(expected, float) / math.fsum(expected), _EMPTY)
    a = np.maximum(np.asarray(actual, float) / math.fsum(actual), _EMPTY)
    return float(np.sum((a - e) * np.log(a / e)))


@dataclass(frozen=True)
class Bins:
    """Bins of one column, and how many published rows fall into each.

    Of numbers: up to and including the first edge, from there to the next, ..., above the last edge (NaN too), null.
    Of categories: one each, all others, null.
    """

    edges: tuple[float, ...]
    categories: tuple[str, ...]
    expected: tuple[float, ...]

    @property
    def rows(self) -> float:
        """Published rows."""
        return math.fsum(self.expected)

    def counts(self, found: Sequence[int], filled: int, rows: int) -> list[int]:
        """Rows in each bin.

        Args:
            found: of numbers, how many lie at or below each edge; of categories, how many are equal to each.
            filled: rows with a value.
            rows: all rows.
        """
        steps = [b - a for a, b in zip([0, *found[:-1]], found, strict=True)] if self.edges else list(found)
        return [*steps, filled - sum(steps), rows - filled]


def number_bins(points: Sequence[float], low: float, high: float, filled: int, rows: int, bins: int) -> Bins:
    """Quantile bins of a number, with one more below its least and one above its greatest value.

    Equal quantiles, of a value that many rows share, make one bin.

    Args:
        points: quantiles at evenly spaced ranks, so that each stands for the same number of rows; ascending.
        low, high: least and greatest value.
        filled: rows with a value.
        rows: all rows.
    """
    ranks = [len(points) * i // bins - 1 for i in range(1, bins)]
    wanted = [np.nextafter(low, -math.inf), *(points[rank] for rank in ranks if rank >= 0), high]
    edges = sorted({float(edge) for edge in wanted if not math.isnan(edge)})
    # Searched from the left: a value equal to an edge belongs to the bin that the edge ends. NaN sorts last.
    of_point = np.searchsorted(edges, points, side="left")
    expected = np.bincount(of_point, minlength=len(edges) + 1) * filled / len(points)
    return Bins(tuple(edges), (), (*map(float, expected), float(rows - filled)))


def category_bins(frequent: Mapping[str, int], filled: int, rows: int) -> Bins:
    """One bin for each frequent value, one for all others, one for null."""
    others = filled - sum(frequent.values())
    return Bins((), tuple(frequent), (*map(float, frequent.values()), float(others), float(rows - filled)))
