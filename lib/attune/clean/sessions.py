"""A user's actions in time: cut into visits, scored for how much they look like a bot's, and told as sessions."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from attune.clean.actions import Actions
from attune.clean.arrays import codes, hex_ids, whole
from attune.clean.rules import BotLimits
from attune.schemas import TABLES
from attune.staging import in_one_piece
from attune.tables import conform

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

COMPUTED = "^s-[0-9a-f]{32}$"
"""Form of the session ids that are made here; any other is the log's own and stays."""
SIGNALS = ("rate", "breadth", "regularity")


@dataclass(frozen=True)
class Timeline:
    """Actions by time within the user. The other arrays are in this order, too."""

    order: np.ndarray
    """Rows, the earliest action of a user first."""
    first: np.ndarray
    """Whether it is the user's first."""
    pause: np.ndarray
    """Microseconds since the user's action before, int64; 0 for the first."""


def in_time(actions: Actions) -> Timeline:
    """Order actions by time within the user."""
    order = np.lexsort((actions.identity, actions.micros, actions.user))
    user, micros = actions.user[order], actions.micros[order]
    first = np.ones(len(order), bool)
    first[1:] = user[1:] != user[:-1]
    pause = np.where(first, 0, np.diff(micros, prepend=micros[:1]))
    return Timeline(order, first, pause)


def cut_visits(time: Timeline, given: np.ndarray, gap_minutes: float) -> tuple[np.ndarray, np.ndarray]:
    """Cut each user's actions into visits: one ends after a longer pause, also across midnight.

    Args:
        given: by place in the timeline, whether the log names the session.

    Returns:
        The visit of each place in the timeline; of each visit the place that names it: its first action that the log
        names no session for, or its first where there is none such.
    """
    starts = np.flatnonzero(time.first | (time.pause > gap_minutes * 60e6))
    visit = np.zeros(len(given), np.int64)
    visit[starts] = 1
    visit = np.cumsum(visit) - 1
    if not given.any():
        return visit, starts
    places = np.where(given, len(given), np.arange(len(given)))
    first_free = np.minimum.reduceat(places, starts)
    return visit, np.where(first_free == len(given), starts, first_free)


def session_ids(user_hash: np.ndarray, micros: np.ndarray) -> pa.Array:
    """Ids of sessions: 128 bits from the hash of the user and the first moment, so the same on every run."""
    return hex_ids("s-", user_hash, micros)


def bot_scores(
    at: Actions, time: Timeline, first_of_day: np.ndarray, limits: BotLimits
) -> tuple[np.ndarray, np.ndarray]:
    """Score of each user's day: the largest of three ratios to its limit, above 1 for a bot. All by place in the timeline.

    Rate is the actions of the day; breadth the distinct items; regularity the limit of the coefficient of variation of
    the pauses divided by it, on days of at least ``min_events``. Returns the scores and the place in ``SIGNALS`` of the
    ratio that gave each.
    """
    if not len(at):
        return np.empty(0), np.empty(0, np.int64)
    new_day = time.first.copy()
    new_day[1:] |= at.day[1:] != at.day[:-1]
    starts = np.flatnonzero(new_day)
    counts = np.diff(np.append(starts, len(at)))
    items = np.add.reduceat((first_of_day & (at.item >= 0)).astype(np.int64), starts)
    pause = np.where(new_day, 0.0, time.pause / 1e6)
    between = np.maximum(counts - 1, 1)
    mean = np.add.reduceat(pause, starts) / between
    deviation = np.sqrt(np.maximum(np.add.reduceat(pause * pause, starts) / between - mean * mean, 0))
    # Actions of one moment (the lines of an order, a page of impressions) have no rhythm.
    judged = (counts >= limits.min_events) & (mean > 0)
    variation = np.maximum(np.divide(deviation, mean, out=np.ones_like(mean), where=judged), 1e-3)
    ratios = np.stack(
        [
            counts / limits.events_per_day,
            items / limits.items_per_day,
            np.where(judged, limits.min_pause_variation / variation, 0.0),
        ]
    )
    return np.repeat(ratios.max(axis=0), counts), np.repeat(ratios.argmax(axis=0), counts)


@dataclass(frozen=True)
class Sessions:
    """One element a session."""

    row: np.ndarray
    """A row of it: whose user and session id are those of all."""
    start: np.ndarray
    """First action, microseconds."""
    end: np.ndarray
    """Last action, microseconds."""
    num_events: np.ndarray
    num_items: np.ndarray
    converted: np.ndarray


def sum_up(session: np.ndarray, item: np.ndarray, micros: np.ndarray, bought: np.ndarray) -> Sessions:
    """Sessions from their actions. ``session`` and ``item`` are codes of each action's; an item of -1 is none."""
    order = np.lexsort((item, session))
    session, item, micros = session[order], item[order], micros[order]
    new = np.ones(len(order), bool)
    new[1:] = session[1:] != session[:-1]
    starts = np.flatnonzero(new)
    other = new.copy()
    other[1:] |= item[1:] != item[:-1]
    if not len(starts):
        none = np.empty(0, np.int64)
        return Sessions(none, none, none, none, none, none.astype(bool))
    return Sessions(
        order[starts],
        np.minimum.reduceat(micros, starts),
        np.maximum.reduceat(micros, starts),
        np.diff(np.append(starts, len(order))),
        np.add.reduceat((other & (item >= 0)).astype(np.int64), starts),
        np.logical_or.reduceat(bought[order], starts),
    )


def session_table(found: Sessions, user_id: pa.Array, session_id: pa.Array) -> pa.Table:
    """Table sessions but its day. ``user_id`` and ``session_id``: of each action."""
    rows = pa.array(found.row)
    columns = {
        "session_id": session_id.take(rows),
        "user_id": user_id.take(rows),
        "start_ts": pa.array(found.start, pa.timestamp("us", "UTC")),
        "end_ts": pa.array(found.end, pa.timestamp("us", "UTC")),
        "num_events": pa.array(found.num_events.astype(np.int32)),
        "num_items": pa.array(found.num_items.astype(np.int32)),
        "converted": pa.array(found.converted),
    }
    return pa.table({name: columns[name] for name in TABLES["sessions"].names[:-1]})


def to_sessions(events: "DataFrame", impressions: "DataFrame") -> "DataFrame":
    """Table sessions from tables events and impressions. Grain: one visit."""
    from pyspark.sql import functions as F
    from pyspark.sql.types import StructType

    bought = (F.col("event_type") == "purchase").alias("bought")
    acted = events.select("user_id", "session_id", "item_id", F.col("event_ts").alias("ts"), bought)
    shown = impressions.select(
        "user_id", "session_id", "item_id", F.col("shown_ts").alias("ts"), F.lit(False).alias("bought")
    )
    by_user = acted.unionByName(shown).repartition("user_id")
    found = by_user.mapInArrow(_sessions_of_users, StructType(TABLES["sessions"].struct().fields[:-1]))
    return conform(found.withColumn("ds", F.to_date("start_ts")), "sessions")


def _sessions_of_users(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    rows = in_one_piece(batches)
    if rows is None:
        return
    users, sessions = codes(rows["user_id"]), codes(rows["session_id"])
    pair = users.astype(np.int64) * (int(sessions.max(initial=0)) + 1) + sessions
    micros, bought = rows["ts"].cast(pa.int64()).to_numpy(), rows["bought"].to_numpy()
    found = sum_up(pair, codes(rows["item_id"]), micros, bought)
    yield from session_table(found, whole(rows["user_id"]), whole(rows["session_id"])).to_batches()
