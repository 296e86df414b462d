"""Measures of ranked lists against the relevant items, one value a user.

Shapes: U users, L length of the lists. ``hits`` [U, L] is 1 where the item at that place is relevant, best place first;
``num_relevant`` [U] counts all relevant items of the user, in the list or not, and must be at least 1. Items count as
relevant or not, without grades.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def discounts(k: int) -> Values:
    """What each of the first k places counts: 1 / log2(place + 1), the share of users who look so far down, in a rough model.

    >>> discounts(3).round(4)
    array([1.    , 0.6309, 0.5   ])
    """
    return np.asarray(1 / np.log2(np.arange(2, k + 2)))


def ndcg(hits: NDArray, num_relevant: NDArray, k: int) -> Values:
    """Discounted gain of the first k places over that of an ideal list (Jarvelin and Kekalainen 2002).

    >>> ndcg(np.array([[1, 0, 1]]), np.array([2]), 3).round(4)
    array([0.9197])
    """
    counts = discounts(k)
    ideal = np.cumsum(counts)[np.minimum(num_relevant, k) - 1]
    first = _first(hits, k)
    return first @ counts[: first.shape[1]] / ideal


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


def reciprocal_rank(hits: NDArray, num_relevant: NDArray, k: int) -> Values:
    """One over the place of the first relevant item; 0 where none stands in the first k places. Its mean is MRR at k.

    >>> reciprocal_rank(np.array([[0, 0, 1, 1]]), np.array([2]), 4).round(4)
    array([0.3333])
    """
    first = _first(hits, k) > 0
    return np.where(first.any(axis=1), 1 / (1 + first.argmax(axis=1)), 0.0)


METRICS: dict[str, Callable[[NDArray, NDArray, int], Values]] = {
    "ndcg": ndcg,
    "recall": recall,
    "precision": precision,
    "map": average_precision,
    "mrr": reciprocal_rank,
}


def coverage(items: NDArray, num_items: int, k: int) -> float:
    """Share of the catalogue that stands in the first k places of any list.

    Args:
        items: index of the item at each place [U, L]; -1 where a list is shorter.
    """
    shown = np.unique(items[:, :k])
    return float((shown >= 0).sum() / num_items)


def auc_by_group(groups: NDArray, scores: NDArray, labels: NDArray) -> float:
    """Mean over groups, such as users, of the share of (label 1, label 0) pairs in order; ties count half (GAUC).

    Weighted by the rows of a group (Zhou et al. 2018, doi:10.1145/3219819.3219823). Groups of one label tell nothing and are
    left out; nan where none is left. All arguments [M].

    >>> auc_by_group(np.array([1, 1, 2, 2]), np.array([0.1, 0.9, 0.5, 0.5]), np.array([0, 1, 0, 1]))
    0.75
    """
    from scipy.stats import rankdata

    total, weight = 0.0, 0
    _, codes = np.unique(groups, return_inverse=True)
    order = np.argsort(codes, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(codes[order])) + 1):
        positive = int(labels[rows].sum())
        negative = len(rows) - positive
        if positive and negative:
            above = rankdata(scores[rows])[labels[rows] > 0].sum() - positive * (positive + 1) / 2
            total += len(rows) * above / (positive * negative)
            weight += len(rows)
    return total / weight if weight else float("nan")


def novelty(items: NDArray, popularity: NDArray, k: int) -> Values:
    """Mean surprise of the first k items of each list, in bits: -log2 of the share of all actions that go to the item.

    (Zhou et al. 2010, doi:10.1073/pnas.1000488107.) An item without actions counts as one with a single action; nan for an
    empty list.

    Args:
        items: index of the item at each place [U, L]; -1 where a list is shorter.
        popularity: actions on each item [N].
    """
    share = np.maximum(popularity, 1) / max(float(np.sum(popularity)), 1.0)
    return _mean_of_items(-np.log2(share), items[:, :k])


def exposure(items: NDArray, in_group: NDArray, k: int) -> Values:
    """Share of the exposure of each list's first k places that goes to a group of items (Singh and Joachims 2018).

    (doi:10.1145/3219819.3220088.) Exposure of a place is its discount in nDCG; nan for an empty list.

    Args:
        items: index of the item at each place [U, L]; -1 where a list is shorter.
        in_group: whether each item belongs to the group [N].

    >>> exposure(np.array([[1, 0, -1]]), np.array([True, False]), 3).round(4)
    array([0.3869])
    """
    first = items[:, :k]
    counts = (first >= 0) * discounts(first.shape[1])
    total = counts.sum(axis=1)
    own = (counts * in_group[np.maximum(first, 0)]).sum(axis=1)
    return np.where(total > 0, np.divide(own, total, out=np.zeros(len(total)), where=total > 0), np.nan)


def popularity_of_lists(items: NDArray, popularity: NDArray, k: int) -> Values:
    """Mean number of actions on the first k items of each list (Yin et al. 2012, doi:10.14778/2311906.2311916).

    Against the mean over what users took themselves it tells how far lists lean to what is popular. Arguments as of ``novelty``.
    """
    return _mean_of_items(np.asarray(popularity, np.float64), items[:, :k])


def intra_list_diversity(items: NDArray, vectors: NDArray, k: int) -> Values:
    """Mean cosine distance between two of the first k items of each list (Ziegler et al. 2005, doi:10.1145/1060745.1060754).

    Items without a vector are left out; nan for lists with less than two others.

    Args:
        items: index of the item at each place [U, L]; -1 where a list is shorter.
        vectors: [N, D] of length 1 or, where a part of it is only expected, less; zero where an item has none.
    """
    chosen = items[:, :k]
    known = (chosen >= 0) & vectors.any(axis=1)[np.maximum(chosen, 0)]
    held = np.where(known[:, :, None], vectors[np.maximum(chosen, 0)], 0.0)
    num, total = known.sum(axis=1), held.sum(axis=1)
    # Cosines of all pairs, each with itself included, add up to the square of the sum of the vectors.
    alike = (total**2).sum(axis=1) - (held**2).sum(axis=(1, 2))
    pairs = num * (num - 1)
    return np.where(pairs > 0, 1 - np.divide(alike, pairs, out=np.zeros(len(num)), where=pairs > 0), np.nan)


def _mean_of_items(values: Values, items: NDArray) -> Values:
    there = items >= 0
    total = np.where(there, values[np.maximum(items, 0)], 0.0).sum(axis=1)
    num = there.sum(axis=1)
    return np.where(num > 0, np.divide(total, num, out=np.zeros(len(num)), where=num > 0), np.nan)


def _first(hits: NDArray, k: int) -> Values:
    return np.asarray(hits, np.float64)[:, :k]
