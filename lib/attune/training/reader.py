"""Pre-tokenised rows of one rank, read from plain Parquet: with petastorm, or with pyarrow where petastorm cannot go.

Both deal out the same row groups, so a model does not depend on which of them read its rows. Each rank reads its own row
groups and no others. It keeps its share in memory: 4 bytes a token and 8 a value, so about 1 GB for 200 million tokens.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from attune.errors import MissingError
from attune.machine import numbers, parquet_reader
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


def read_shard(
    url: str, rank: int, size: int, token_columns: Sequence[str], value_columns: Sequence[str], reader: str = "auto"
) -> Rows:
    """Rows of one rank: row groups ``rank, rank + size, ...`` of a folder of Parquet files, ordered by ``row_key``.

    ``url`` starts with its scheme (``file://``). Where there are fewer row groups than ranks, rank 0 reads them all.
    ``reader`` is petastorm, pyarrow or auto. Raises MissingError where petastorm is asked for and cannot be used.
    """
    read = _READERS[chosen_reader(reader)]
    parts = read(url, [ROW_KEY, *token_columns, *value_columns], rank, size)
    tokens = {name: Ragged.of(_token_arrays(parts, name)) for name in token_columns}
    values = {name: _concatenate([p[name] for p in parts]) for name in (ROW_KEY, *value_columns)}
    order = np.argsort(values.pop(ROW_KEY), kind="stable")
    return Rows(tokens, values).take(order)


def chosen_reader(reader: str) -> str:
    """Reader of a setting; ``auto`` is what ``attune doctor`` names. Raises MissingError where it cannot be used here."""
    if reader == "pyarrow":
        return reader
    found, why = parquet_reader(_petastorm(), numbers(metadata.version("pyarrow")))
    if reader == "petastorm" and found != reader:
        raise MissingError(f"train.reader=petastorm cannot be used: {why}; set train.reader=auto, or mend that")
    return found


def _petastorm() -> tuple[int, ...] | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import petastorm
    except ImportError:
        return None
    return numbers(petastorm.__version__)


def folder_url(folder: Path | str) -> str:
    """URL that petastorm reads a folder by; it takes the path as it is, so nothing is escaped."""
    text = str(folder)
    return text if "://" in text else f"file://{Path(text).resolve()}"


def _with_petastorm(url: str, columns: Sequence[str], rank: int, size: int) -> list[Mapping[str, Any]]:
    from petastorm import make_batch_reader
    from petastorm.errors import NoDataAvailableError

    def read(cur_shard: int, shard_count: int) -> list[Mapping[str, Any]]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with make_batch_reader(
                url, schema_fields=list(columns), shuffle_row_groups=False, num_epochs=1, workers_count=1,
                cur_shard=cur_shard, shard_count=shard_count,
            ) as reader:  # fmt: skip
                return [part._asdict() for part in reader]

    try:
        return read(rank, size)
    except NoDataAvailableError:
        return read(0, 1) if rank == 0 else []


def _with_pyarrow(url: str, columns: Sequence[str], rank: int, size: int) -> list[Mapping[str, Any]]:
    from pyarrow import dataset, fs

    filesystem, path = (
        (fs.LocalFileSystem(), url.removeprefix("file://"))
        if url.startswith("file://")
        else fs.FileSystem.from_uri(url)
    )
    files = dataset.dataset(path, format="parquet", filesystem=filesystem).get_fragments()
    groups = [group for file in sorted(files, key=lambda file: file.path) for group in file.split_by_row_group()]
    mine = groups[rank::size]
    if len(groups) < size:
        mine = [] if rank else groups
    tables = [group.to_table(columns=list(columns)) for group in mine]
    return [{name: table[name].to_numpy() for name in columns} for table in tables if len(table)]


_READERS: Mapping[str, Callable[[str, Sequence[str], int, int], list[Mapping[str, Any]]]] = {
    "petastorm": _with_petastorm,
    "pyarrow": _with_pyarrow,
}


def _token_arrays(parts: Sequence[Mapping[str, Any]], name: str) -> list[np.ndarray]:
    return [np.frombuffer(cell, "<i4") for part in parts for cell in part[name]]


def _concatenate(columns: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(columns) if columns else np.empty(0, np.int64)
