"""Ranks get equal shares of what was written, all of it, and nobody trains on less without knowing."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attune.errors import InputError
from attune.training import shards
from attune.training.rank import check_total
from attune.training.reader import Rows, folder_url, read_shard
from attune.training.shards import RowGroup, Shards, num_groups, write_shards
from training.examples import review_rows
from training.test_communicator import run_threads

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

LONGEST = 96


@given(st.integers(1, 10**11), st.integers(1, 512), st.integers(1, 64))
def test_row_groups_are_shared_out_evenly_bounded_and_never_empty(tokens: int, longest: int, ranks: int) -> None:
    groups = num_groups(tokens, longest, ranks)
    assert groups % ranks == 0
    if groups == 0:
        assert tokens < longest * ranks
    else:
        assert longest <= tokens / groups <= shards.TOKENS_PER_GROUP


def rows(spark: "SparkSession", num: int, length: Callable[[int], int]) -> "DataFrame":
    """Rows of two token columns, the second one token long; row k's first holds ``length(k)`` times k."""
    from pyspark.sql import functions as F

    made = [
        (k, "valid" if k % 10 == 0 else "train", k % 2, np.full(length(k), k, "<i4").tobytes(), bytes(4))
        for k in range(num)
    ]
    schema = "k bigint, split string, label bigint, tokens binary, other binary"
    return spark.createDataFrame(made, schema).withColumn("row_key", F.xxhash64("k")).drop("k")


def in_files(folder: Path) -> dict[str, list[RowGroup]]:
    """Row groups of each split, counted by reading every file."""
    found: dict[str, list[RowGroup]] = {}
    for file in sorted(folder.glob("split=*/group=*/*.parquet"), key=lambda f: int(f.parent.name[6:])):
        content = pq.ParquetFile(file)
        assert content.num_row_groups == 1
        table = content.read()
        tokens = sum(len(cell.as_py()) // 4 for name in ("tokens", "other") for cell in table[name])
        found.setdefault(file.parts[-3][6:], []).append(RowGroup(table.num_rows, tokens))
    return found


def read_all(folder: Path, split: str, ranks: int) -> list[Rows]:
    url = folder_url(folder / f"split={split}")
    return [read_shard(url, rank, ranks, ["tokens", "other"], ["label"]) for rank in range(ranks)]


def test_row_groups_have_the_counts_told_and_equal_tokens(
    spark: "SparkSession", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One row in ten is long, as in real texts: equal numbers of rows would not be equal numbers of tokens."""
    monkeypatch.setattr(shards, "TOKENS_PER_GROUP", 2_000)
    folder, ranks = tmp_path / "rows", 3
    lengths = [LONGEST - 1 if k % 10 == 3 else 1 + k % 5 for k in range(2_000)]
    written = write_shards(rows(spark, 2_000, lengths.__getitem__).repartition(5), str(folder), ranks)

    assert {split: list(found.groups) for split, found in written.items()} == in_files(folder)
    assert {split: found.rows for split, found in written.items()} == {"train": 1_800, "valid": 200}
    assert sum(found.tokens for found in written.values()) == sum(lengths) + 2_000
    for found in written.values():
        sizes = [group.tokens for group in found.groups]
        assert len(sizes) % ranks == 0
        assert max(sizes) - min(sizes) <= 2 * LONGEST
        assert max(sizes) <= 2_000 + LONGEST
        assert found.summary()["tokens_of_largest_group"] == max(sizes)
    assert len(written["train"].groups) > ranks

    for split, found in written.items():
        parts = read_all(folder, split, ranks)
        assert sum(len(part) for part in parts) == found.rows
        shares = [part.num_tokens for part in parts]
        assert sum(shares) == found.tokens
        assert max(shares) - min(shares) <= 2 * LONGEST * len(found.groups) / ranks
        seen = np.concatenate([part.tokens["tokens"].flat[part.tokens["tokens"].offsets[:-1]] for part in parts])
        assert sorted(seen.tolist()) == [k for k in range(2_000) if (k % 10 == 0) == (split == "valid")]


@pytest.mark.parametrize(("num", "groups"), [(2, {"train": 1, "valid": 1}), (7, {"train": 3, "valid": 1})])
def test_few_rows_are_shared_out_by_number(spark: "SparkSession", tmp_path: Path, num: int, groups: dict) -> None:
    """Six rows of which one is far longer than the others still reach three ranks; one row cannot."""
    folder = tmp_path / "rows"
    written = write_shards(rows(spark, num, lambda k: 90 if k == 1 else 1), str(folder), 3)
    assert {split: len(found.groups) for split, found in written.items()} == groups
    for split, found in written.items():
        shares = [len(part) for part in read_all(folder, split, 3)]
        assert sum(shares) == found.rows
        assert len(found.groups) < 3 or max(shares) - min(shares) <= 1


def test_no_rows_are_no_shards(spark: "SparkSession", tmp_path: Path) -> None:
    assert write_shards(rows(spark, 1, lambda _: 1).limit(0), str(tmp_path / "rows"), 2) == {}


def test_files_that_do_not_hold_what_was_counted_are_told(tmp_path: Path) -> None:
    """As where each machine has a disk of its own under the same path."""
    with pytest.raises(InputError, match=r"1 of 1 row groups .* set workspace"):
        shards._check_footers(str(tmp_path), {("train", 0): RowGroup(5, 50)})


@pytest.mark.parametrize(("more_rows", "more_tokens"), [(0, 0), (1, 0), (-1, 0), (0, 4)])
def test_ranks_that_read_other_than_was_written_all_say_so(more_rows: int, more_tokens: int) -> None:
    whole = review_rows(30)
    written = (len(whole) + more_rows, whole.num_tokens + more_tokens)
    parts = [whole.take(part) for part in np.array_split(np.arange(30), 3)]

    def told(comm) -> str:
        try:
            check_total("train", [parts[comm.rank]], written, comm)
        except InputError as error:
            return str(error)
        return ""

    said = run_threads(3, told)
    assert len(set(said)) == 1
    lies = (more_rows, more_tokens) != (0, 0)
    assert ("[10, 10, 10] by rank" in said[0]) == lies == bool(said[0])


def test_shards_add_up() -> None:
    assert Shards((RowGroup(2, 20), RowGroup(3, 25))).summary() == {
        "rows": 5, "tokens": 45, "row_groups": 2, "tokens_of_smallest_group": 20, "tokens_of_largest_group": 25,
    }  # fmt: skip
