"""Pre-tokenised rows of one rank, read from plain Parquet with petastorm.

Each rank reads its own row groups and no others. It keeps its share in memory: 4 bytes a token and 8 a value, so about
1 GB for 200 million tokens.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from attune.models.tokens import Ragged

ROW_KEY = "row_key"
"""Column of the files that orders the rows of a rank, whatever order the files came in."""


@dataclass(frozen=True)
class Rows:
    """Rows in memory: token columns and numeric columns of the same length."""

    tokens: Mapping[str, Ragged]
    values: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(next(iter(self.tokens.values())))

    @property
    def num_tokens(self) -> int:
        """Tokens of all columns."""
        return sum(int(column.offsets[-1]) for column in self.tokens.values())

    @staticmethod
    def concatenate(parts: "Sequence[Rows]") -> "Rows":
        """Rows of several parts, in their order."""
        tokens = {name: Ragged.concatenate([part.tokens[name] for part in parts]) for name in parts[0].tokens}
        return Rows(tokens, {name: np.concatenate([part.values[name] for part in parts]) for name in parts[0].values})

    def take(self, chosen: np.ndarray) -> "Rows":
        """Chosen rows, in the order given."""
        tokens = {name: column.take(chosen) for name, column in self.tokens.items()}
        return Rows(tokens, {name: column[chosen] for name, column in self.values.items()})


def read_shard(url: str, rank: int, size: int, token_columns: Sequence[str], value_columns: Sequence[str]) -> Rows:
    """Rows of one rank: row groups ``rank, rank + size, ...`` of a folder of Parquet files, ordered by ``row_key``.

    ``url`` starts with its scheme (``file://``). Where there are fewer row groups than ranks, rank 0 reads them all.
    """
    from petastorm.errors import NoDataAvailableError

    columns = [ROW_KEY, *token_columns, *value_columns]
    try:
        parts = _read(url, columns, cur_shard=rank, shard_count=size)
    except NoDataAvailableError:
        parts = _read(url, columns, cur_shard=0, shard_count=1) if rank == 0 else []
    tokens = {name: Ragged.of(_token_arrays(parts, name)) for name in token_columns}
    values = {name: _concatenate([p[name] for p in parts]) for name in (ROW_KEY, *value_columns)}
    order = np.argsort(values.pop(ROW_KEY), kind="stable")
    return Rows(tokens, values).take(order)


def folder_url(folder: Path | str) -> str:
    """URL that petastorm reads a folder by; it takes the path as it is, so nothing is escaped."""
    text = str(folder)
    return text if "://" in text else f"file://{Path(text).resolve()}"


def _read(url: str, columns: Sequence[str], **shard: int) -> list[dict[str, Any]]:
    from petastorm import make_batch_reader

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with make_batch_reader(
            url, schema_fields=list(columns), shuffle_row_groups=False, num_epochs=1, workers_count=1, **shard
        ) as reader:
            return [part._asdict() for part in reader]


def _token_arrays(parts: Sequence[Mapping[str, Any]], name: str) -> list[np.ndarray]:
    return [np.frombuffer(cell, "<i4") for part in parts for cell in part[name]]


def _concatenate(columns: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(columns) if columns else np.empty(0, np.int64)
