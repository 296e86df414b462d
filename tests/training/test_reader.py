"""Ranks read different rows, together all of them, whatever the files look like."""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attune.errors import MissingError
from attune.training.reader import Rows, chosen_reader, folder_url, read_shard

READERS = ("petastorm", "pyarrow")


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
@pytest.mark.parametrize("reader", READERS)
def test_shards_are_disjoint_and_complete(tmp_path: Path, sizes: list[int], ranks: int, reader: str) -> None:
    url = folder_url(write(tmp_path / "split=train", sizes))
    shards = [read_shard(url, rank, ranks, ["tokens"], ["label"], reader) for rank in range(ranks)]
    seen = [
        int(value) for shard in shards for value in shard.tokens["tokens"].flat[shard.tokens["tokens"].offsets[:-1]]
    ]
    assert sorted(seen) == list(range(sum(sizes)))
    for shard in shards:
        first = shard.tokens["tokens"].flat[shard.tokens["tokens"].offsets[:-1]]
        assert first.tolist() == sorted(first.tolist())
        assert (shard.values["label"] == first % 2).all()
        assert (shard.tokens["tokens"].lengths == first % 7 + 1).all()


@pytest.mark.parametrize("reader", READERS)
def test_fewer_files_than_ranks_leave_the_others_without_rows(tmp_path: Path, reader: str) -> None:
    url = folder_url(write(tmp_path / "one", [4]))
    shards = [read_shard(url, rank, 3, ["tokens"], ["label"], reader) for rank in range(3)]
    assert [len(shard) for shard in shards] == [4, 0, 0]


def write_groups(folder: Path, files: Sequence[Sequence[int]], seed: int) -> str:
    """Files in folders as Spark writes them, a row group of so many rows each; keys and values in no order."""
    rng = np.random.default_rng(seed)
    keys = rng.permutation(sum(map(sum, files))).astype(np.int64)
    for number, groups in enumerate(files):
        file = folder / f"group={number}" / "part-0.parquet"
        file.parent.mkdir(parents=True)
        schema = pa.schema({"row_key": pa.int64(), "tokens": pa.binary(), "more": pa.binary(), "label": pa.int32(), "weight": pa.float64()})  # fmt: skip
        with pq.ParquetWriter(file, schema) as writer:
            for size in groups:
                mine, keys = keys[:size], keys[size:]
                cells = {name: [np.arange(k % n, dtype="<i4").tobytes() for k in mine] for name, n in (("tokens", 5), ("more", 3))}  # fmt: skip
                columns = {"row_key": mine, **cells, "label": mine % 4, "weight": rng.random(size)}
                writer.write_table(pa.table(columns, schema=schema), row_group_size=max(1, size))
    (folder / "_SUCCESS").touch()
    return folder_url(folder)


def assert_same(one: Rows, other: Rows) -> None:
    assert list(one.tokens) == list(other.tokens)
    assert list(one.values) == list(other.values)
    for name, column in one.tokens.items():
        np.testing.assert_array_equal(column.flat, other.tokens[name].flat)
        np.testing.assert_array_equal(column.offsets, other.tokens[name].offsets)
    for name, values in one.values.items():
        assert values.dtype == other.values[name].dtype
        np.testing.assert_array_equal(values, other.values[name])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    files=st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=3), min_size=1, max_size=12),
    ranks=st.integers(1, 6),
)
def test_both_readers_give_every_rank_the_same_rows(
    tmp_path_factory: pytest.TempPathFactory, files: list[list[int]], ranks: int
) -> None:
    """A model must not depend on the Spark that it was trained on; nor may a rank wait for rows that never come."""
    url = write_groups(tmp_path_factory.mktemp("same") / "split=train", files, seed=len(files))
    columns = (["tokens", "more"], ["label", "weight"])
    shards = {reader: [read_shard(url, rank, ranks, *columns, reader) for rank in range(ranks)] for reader in READERS}
    for one, other in zip(*shards.values(), strict=True):
        assert_same(one, other)
    for read in shards.values():
        assert sum(map(len, read)) == sum(map(sum, files))


def test_auto_is_petastorm_only_where_it_can_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen_reader("auto") == "petastorm"
    assert chosen_reader("pyarrow") == "pyarrow"
    monkeypatch.setattr("attune.training.reader.metadata.version", lambda name: "17.0.0")
    assert chosen_reader("auto") == "pyarrow"
    with pytest.raises(MissingError, match=r"train.reader=petastorm cannot be used: pyarrow is 17.0.0"):
        chosen_reader("petastorm")
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "petastorm", None)
    assert chosen_reader("auto") == "pyarrow"
    with pytest.raises(MissingError, match="petastorm is not installed"):
        chosen_reader("petastorm")


def test_pyarrow_reads_where_petastorm_is_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "petastorm", None)
    url = folder_url(write(tmp_path / "with space%20=1", [3, 4]))
    assert len(read_shard(url, 0, 1, ["tokens"], ["label"])) == 7
