"""Texts to token ids, the same way for training and scoring; and ids to padded batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_CHARS_PER_TOKEN = 40
"""Longer texts are cut before they are tokenised; a word beyond 100 characters is unknown to WordPiece anyway."""


class TextEncoder:
    """Tokenizer with a length limit. A longer text keeps its beginning and its end, where reviews give their verdict."""

    def __init__(self, tokenizer: "Tokenizer", max_tokens: int) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self.max_tokens = max_tokens
        bare = tokenizer.encode("a", add_special_tokens=False).ids
        full = tokenizer.encode("a").ids
        start = next((i for i in range(len(full)) if full[i : i + len(bare)] == bare), 0)
        self._prefix, self._suffix = full[:start], full[start + len(bare) :]
        pair = tokenizer.encode("a", "a").ids
        self._between = pair[len(self._prefix) + len(bare) : len(pair) - len(self._suffix) - len(bare)]
        self._unknown = {i for t in ("[UNK]", "<unk>") if (i := tokenizer.token_to_id(t)) is not None}

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Token ids (int32) of each text, special tokens included, at most ``max_tokens``.

        A text in which the tokenizer knows nothing becomes an empty array.
        """
        room = self.max_tokens - len(self._prefix) - len(self._suffix)
        return [
            np.empty(0, np.int32) if self._unknown.issuperset(ids)
            else np.array(self._prefix + _cut(ids, room) + self._suffix, np.int32)
            for ids in self._bare(texts)
        ]  # fmt: skip

    def encode_pairs(self, firsts: Sequence[str], seconds: Sequence[str]) -> list[np.ndarray]:
        """Token ids (int32) of two texts in one sequence, ``[CLS] a [SEP] b [SEP]``, at most ``max_tokens``.

        Where they do not fit, each is cut to half of the room, or to what the other leaves of it. A pair with a text in
        which the tokenizer knows nothing becomes an empty array.
        """
        room = self.max_tokens - len(self._prefix) - len(self._between) - len(self._suffix)
        pairs = []
        for first, second in zip(self._bare(firsts), self._bare(seconds), strict=True):
            if self._unknown.issuperset(first) or self._unknown.issuperset(second):
                pairs.append(np.empty(0, np.int32))
                continue
            first = _cut(first, max(room // 2, room - len(second)))
            second = _cut(second, room - len(first))
            pairs.append(np.array(self._prefix + first + self._between + second + self._suffix, np.int32))
        return pairs

    def decode(self, ids: Sequence[int]) -> str:
        """Text of token ids, without special tokens and blanks around it."""
        text: str = self._tokenizer.decode([int(one) for one in ids])
        return text.strip()

    def _bare(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids without special tokens."""
        limit = self.max_tokens * _CHARS_PER_TOKEN
        short = [t if len(t) <= limit else f"{t[: limit // 2]} {t[-limit // 2 :]}" for t in texts]
        return [e.ids for e in self._tokenizer.encode_batch_fast(short, add_special_tokens=False)]


def _cut(ids: list[int], room: int) -> list[int]:
    """Beginning and end of a text that is longer than the room for it."""
    if len(ids) <= room:
        return ids
    head = room // 2
    return ids[:head] + ids[len(ids) - (room - head) :]


@lru_cache(maxsize=4)
def text_encoder(tokenizer_file: str, max_tokens: int) -> TextEncoder:
    """Text encoder of a ``tokenizer.json``, loaded once per Python worker."""
    import os

    from tokenizers import Tokenizer

    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    return TextEncoder(Tokenizer.from_file(tokenizer_file), max_tokens)


@dataclass(frozen=True)
class Ragged:
    """Many token sequences in one array: row i is ``flat[offsets[i]:offsets[i + 1]]``."""

    flat: np.ndarray
    offsets: np.ndarray

    @staticmethod
    def of(sequences: Sequence[np.ndarray]) -> "Ragged":
        """From a list of sequences."""
        lengths = np.fromiter((len(s) for s in sequences), np.int64, len(sequences))
        flat = np.concatenate(sequences).astype(np.int32) if len(sequences) else np.empty(0, np.int32)
        return Ragged(flat, np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]))

    @staticmethod
    def from_bytes(cells: Sequence[bytes]) -> "Ragged":
        """From little-endian int32 ids, the bytes of a row each."""
        offsets = np.cumsum([0, *map(len, cells)]) // 4
        return Ragged(np.frombuffer(b"".join(cells), "<i4"), offsets)

    @staticmethod
    def concatenate(parts: "Sequence[Ragged]") -> "Ragged":
        """Rows of several parts, in their order."""
        lengths = np.concatenate([part.lengths for part in parts])
        flat = np.concatenate([part.flat for part in parts])
        return Ragged(flat, np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]))

    @property
    def lengths(self) -> np.ndarray:
        """Number of tokens of each row."""
        lengths: np.ndarray = np.diff(self.offsets)
        return lengths

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def take(self, rows: np.ndarray) -> "Ragged":
        """Chosen rows, in the order given."""
        return Ragged.of([self.flat[self.offsets[i] : self.offsets[i + 1]] for i in rows])

    def padded(self, rows: np.ndarray, pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids and mask of chosen rows, int64 (B, T) each, padded to the longest of them."""
        lengths = self.lengths[rows]
        width = int(lengths.max(initial=0))
        mask = np.arange(width) < lengths[:, None]
        ids = np.full((len(rows), width), pad_id, np.int64)
        if len(rows):
            ids[mask] = np.concatenate([self.flat[self.offsets[i] : self.offsets[i + 1]] for i in rows])
        return torch.from_numpy(ids), torch.from_numpy(mask.astype(np.int64))
