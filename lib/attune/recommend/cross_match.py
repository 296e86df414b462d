"""The stored cross-encoder of item pairs, carried by the catalogue: how likely a user is to take one item after another."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

MAX_KEPT_PAIRS = 200_000
"""Pairs whose log odds a worker keeps: about 30 MB."""
_MIX = np.uint64(0x9E3779B97F4A7C15)  # odd, so that a pair and its reverse get different keys

# Shape legend: N items of the catalogue, M pairs.


@dataclass(frozen=True)
class CrossMatchScores:
    """A stored model and the texts of the catalogue's items; the weights are read where they are used, once a worker."""

    folder: str
    texts: NDArray[np.object_]  # [N]; empty where an item has none
    keys: NDArray[np.uint64]  # [N]; hash of the text
    tokens_per_batch: int  # padding included
    precision: str  # float32, bfloat16 or auto

    @classmethod
    def of(cls, folder: Path, texts: Sequence[str], tokens_per_batch: int, precision: str) -> "CrossMatchScores":
        """The model of a verified folder for the texts of a catalogue, in its order."""
        found = np.array(texts, object)
        return cls(str(folder), found, pd.util.hash_array(found, categorize=False), tokens_per_batch, precision)

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
        reader = _reader(self.folder, self.precision)
        values = reader.remembered(keys.tolist())
        unknown = np.flatnonzero([value is None for value in values])
        read = reader.read(
            self.texts[firsts[place[unknown]]].tolist(),
            self.texts[seconds[place[unknown]]].tolist(),
            self.tokens_per_batch,
        )
        reader.remember(keys[unknown].tolist(), read.tolist())
        of_pair = np.array(values, np.float64)  # what is not known yet is NaN
        of_pair[unknown] = read
        found[readable] = of_pair[number]
        return found


class _Reader:
    """The network of a stored model, and the pairs that it has read lately."""

    def __init__(self, folder: str, precision: str) -> None:
        import torch
        from pyspark import TaskContext

        from attune.models.networks import TOKENIZER, describe_network, read_network
        from attune.models.pair_scorer import PairScorer
        from attune.models.precision import use_bfloat16
        from attune.models.store import verify
        from attune.models.tokens import text_encoder

        context = TaskContext.get()
        if context is not None:
            torch.set_num_threads(context.cpus())
        verify(folder)
        network = read_network(folder)
        assert isinstance(network, PairScorer)
        self._network = network
        self._encoder = text_encoder(str(Path(folder) / TOKENIZER), int(describe_network(folder)["max_tokens"]))
        self._bfloat16 = use_bfloat16(precision, torch.device("cpu"))
        self._known: dict[int, float] = {}

    def remembered(self, keys: Iterable[int]) -> list[float | None]:
        """Log odds by key, None where the pair was not read or has been forgotten."""
        return [self._known.get(key) for key in keys]

    def remember(self, keys: Iterable[int], values: Iterable[float]) -> None:
        """Keep log odds by key; of too many the oldest are forgotten."""
        self._known.update(zip(keys, values, strict=True))
        for key in list(islice(self._known, max(0, len(self._known) - MAX_KEPT_PAIRS))):
            del self._known[key]

    def read(self, firsts: list[str], seconds: list[str], tokens_per_batch: int) -> NDArray[np.float64]:
        """Log odds of pairs of texts [M], in batches of similar length; NaN where the tokenizer knows nothing in one."""
        import torch

        from attune.models.batches import batches_by_length
        from attune.models.precision import autocast
        from attune.models.tokens import Ragged

        tokens = Ragged.of(self._encoder.encode_pairs(firsts, seconds) if firsts else [])
        found = np.full(len(firsts), np.nan)
        scorable = np.flatnonzero(tokens.lengths)
        with torch.inference_mode(), autocast(torch.device("cpu"), self._bfloat16):
            for batch in batches_by_length(tokens.lengths[scorable], tokens_per_batch):
                rows = scorable[batch]
                found[rows] = self._network(*tokens.padded(rows, self._network.pad_id)).numpy()
        return found


@lru_cache(maxsize=1)
def _reader(folder: str, precision: str) -> _Reader:
    """Reader of a stored model, after its files have been verified."""
    return _Reader(folder, precision)
