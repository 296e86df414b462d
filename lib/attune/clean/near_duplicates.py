"""Reviews of one item that say nearly the same: MinHash finds candidates, exact Jaccard similarity decides.

A text is the set of its runs of three tokens; a token is a word, or one character where words are not spaced (Chinese,
Japanese, Thai). Of texts in order, one is a repeat if it is as similar as the threshold to an earlier one that is kept, so
that later texts never change what became of earlier ones. Broder, "On the resemblance and containment of documents"
(1997); banding as in Leskovec, Rajaraman, Ullman, "Mining of Massive Datasets", chapter 3.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

if TYPE_CHECKING:
    from pyspark.sql import Column

Hashes = npt.NDArray[np.uint64]

SHINGLE_TOKENS = 3
MIN_TOKENS = 10
"""Shorter texts ("very good, thank you") are alike by chance; they are repeats only where the same user repeats them."""
NUM_HASHES = 128
_MAX_MISSED = 1e-3
"""Share of the pairs just at the threshold that may be overlooked."""
_MAX_PER_BUCKET = 64
"""Kept texts of one item that one bucket remembers, so that a shared template cannot make the cost quadratic."""
_HASHES_AT_ONCE = 1 << 22

_TOKEN = re.compile(
    "[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]|[^\\W_\u0e00-\u0e7f\u3040-\u9fff]+"
)


def shingles(texts: Sequence[str]) -> list[Hashes]:
    """Distinct hashes of the runs of three tokens of each text, sorted; empty where it has fewer than ``MIN_TOKENS``."""
    found = [_TOKEN.findall(text.lower()) for text in texts]
    lengths = np.array([len(tokens) if len(tokens) >= MIN_TOKENS else 0 for tokens in found], dtype=np.int64)
    tokens = np.array([token for tokens in found if len(tokens) >= MIN_TOKENS for token in tokens], dtype=object)
    if tokens.size == 0:
        return [np.empty(0, np.uint64)] * len(found)
    hashed = pd.util.hash_array(tokens).astype(np.uint64)
    runs = _mixed(hashed[:-2] + _mixed(hashed[1:-1] + _mixed(hashed[2:])))
    ends = np.cumsum(lengths)
    return [
        np.unique(runs[end - length : end - SHINGLE_TOKENS + 1]) if length else np.empty(0, np.uint64)
        for end, length in zip(ends, lengths, strict=True)
    ]


def signatures(sets: Sequence[Hashes]) -> npt.NDArray[np.uint32]:
    """MinHash signatures (texts, NUM_HASHES) of non-empty sets.

    Each hash function is h(x) = (a x + b) >> 32 on 64 bits, a odd: Dietzfelbinger and others (1997).
    """
    signed = np.empty((len(sets), NUM_HASHES), np.uint32)
    sizes = np.array([len(s) for s in sets], dtype=np.int64)
    chunk_of = np.cumsum(sizes) * NUM_HASHES // _HASHES_AT_ONCE
    for chunk in np.unique(chunk_of):
        rows = np.flatnonzero(chunk_of == chunk)
        members = np.concatenate([sets[row] for row in rows])
        starts = np.cumsum(sizes[rows]) - sizes[rows]
        for column, (a, b) in enumerate(zip(_A, _B, strict=True)):
            signed[rows, column] = np.minimum.reduceat((members * a + b) >> np.uint64(32), starts).astype(np.uint32)
    return signed


def rows_per_band(similarity: float) -> int:
    """Largest number of signature rows per band that overlooks hardly a pair of just this similarity.

    >>> rows_per_band(0.8), rows_per_band(0.5)
    (5, 2)
    """
    return max(
        (r for r in range(1, 17) if (1 - similarity**r) ** (NUM_HASHES // r) <= _MAX_MISSED),
        default=1,
    )


def bands(signed: npt.NDArray[np.uint32], rows: int) -> Hashes:
    """One hash per text and band (texts, bands); equal in a band where all its rows are."""
    number = signed.shape[1] // rows
    grouped = signed[:, : number * rows].reshape(len(signed), number, rows).astype(np.uint64)
    keys = np.broadcast_to(np.arange(number, dtype=np.uint64), grouped.shape[:2]).copy()
    for row in range(rows):
        keys = _mixed(keys + grouped[:, :, row])
    return keys


def jaccard(a: Hashes, b: Hashes) -> float:
    """Shared members by all members of two sorted sets."""
    shared = np.intersect1d(a, b, assume_unique=True).size
    return shared / (a.size + b.size - shared)


@dataclass
class Kept:
    """Kept texts of one item so far, by bucket."""

    item: str | None = None
    sets: list[Hashes] = field(default_factory=list)
    buckets: dict[int, list[int]] = field(default_factory=dict)

    def repeats(self, members: Hashes, keys: Sequence[int], similarity: float) -> bool:
        """Whether a text is similar to a kept one; if not, it is kept."""
        candidates = {number for key in keys for number in self.buckets.get(key, ())}
        for number in candidates:
            # Jaccard similarity is at most the ratio of the sizes.
            small, large = sorted((self.sets[number].size, members.size))
            if small >= similarity * large and jaccard(self.sets[number], members) >= similarity:
                return True
        for key in keys:
            bucket = self.buckets.setdefault(key, [])
            if len(bucket) < _MAX_PER_BUCKET:
                bucket.append(len(self.sets))
        self.sets.append(members)
        return False


def find_repeats(items: Sequence[str], texts: Sequence[str | None], similarity: float, kept: Kept) -> list[bool]:
    """Which of some texts repeat an earlier kept one of the same item. The rows lie in order, those of an item together.

    Args:
        kept: what was kept of the last item of the rows before; changed to that of the last item here.
    """
    sets = shingles([text or "" for text in texts])
    judged = [row for row, members in enumerate(sets) if members.size]
    keys = bands(signatures([sets[row] for row in judged]), rows_per_band(similarity)).tolist() if judged else []
    result = [False] * len(sets)
    for row, row_keys in zip(judged, keys, strict=True):
        if items[row] != kept.item:
            kept.item = items[row]
            kept.sets.clear()
            kept.buckets.clear()
        result[row] = kept.repeats(sets[row], row_keys, similarity)
    return result


def repeats_in_order(similarity: float) -> "Callable[[Column, Column], Column]":
    """Spark function of item_id and text, over rows of which each partition holds whole items, sorted by item and order.

    A null text is no repeat and repeats nothing.
    """
    from pyspark.sql.pandas.functions import pandas_udf

    @pandas_udf("boolean")  # type: ignore[call-overload]
    def udf(batches: Iterator[tuple[pd.Series, pd.Series]]) -> Iterator[pd.Series]:
        kept = Kept()
        for items, texts in batches:
            told = texts.where(texts.notna(), None).tolist()
            yield pd.Series(find_repeats(items.tolist(), told, similarity, kept), dtype=bool)

    return udf.asNondeterministic()


def _mixed(hashed: Hashes) -> Hashes:
    """Spread hashes over all bits: the finaliser of SplitMix64."""
    mixed = hashed + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


_DICE = np.random.Generator(np.random.PCG64(20))
_A = _DICE.integers(0, 1 << 64, NUM_HASHES, dtype=np.uint64) | np.uint64(1)
_B = _DICE.integers(0, 1 << 64, NUM_HASHES, dtype=np.uint64)
