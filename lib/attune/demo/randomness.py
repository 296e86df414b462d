"""Random numbers that are functions of their keys, so that rows do not depend on partitions, cores or order."""

import zlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MASK = (1 << 64) - 1

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
T = TypeVar("T")


class Randomness:
    """Counter-based random numbers of one seed: the same stream and keys give the same number, wherever it is drawn.

    Keys are integers or integer arrays that broadcast; the result has their common shape. The mixing function is
    SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014), chained over the keys.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def bits(self, stream: str, *keys: ArrayLike) -> NDArray[np.uint64]:
        """64 random bits."""
        start = (self.seed * 0x9E3779B97F4A7C15 + zlib.crc32(stream.encode())) & _MASK
        state = _mix(np.array([start], dtype=np.uint64))
        for key in keys:
            number = np.atleast_1d(key).astype(np.int64).view(np.uint64)
            state = _mix(state + (number + np.uint64(1)) * _GOLDEN)
        return state

    def uniform(self, stream: str, *keys: ArrayLike) -> Floats:
        """Uniform in the open interval (0, 1)."""
        return ((self.bits(stream, *keys) >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53

    def normal(self, stream: str, *keys: ArrayLike) -> Floats:
        """Normal with mean 0 and variance 1."""
        drawn: Floats = ndtri(self.uniform(stream, *keys))
        return drawn

    def below(self, limit: ArrayLike, stream: str, *keys: ArrayLike) -> Ints:
        """Integers from 0 to ``limit - 1``."""
        return np.floor(self.uniform(stream, *keys) * np.asarray(limit)).astype(np.int64)


class Dice:
    """Draws of one row of text, one after the other, from the 64 bits of its key."""

    def __init__(self, key: int) -> None:
        self._state = key & _MASK

    def uniform(self) -> float:
        """Uniform in [0, 1)."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        z = self._state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return float((z ^ (z >> 31)) >> 11) * 2.0**-53

    def choose(self, options: Sequence[T]) -> T:
        """One of the options."""
        return options[int(self.uniform() * len(options))]

    def sample(self, options: Sequence[T], count: int) -> list[T]:
        """So many different options, or all of them, in random order."""
        left = list(options)
        return [left.pop(int(self.uniform() * len(left))) for _ in range(min(count, len(left)))]


def choose_rows(cumulative: Floats, uniform: Floats) -> Ints:
    """For each row of cumulative weights (n, k), the column that its uniform number falls in."""
    chosen: Ints = (uniform[:, None] * cumulative[:, -1:] >= cumulative).sum(axis=1)
    return np.minimum(chosen, cumulative.shape[1] - 1)


def softmax_cumulative(logits: Floats) -> Floats:
    """Cumulative weights (n, k) of the softmax of each row; not normalised."""
    return np.cumsum(np.exp(logits - logits.max(axis=1, keepdims=True)), axis=1)


def sigmoid(x: Floats) -> Floats:
    """Logistic function."""
    return 1.0 / (1.0 + np.exp(-x))


def _mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = z + _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
