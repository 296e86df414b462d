"""Measures of ranked lists against the relevant items, one value a user.

Shapes: U users, L length of the lists. ``hits`` [U, L] is 1 where the item at that place is relevant, best place first;
``num_relevant`` [U] counts all relevant items of the user, in the list or not, and must be at least 1. Items count as
relevant or not, without grades.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def ndcg(hits: NDArray, num_relevant: NDArray, k: int) -> Values:
    """Discounted gain of the first k places over that of an ideal list (Jarvelin and Kekalainen 2002).

    >>> ndcg(np.array([[1, 0, 1]]), np.array([2]), 3).round(4)
    array([0.9197])
    """
    discounts = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(discounts)[np.minimum(num_relevant, k) - 1]
    first = _first(hits, k)
    return first @ discounts[: first.shape[1]] / ideal


def recall(hits: NDArray, num_relevant: NDArray, k: int) -> Values:
    """Share of the relevant items that stand in the first k places."""
    return _first(hits, k).sum(axis=1) / num_relevant


def precision(hits: NDArray, num_relevant: NDArray, k: int) -> Values:
    """Share of the first k places that hold a relevant item; a shorter list counts as filled with irrelevant ones."""
    return _first(hits, k).sum(axis=1) / k


def average_precision(hits: NDArray, num_relevant: NDArray, k: int) -> Values:
    """Mean of the precision at each relevant place among the first k, over min(k, number of relevant items).

    Its mean over users is MAP at k.

    >>> average_precision(np.array([[1, 0, 1]]), np.array([2]), 3).round(4)
    array([0.8333])
    """
    first = _first(hits, k)
    at_place = np.cumsum(first, axis=1) / np.arange(1, first.shape[1] + 1)
    return (at_place * first).sum(axis=1) / np.minimum(num_relevant, k)


METRICS: dict[str, Callable[[NDArray, NDArray, int], Values]] = {
    "ndcg": ndcg,
    "recall": recall,
    "precision": precision,
    "map": average_precision,
}


def coverage(items: NDArray, num_items: int, k: int) -> float:
    """Share of the catalogue that stands in the first k places of any list.

    Args:
        items: index of the item at each place [U, L]; -1 where a list is shorter.
    """
    shown = np.unique(items[:, :k])
    return float((shown >= 0).sum() / num_items)


def _first(hits: NDArray, k: int) -> Values:
    return np.asarray(hits, np.float64)[:, :k]
