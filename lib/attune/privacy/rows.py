"""What becomes of a table's rows when users are erased: a plain function of Arrow tables, run on every batch.

Rows of these users go. Where others mention one of them, the id in the text is replaced and the row stays.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial, reduce
from itertools import pairwise
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from attune.privacy.needles import MARK, Needles
from attune.privacy.search import RAW_COLUMNS, holds, names_users
from attune.schemas import TABLES

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_FOUND = "partition string, erased bigint, masked bigint"


@dataclass(frozen=True)
class People:
    """Users to erase: their ids and pseudonyms, and reviews of theirs that tables name without the user."""

    needles: Needles
    reviews: frozenset[str] = field(default=frozenset())


def rows_of(rows: pa.Table, people: People) -> pa.Array:
    """Which rows are of these users. Bool, as long as ``rows``.

    A row is of a user whose id a column named after users holds, or column ``id`` in a row of kind user. An id that can be
    nothing else (``is_telling``) counts in any column that is equal to it, and any id in a refused row as a word.
    """
    gone = pa.array([False] * len(rows), pa.bool_())
    columns = {name: rows[name].combine_chunks() for name in rows.column_names if _is_text(rows[name].type)}
    for name, values in columns.items():
        known = people.needles.ids if _names_users(name, rows) else people.needles.telling
        gone = pc.or_(gone, pc.is_in(values, value_set=pa.array(sorted(known), values.type)))
        if name in RAW_COLUMNS:
            gone = pc.or_(gone, holds(values, name, people.needles))
    if "kind" in columns and "id" in columns:
        ids = pc.is_in(columns["id"], value_set=pa.array(sorted(people.needles.ids), columns["id"].type))
        gone = pc.or_(gone, pc.and_(ids, pc.equal(columns["kind"], "user").fill_null(False)))
    if "review_id" in columns and people.reviews:
        written = pa.array(sorted(people.reviews), columns["review_id"].type)
        gone = pc.or_(gone, pc.is_in(columns["review_id"], value_set=written))
    return gone


def mask_mentions(rows: pa.Table, needles: Needles) -> tuple[pa.Table, int]:
    """Replace ids that other rows' texts and lists of texts mention; with the number of rows that do."""
    touched = pa.array([False] * len(rows), pa.bool_())
    for number, name in enumerate(rows.column_names):
        column = rows[name].combine_chunks()
        if _is_text(column.type):
            found, masked = _masked_texts(column, needles)
        elif pa.types.is_list(column.type) and _is_text(column.type.value_type):
            inner, texts = _masked_texts(column.values, needles)
            if not pc.any(inner).as_py():
                continue
            found = pa.array([any(inner[i].as_py() for i in range(*span)) for span in _spans(column)], pa.bool_())
            masked = pa.ListArray.from_arrays(column.offsets, texts, mask=column.is_null())
            masked = masked.cast(column.type)
        else:
            continue
        if pc.any(found).as_py():
            touched = pc.or_(touched, found)
            rows = rows.set_column(number, rows.schema.field(name), masked)
    return rows, pc.sum(touched).as_py() or 0


def erase(rows: pa.Table, people: People) -> tuple[pa.Table, int, int]:
    """Rows without those of these users and without mentions of them; how many went, and how many were masked."""
    gone = rows_of(rows, people)
    kept, num_masked = mask_mentions(rows.filter(pc.invert(gone)), people.needles)
    return kept, len(rows) - len(kept), num_masked


def reviews_of(rows: pa.Table, needles: Needles) -> set[str]:
    """Ids of the reviews, among rows with review_id and user_id, that these users wrote."""
    return set(pc.drop_null(rows.filter(rows_of(rows, People(needles)))["review_id"]).to_pylist())


def find_reviews(df: "DataFrame", needles: Needles) -> set[str]:
    """``reviews_of`` over a whole table."""
    rows = df.select("review_id", "user_id").mapInArrow(partial(_find_batches, needles), "review_id string")
    return {row["review_id"] for row in rows.collect()}


def erase_rows(df: "DataFrame", people: People) -> "DataFrame":
    """``erase`` over a whole table; the ids travel inside the function, never in a plan that Spark logs."""
    return df.mapInArrow(partial(_erase_batches, people), df.schema)


ByPartition = dict[str | None, tuple[int, int]]
"""Rows erased and masked, by value of the column that a table is partitioned by (None without)."""


def found_by_table(tables: "Mapping[str, DataFrame]", people: People) -> dict[str, ByPartition]:
    """Rows of each table that ``erase`` would erase and mask, found in one pass over all of them."""
    from pyspark.sql import functions as F

    counted = []
    for name, df in tables.items():
        by = TABLES[name].partition_by
        marked = df.withColumn("_partition", F.col(by[0]).cast("string") if by else F.lit(None).cast("string"))
        counted.append(
            marked.mapInArrow(partial(_count_batches, people), _FOUND).select(F.lit(name).alias("table"), "*")
        )
    found: dict[str, ByPartition] = {name: {} for name in tables}
    if counted:
        sums = [F.sum(number).alias(number) for number in ("erased", "masked")]
        for row in reduce(lambda a, b: a.unionByName(b), counted).groupBy("table", "partition").agg(*sums).collect():
            found[row["table"]][row["partition"]] = (row["erased"], row["masked"])
    return found


def _erase_batches(people: People, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield from erase(pa.Table.from_batches([batch]), people)[0].to_batches()


def _find_batches(needles: Needles, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        ids = sorted(reviews_of(pa.Table.from_batches([batch]), needles))
        yield pa.RecordBatch.from_pydict({"review_id": pa.array(ids, pa.string())})


def _count_batches(people: People, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        rows = pa.Table.from_batches([batch])
        for value in pc.unique(rows["_partition"]).to_pylist():
            same = pc.is_null(rows["_partition"]) if value is None else pc.equal(rows["_partition"], value)
            _, erased, masked = erase(rows.filter(same).drop_columns(["_partition"]), people)
            if erased or masked:
                columns = {"partition": pa.array([value], pa.string()), "erased": [erased], "masked": [masked]}
                yield pa.RecordBatch.from_pydict(columns)


def _masked_texts(texts: pa.Array, needles: Needles) -> tuple[pa.Array, pa.Array]:
    if needles.words is None:
        return pa.array([False] * len(texts), pa.bool_()), texts
    found = pc.match_substring_regex(texts, needles.words).fill_null(False)
    if not pc.any(found).as_py():
        return found, texts
    # Twice, for ids that only the same sign parts: the first pass takes it with the first id.
    once = pc.replace_substring_regex(texts, needles.words, rf"\1{MARK}\2")
    return found, pc.replace_substring_regex(once, needles.words, rf"\1{MARK}\2")


def _spans(lists: pa.Array) -> list[tuple[int, int]]:
    return list(pairwise(lists.offsets.to_pylist()))


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _names_users(column: str, rows: pa.Table) -> bool:
    return names_users(column) and _is_text(rows.schema.field(column).type)
