"""Pre-tokenised rows as Parquet that ranks share out evenly: row groups of equal numbers of tokens, each counted.

petastorm deals out row groups, not rows. So every file is one row group, a split has a multiple of the ranks of them, and
their tokens differ by no more than the longest row has.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attune.errors import InputError
from attune.training.reader import ROW_KEY

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row

TOKENS_PER_GROUP = 1 << 20
"""Tokens of a row group at most: 4 MiB of ids."""
_ONE_GROUP_BYTES = 128 << 20
"""Spark begins another row group of a file at this size, which rows of so many tokens never reach."""
_BUCKETS_LOG2 = 8
"""Row keys fall into 2 to this power ranges, which are summed up and sorted side by side."""


@dataclass(frozen=True)
class RowGroup:
    """What one row group holds."""

    rows: int
    tokens: int


@dataclass(frozen=True)
class Shards:
    """What was written of one split, by row group."""

    groups: tuple[RowGroup, ...]

    @property
    def rows(self) -> int:
        """Rows of all row groups."""
        return sum(group.rows for group in self.groups)

    @property
    def tokens(self) -> int:
        """Tokens of all row groups."""
        return sum(group.tokens for group in self.groups)

    def summary(self) -> dict[str, int]:
        """Totals, and how even the row groups are."""
        sizes = [group.tokens for group in self.groups]
        return {
            "rows": self.rows, "tokens": self.tokens, "row_groups": len(self.groups),
            "tokens_of_smallest_group": min(sizes), "tokens_of_largest_group": max(sizes),
        }  # fmt: skip


def num_groups(tokens: int, longest: int, num_ranks: int) -> int:
    """Row groups of about ``TOKENS_PER_GROUP`` tokens, a multiple of the ranks; 0 where some would be left empty.

    A group gets the rows that begin in its share of the tokens, so no share may be shorter than the longest row.

    >>> num_groups(10_000_000, 128, 4), num_groups(1_000, 128, 4), num_groups(500, 128, 4)
    (12, 4, 0)
    """
    wanted = -(-tokens // (TOKENS_PER_GROUP * num_ranks))
    return num_ranks * min(wanted, tokens // (longest * num_ranks))


def write_shards(rows: "DataFrame", folder: str, num_ranks: int) -> dict[str, Shards]:
    """Write rows as ``<folder>/split=<split>/group=<n>/``, a row group each, and tell what every one holds.

    The rows need ``split``, ``row_key`` (a hash) and token columns (the binary ones); they are gone through several
    times. Where a split has too few tokens for ``num_groups``, its rows are shared out by number; where it has fewer rows
    than there are ranks, it is one row group. Raises InputError where the files do not hold what was to be written.
    """
    from pyspark.sql import functions as F

    tokens = sum((F.octet_length(name) for name in _token_columns(rows)), F.lit(0)) / 4
    in_order = F.shiftright(ROW_KEY, 64 - _BUCKETS_LOG2)
    keyed = rows.withColumns({"_tokens": tokens.cast("bigint"), "_bucket": in_order})
    counted = keyed.groupBy("split", "_bucket").agg(
        F.count("*").alias("rows"), F.sum("_tokens").alias("tokens"), F.max("_tokens").alias("longest")
    )
    buckets = sorted(counted.collect(), key=lambda row: (row["split"], row["_bucket"]))
    if not buckets:
        return {}
    planned = _plan(buckets, num_ranks)
    grouped = _with_group(keyed, planned)
    sizes = (
        grouped.groupBy("split", "group").agg(F.count("*").alias("rows"), F.sum("_tokens").alias("tokens")).collect()
    )
    expected = {(row["split"], row["group"]): RowGroup(row["rows"], row["tokens"]) for row in sorted(sizes)}
    spread = grouped.drop("_tokens", "_bucket").repartition(len(expected), "split", "group")
    spread.write.partitionBy("split", "group").option("parquet.block.size", _ONE_GROUP_BYTES).parquet(folder)
    _check_footers(folder, expected)
    splits = dict.fromkeys(split for split, _ in expected)
    return {split: Shards(tuple(group for key, group in expected.items() if key[0] == split)) for split in splits}


def _plan(buckets: "list[Row]", num_ranks: int) -> list[dict[str, Any]]:
    """For each bucket: the groups of its split, whether they share out tokens or rows, of how many, how many before."""
    planned = []
    for split in dict.fromkeys(bucket["split"] for bucket in buckets):
        own = [bucket for bucket in buckets if bucket["split"] == split]
        rows = sum(bucket["rows"] for bucket in own)
        groups = num_groups(sum(b["tokens"] for b in own), max(b["longest"] for b in own), num_ranks)
        weight = "tokens" if groups else "rows"
        groups = groups or (num_ranks if rows >= num_ranks else 1)
        total, before = sum(bucket[weight] for bucket in own), 0
        for bucket in own:
            planned.append(
                {"split": split, "_bucket": bucket["_bucket"], "groups": groups, "by_tokens": weight == "tokens",
                 "total": total, "before": before}
            )  # fmt: skip
            before += bucket[weight]
    return planned


def _with_group(keyed: "DataFrame", planned: list[dict[str, Any]]) -> "DataFrame":
    """Add ``group``: rows in the order of their key, cut where the next share of the tokens begins."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    plan = keyed.sparkSession.createDataFrame(
        planned, "split string, _bucket bigint, groups bigint, by_tokens boolean, total bigint, before bigint"
    )
    earlier = Window.partitionBy("split", "_bucket").orderBy(ROW_KEY).rowsBetween(Window.unboundedPreceding, -1)
    weight = F.when(F.col("by_tokens"), F.col("_tokens")).otherwise(1)
    begins = F.col("before") + F.coalesce(F.sum(weight).over(earlier), F.lit(0))
    placed = keyed.join(F.broadcast(plan), ["split", "_bucket"]).withColumn("_begins", begins)
    return placed.withColumn("group", F.expr("_begins * groups div total")).drop(
        "_begins", "groups", "by_tokens", "total", "before"
    )


def _check_footers(folder: str, expected: Mapping[tuple[str, int], RowGroup]) -> None:
    import pyarrow.parquet as pq

    found: dict[tuple[str, int], list[int]] = {}
    for file in Path(folder).glob("split=*/group=*/*.parquet"):
        split, group = (part.partition("=")[2] for part in file.parts[-3:-1])
        footer = pq.read_metadata(file)
        rows = [footer.row_group(n).num_rows for n in range(footer.num_row_groups)]
        found.setdefault((split, int(group)), []).extend(rows)
    wrong = {key for key in {*found, *expected} if key not in expected or found.get(key) != [expected[key].rows]}
    if wrong:
        raise InputError(
            f"{len(wrong)} of {len(expected)} row groups in {folder} are missing or do not hold the rows that were counted: "
            "set workspace to a folder that all machines share, and leave it alone while training runs"
        )


def _token_columns(rows: "DataFrame") -> list[str]:
    return [name for name, kind in rows.dtypes if kind == "binary"]
