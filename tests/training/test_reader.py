"""Ranks read different rows, together all of them, whatever the files look like."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attune.training.reader import folder_url, read_shard


def write(folder: Path, sizes: Sequence[int]) -> Path:
    """Files with so many rows each; row k has k tokens (at least 1) and label k % 2."""
    folder.mkdir()
    start = 0
    for number, size in enumerate(sizes):
        keys = np.arange(start, start + size)[::-1]
        tokens = [np.full(k % 7 + 1, k, "<i4").tobytes() for k in keys]
        table = pa.table({"row_key": keys, "tokens": pa.array(tokens, pa.binary()), "label": keys % 2})
        pq.write_table(table, folder / f"part-{number}.parquet")
        start += size
    return folder


@pytest.mark.parametrize("sizes", [[5, 5, 5, 5], [1, 30, 2, 9], [0, 12, 3]])
@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_shards_are_disjoint_and_complete(tmp_path: Path, sizes: list[int], ranks: int) -> None:
    url = folder_url(write(tmp_path / "split=train", sizes))
    shards = [read_shard(url, rank, ranks, ["tokens"], ["label"]) for rank in range(ranks)]
    seen = [
        int(value) for shard in shards for value in shard.tokens["tokens"].flat[shard.tokens["tokens"].offsets[:-1]]
    ]
    assert sorted(seen) == list(range(sum(sizes)))
    for shard in shards:
        first = shard.tokens["tokens"].flat[shard.tokens["tokens"].offsets[:-1]]
        assert first.tolist() == sorted(first.tolist())
        assert (shard.values["label"] == first % 2).all()
        assert (shard.tokens["tokens"].lengths == first % 7 + 1).all()


def test_fewer_files_than_ranks_leave_the_others_without_rows(tmp_path: Path) -> None:
    url = folder_url(write(tmp_path / "one", [4]))
    shards = [read_shard(url, rank, 3, ["tokens"], ["label"]) for rank in range(3)]
    assert [len(shard) for shard in shards] == [4, 0, 0]
