"""The stored cross-encoder of item pairs, carried by the catalogue: how likely a user is to take one item after another."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logit

from attune.models.networks import TOKENIZER
from attune.models.tokens import text_encoder
from attune.scoring.engine import load_scorer
from attune.scoring.plan import Scoring
from attune.scoring.tokens import token_bytes

MAX_KEPT_PAIRS = 200_000
"""Pairs whose log odds a worker keeps: about 30 MB."""
_MIX = np.uint64(0x9E3779B97F4A7C15)  # odd, so that a pair and its reverse get different keys

_LEAST = 1e-7
"""Probability below which the log odds are no more than this."""

# Shape legend: N items of the catalogue, M pairs.


@dataclass(frozen=True)
class CrossMatchScores:
    """A stored model and the texts of the catalogue's items; the weights are read where they are used, once a worker."""

    how: Scoring
    texts: NDArray[np.object_]  # [N]; empty where an item has none
    keys: NDArray[np.uint64]  # [N]; hash of the text

    @classmethod
    def of(cls, how: Scoring, texts: Sequence[str]) -> "CrossMatchScores":
        """A model, whose folder has been verified, for the texts of a catalogue, in its order."""
        found = np.array(texts, object)
        return cls(how, found, pd.util.hash_array(found, categorize=False))

    def log_odds(self, firsts: NDArray[np.int64], seconds: NDArray[np.int64]) -> NDArray[np.float64]:
        """Log odds that a user takes the second item after the first [M]; NaN where either has no text that can be read.

        Each distinct pair is read once, and remembered by the worker, by its texts.
        """
        found = np.full(len(firsts), np.nan)
        readable = np.flatnonzero((self.texts[firsts] != "") & (self.texts[seconds] != ""))
        if not len(readable):
            return found
        firsts, seconds = firsts[readable], seconds[readable]
        keys, place, number = np.unique(
            self.keys[firsts] * _MIX + self.keys[seconds], return_index=True, return_inverse=True
        )
        reader = _reader(self.how)
        values = reader.remembered(keys.tolist())
        unknown = np.flatnonzero([value is None for value in values])
        read = reader.read(self.texts[firsts[place[unknown]]].tolist(), self.texts[seconds[place[unknown]]].tolist())
        reader.remember(keys[unknown].tolist(), read.tolist())
        of_pair = np.array(values, np.float64)  # what is not known yet is NaN
        of_pair[unknown] = read
        found[readable] = of_pair[number]
        return found


class _Reader:
    """The network of a stored model, and the pairs that it has read lately."""

    def __init__(self, how: Scoring) -> None:
        self._scorer = load_scorer(how)
        self._encoder = text_encoder(str(Path(how.model_folder) / TOKENIZER), how.max_tokens)
        self._known: dict[int, float] = {}

    def remembered(self, keys: Iterable[int]) -> list[float | None]:
        """Log odds by key, None where the pair was not read or has been forgotten."""
        return [self._known.get(key) for key in keys]

    def remember(self, keys: Iterable[int], values: Iterable[float]) -> None:
        """Keep log odds by key; of too many the oldest are forgotten."""
        self._known.update(zip(keys, values, strict=True))
        for key in list(islice(self._known, max(0, len(self._known) - MAX_KEPT_PAIRS))):
            del self._known[key]

    def read(self, firsts: Sequence[str], seconds: Sequence[str]) -> NDArray[np.float64]:
        """Log odds of pairs of texts [M]; NaN where the tokenizer knows nothing in one."""
        tokens = token_bytes(self._encoder, pd.Series(firsts, dtype=object), pd.Series(seconds, dtype=object))
        probabilities = self._scorer.score(tokens).values[:, 0].astype(np.float64)
        return logit(np.clip(probabilities, _LEAST, 1 - _LEAST))


@lru_cache(maxsize=1)
def _reader(how: Scoring) -> _Reader:
    """Reader of a stored model, after its files have been verified."""
    return _Reader(how)
