"""A linear blend: logistic regression over what several sources say of a candidate, for logs too small for trees."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attune.errors import InputError
from attune.recommend.booster import Groups
from attune.recommend.catalogue import Floats
from attune.recommend.retrieval import ranks_within

_RANK_OFFSET = 10
"""A rank counts as 1 / (10 + rank): the first places differ most, but none is everything."""

# Shape legend: M candidates, K features, S sources, B users, N items.


@dataclass(frozen=True)
class LinearBlend:
    """Log odds that a candidate is acted on: standardised features times weights. A feature that is not known counts as usual."""

    columns: tuple[str, ...]
    centre: NDArray[np.float64]  # [K]
    scale: NDArray[np.float64]  # [K]
    weights: NDArray[np.float64]  # [K]
    intercept: float

    def contributions(self, features: Floats) -> NDArray[np.float64]:
        """What each feature adds to the score [M, K]."""
        standard = (features - self.centre) / self.scale
        return np.where(np.isnan(standard), 0.0, standard) * self.weights

    def scores(self, features: Floats) -> NDArray[np.float64]:
        """Log odds [M]."""
        return np.asarray(self.contributions(features).sum(axis=1) + self.intercept)


def fit_linear(groups: Groups, columns: Sequence[str], strength: float) -> LinearBlend:
    """Fit to labelled candidates by penalised maximum likelihood.

    Args:
        strength: C of the penalty, its inverse: lower keeps weights nearer to zero.

    Raises InputError where all candidates have one label.
    """
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(groups.labels)) < 2:
        raise InputError("a blend learns from candidates that were acted on and others: there is only one kind")
    features = groups.features.astype(np.float64)
    centre, deviation = np.nanmean(features, axis=0), np.nanstd(features, axis=0)
    scale = np.where(deviation > 0, deviation, 1.0)
    standard = (features - centre) / scale
    fitted = LogisticRegression(C=strength, max_iter=1000).fit(
        np.where(np.isnan(standard), 0.0, standard), groups.labels
    )
    return LinearBlend(tuple(columns), centre, scale, fitted.coef_[0], float(fitted.intercept_[0]))


def source_features(users: NDArray[np.int64], scores: Floats, names: Sequence[str]) -> tuple[list[str], Floats]:
    """What sources say of candidates, so that users can be compared: names and values of the features [M, 3 S].

    Of each source its score, the same as deviations from the mean of the user's candidates, and 1 / (10 + rank) among them.

    Args:
        users: user of each candidate [M], in ascending order.
        scores: [M, S], NaN where a source says nothing.
    """
    starts = np.flatnonzero(np.r_[True, users[1:] != users[:-1]]) if len(users) else np.empty(0, np.int64)
    sizes = np.diff(np.r_[starts, len(users)])
    known = np.isfinite(scores)
    filled, count = np.where(known, scores, 0.0).astype(np.float64), np.maximum(_sums(known, starts), 1)
    mean = _sums(filled, starts) / count
    centred = np.where(known, scores - np.repeat(mean, sizes, axis=0), 0.0)
    deviation = np.sqrt(_sums(centred**2, starts) / count)
    spread = np.repeat(deviation, sizes, axis=0)
    standard = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0)
    ranks = ranks_within(users, np.where(known, scores, -np.inf))
    parts = (scores, np.where(known, standard, np.nan), 1 / (_RANK_OFFSET + ranks))
    columns = [f"{name}_{kind}" for kind in ("score", "deviation", "place") for name in names]
    return columns, np.concatenate(parts, axis=1).astype(np.float32)


def _sums(values: NDArray, starts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sums over each user's candidates, by column."""
    if not len(starts):
        return np.zeros((0, values.shape[1]))
    return np.asarray(np.add.reduceat(values, starts, axis=0, dtype=np.float64))
