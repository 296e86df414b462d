"""Run a function over blocks of users on the workers: the only wrapper between Spark and the array code."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pandas as pd

from attune.recommend.batch import Batch, to_batch
from attune.recommend.catalogue import Catalogue
from attune.recommend.sources import SOURCES

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_MAX_SCORES = 16_000_000
"""Scores (users * items * sources) that a block may hold at a time: 64 MB in single precision."""


def over_blocks(
    rows: "DataFrame",
    catalogue: Catalogue,
    make: Callable[[], Callable[[Catalogue, Batch], pd.DataFrame]],
    schema: str,
) -> "DataFrame":
    """Rows that a function makes of each block of users. Grain: as the function's.

    Args:
        rows: as users.user_rows.
        make: called once a task; returns the function of (catalogue, batch).
        schema: DDL of what the function returns.
    """
    size = block_size(len(catalogue))

    def run(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        work = make()
        for frame in frames:
            for start in range(0, len(frame), size):
                yield work(catalogue, to_batch(frame.iloc[start : start + size], len(catalogue)))

    # Small frames come out of a shuffle in a single partition, which would leave all but one core idle.
    partitions = int(rows.sparkSession.conf.get("spark.sql.shuffle.partitions") or 8)
    return rows.repartition(partitions, "user_id").mapInPandas(run, schema)  # type: ignore[arg-type]


def block_size(num_items: int) -> int:
    """Users of a block, so that all their scores fit into the memory meant for them.

    >>> block_size(4000)
    444
    """
    return max(1, _MAX_SCORES // (max(num_items, 1) * len(SOURCES)))
