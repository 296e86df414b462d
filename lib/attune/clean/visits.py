"""From judged events to the tables made of them, in one pass: one shuffle by user, one write."""

from typing import TYPE_CHECKING

from attune.clean.actions import REPEAT, relate
from attune.clean.events import EVENT_COLUMNS, KEY, REFUSED, identify
from attune.clean.sessions import sessionize
from attune.config import Clean
from attune.inputs import FILE, RAW, REASONS
from attune.schemas import TABLES

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, Observation

WRITTEN = ("events", "impressions", "bot_events", "quarantine")
"""Tables that one pass over the log writes together."""
CONTEXT = "_context"
"""Marks orders of earlier runs that only serve to find what a refund undoes."""


def arrange(rows: "DataFrame", settings: Clean, repeats: "Observation") -> "DataFrame":
    """Rows of the tables in ``WRITTEN``, named by column ``_table``; repeats are counted and dropped.

    Args:
        rows: judged and settled rows of the log, and rows that earlier runs kept of the same users. Columns: those of
            ``EVENT_COLUMNS``, ds, refund_of, _refused, _context and, of refused rows, their file, raw text and reasons.
        repeats: gets the number of ``repeats``.
    """
    from pyspark.sql import functions as F

    spread = identify(rows, settings.near_duplicate_seconds).repartition(KEY)
    related = relate(spread, settings).observe(repeats, F.count_if(F.col(REPEAT)).alias("repeats"))
    single = related.where(~F.col(REPEAT) & ~F.col(CONTEXT))
    return to_tables(sessionize(single, settings))


def to_tables(marked: "DataFrame") -> "DataFrame":
    """Columns of all tables in ``WRITTEN``, null where a row's own table lacks them."""
    from pyspark.sql import functions as F

    refused, bot = F.col(REFUSED), F.col("bot_score") > 1
    table = (
        F.when(refused, "quarantine").when(bot, "bot_events")
        .when(F.col("event_type") == "impression", "impressions").otherwise("events")
    )  # fmt: skip
    named = marked.withColumn("_table", table).withColumns(
        {
            "impression_id": F.col("event_id"),
            "shown_ts": F.col("event_ts"),
            "clicked": F.col("click_id").isNotNull(),
            "source": F.lit("events"),
            "file": F.col(FILE),
            "raw": F.col(RAW),
            "reasons": F.col(REASONS),
        }
    )
    return named.select("_table", *(_of_its_tables(name) for name in union_types()))


def union_types() -> dict[str, str]:
    """Columns of all tables in ``WRITTEN`` with their types; ds, that they are partitioned by, last."""
    types = {column.name: column.type for table in WRITTEN for column in TABLES[table].columns}
    return {name: types[name] for name in types if name != "ds"} | {"ds": types["ds"]}


def _of_its_tables(name: str) -> "Column":
    from pyspark.sql import functions as F

    holders = [table for table in WRITTEN if name in TABLES[table].names]
    value = F.col(name).cast(union_types()[name])
    return (value if len(holders) == len(WRITTEN) else F.when(F.col("_table").isin(*holders), value)).alias(name)


def as_actions(table: str, rows: "DataFrame") -> "DataFrame":
    """Rows of a table as the actions that they were made from: what a later run needs of them."""
    from pyspark.sql import functions as F

    if table == "impressions":
        rows = rows.withColumnsRenamed({"impression_id": "event_id", "shown_ts": "event_ts"}).withColumn(
            "event_type", F.lit("impression")
        )
    types = union_types()
    present = {name: F.col(name) if name in rows.columns else F.lit(None).cast(types[name])
               for name in (*EVENT_COLUMNS, "refund_of", "ds")}  # fmt: skip
    return unrefused(rows.select(*(column.alias(name) for name, column in present.items())))


def unrefused(rows: "DataFrame") -> "DataFrame":
    """Rows that were not refused, with the columns that tell of refused ones."""
    from pyspark.sql import functions as F

    nothing = {name: F.lit(None).cast("string") for name in (FILE, RAW)} | {REASONS: F.lit(None).cast("array<string>")}
    return rows.withColumns({REFUSED: F.lit(False), CONTEXT: F.lit(False), **nothing})
