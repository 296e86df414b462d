"""Intervals of means over users, by resampling the users."""

from collections.abc import Sequence
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
    means = _resampled(values, num_samples, np.random.default_rng(seed))
    return _intervals(values.mean(axis=0), means)


def bootstrap_known_means(columns: Sequence[NDArray], num_samples: int, seed: int) -> list[tuple[Interval, int] | None]:
    """``bootstrap_means`` of each column [U] over the users whose value is a number, and how many; None where nobody's is.

    Columns that are known of the same users are resampled together.
    """
    found: list[tuple[Interval, int] | None] = [None] * len(columns)
    alike: dict[bytes, list[int]] = {}
    for place, column in enumerate(columns):
        alike.setdefault(np.isfinite(column).tobytes(), []).append(place)
    for places in alike.values():
        known = np.isfinite(columns[places[0]])
        if known.any():
            values = np.stack([columns[place][known] for place in places], axis=1)
            for place, interval in zip(places, bootstrap_means(values, num_samples, seed), strict=True):
                found[place] = interval, int(known.sum())
    return found


def bootstrap_gaps(values: NDArray, groups: NDArray, num_samples: int, seed: int) -> list[Interval]:
    """Mean of the best group less that of the worst, of each column, with its percentile bootstrap interval.

    Users are resampled within their group. The interval is that of the difference of the two groups that are best and worst in
    the data; since they were picked for that, a gap lies above zero even where groups differ by chance: compare
    ``gaps_by_chance``. To pick them anew in each sample would add to the gap what chance adds, and leave it below its interval.

    Args:
        values: one row a user, one column a measure [U, M].
        groups: number of each user's group from 0 [U]; none may be empty.
    """
    generator = np.random.default_rng(seed)
    parts = [np.asarray(values[groups == group], np.float64) for group in range(int(groups.max()) + 1)]
    centres = np.stack([part.mean(axis=0) for part in parts])
    samples = np.stack([_resampled(part, num_samples, generator) for part in parts])
    best, worst = centres.argmax(axis=0)[None], centres.argmin(axis=0)[None]
    ends = [np.take_along_axis(samples, end[None], axis=0)[0] for end in (best, worst)]
    return _intervals(np.ptp(centres, axis=0), ends[0] - ends[1])


def gaps_by_chance(values: NDArray, groups: NDArray, num_samples: int, seed: int) -> list[Interval]:
    """Gaps as of ``bootstrap_gaps`` where users are dealt to groups of the same sizes by lot: mean, and where 95% of them lie.

    A gap above the interval is no accident (permutation test; Efron and Tibshirani 1993, chapter 15). Arguments as there.
    """
    generator = np.random.default_rng(seed)
    values, sizes = np.asarray(values, np.float64), np.bincount(groups)
    starts = np.cumsum(sizes) - sizes
    gaps = np.empty((num_samples, values.shape[1]))
    for sample in range(num_samples):
        dealt = values[generator.permutation(len(values))]
        gaps[sample] = np.ptp(np.add.reduceat(dealt, starts) / sizes[:, None], axis=0)
    return _intervals(gaps.mean(axis=0), gaps)


def _resampled(values: NDArray, num_samples: int, generator: np.random.Generator) -> NDArray:
    """Means of the columns of so many samples of users [S, M]; exactly the mean where all users are alike."""
    num_users, means = len(values), []
    centre = values.mean(axis=0)
    from_centre = np.where(np.ptp(values, axis=0) > 0, values - centre, 0.0)
    per_block = max(1, _BLOCK // num_users)
    for start in range(0, num_samples, per_block):
        size = min(per_block, num_samples - start)
        counts = generator.multinomial(num_users, np.full(num_users, 1 / num_users), size=size)
        means.append(centre + counts @ from_centre / num_users)
    return np.concatenate(means)


def _intervals(centre: NDArray, samples: NDArray) -> list[Interval]:
    tail = (1 - _LEVEL) / 2
    low, high = np.quantile(samples, [tail, 1 - tail], axis=0)
    return [Interval(*map(float, ends)) for ends in zip(centre, low, high, strict=True)]
