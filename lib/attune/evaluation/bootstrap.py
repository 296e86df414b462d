"""Intervals of means over users, by resampling the users."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_LEVEL = 0.95
_BLOCK = 2_000_000


@dataclass(frozen=True)
class Interval:
    """A mean and the ends of its 95% interval."""

    value: float
    low: float
    high: float


def bootstrap_means(values: NDArray, num_samples: int, seed: int) -> list[Interval]:
    """Mean of each column over users with its percentile bootstrap interval (Efron and Tibshirani 1993, chapter 13).

    All columns are resampled together, so that a column of differences is a paired comparison. Deterministic by seed.

    Args:
        values: one row a user, one column a measure [U, M]; U at least 1.
    """
    values = np.asarray(values, np.float64)
    num_users = len(values)
    generator = np.random.default_rng(seed)
    means = []
    per_block = max(1, _BLOCK // num_users)
    for start in range(0, num_samples, per_block):
        size = min(per_block, num_samples - start)
        counts = generator.multinomial(num_users, np.full(num_users, 1 / num_users), size=size)
        means.append(counts @ values / num_users)
    tail = (1 - _LEVEL) / 2
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail], axis=0)
    centre = values.mean(axis=0)
    return [Interval(*map(float, ends)) for ends in zip(centre, low, high, strict=True)]
