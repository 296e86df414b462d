"""All actions of some users to the rows of the tables made of them: a plain function of Arrow columns, run on each partition.

Everything that one user's actions say of each other is decided here, in memory, once the actions of a user lie together.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from attune.clean.actions import DAY_MICROS, IMPRESSION, PURCHASE, REFUND, Actions, relate
from attune.clean.arrays import codes, text_hash, whole
from attune.clean.redact import redact_texts
from attune.clean.rules import DETAIL, IDENTITY, KEY, KIND, STATE, Rules, State
from attune.clean.sessions import (
    COMPUTED,
    SIGNALS,
    Timeline,
    bot_scores,
    cut_visits,
    in_time,
    session_ids,
    session_table,
    sum_up,
)
from attune.schemas import EVENT_TYPES, TABLES
from attune.staging import Part

WRITTEN = ("events", "impressions", "bot_events", "sessions", "quarantine")
"""Tables that one pass over the log writes together."""
READ, REPEATS, FORGOTTEN, REFUSED = "read", "repeats", "forgotten", "refused "
_RENAMED = {"impression_id": "event_id", "shown_ts": "event_ts"}


def settle_users(rows: pa.Table, rules: Rules) -> tuple[Iterator[Part], Counter[str]]:
    """What becomes of all rows of some users.

    Args:
        rows: columns of ``rules.ARRANGED``, each in one piece.

    Returns:
        Rows of the tables in ``WRITTEN``, a day of a table at a time, put together only when they are asked for. Numbers
        of rows: ``READ`` of the log; of these, ``REPEATS`` that were dropped; ``FORGOTTEN`` of users that were erased,
        dropped too; ``REFUSED`` and a list of reasons as JSON, refused for just these.
    """
    state = rows[STATE].to_numpy()
    refused = np.flatnonzero(state == State.REFUSED)
    good = np.flatnonzero(~np.isin(state, (State.REFUSED, State.FORGOTTEN)))
    # A line that could not be read may be of an erased user all the same.
    named = _named(rows, refused, rules)
    num_forgotten = int((state == State.FORGOTTEN).sum() + named.sum())
    refused = refused[~named]
    queries = redact_texts(whole(rows["query"]))
    actions = _actions(rows, queries, rules)
    relations = relate(actions.take(good), rules)
    num_read = int((state == State.NEW).sum()) + len(refused) + num_forgotten
    counts = Counter({READ: num_read, REPEATS: int(relations.repeat.sum())})
    if num_forgotten:
        counts[FORGOTTEN] = num_forgotten
    counts.update(REFUSED + json.dumps(why) for why in whole(rows["reasons"]).take(pa.array(refused)).to_pylist())

    # From here on in the order of time; ``place`` names the row of each action.
    single = np.flatnonzero(~relations.repeat & (state[good] != State.CONTEXT))
    time = in_time(actions.take(good[single]))
    among_good = single[time.order]
    place = good[among_good]
    at = actions.take(place)
    score, signal = bot_scores(at, time, relations.first_of_day[among_good], rules.bots)
    session_id, session = _sessions(rows, place, at, time, rules)
    clicks, orders = (np.where(r >= 0, good[r], -1)[among_good] for r in (relations.click, relations.order))
    found = {
        "query": queries.take(pa.array(place)),
        "session_id": session_id,
        "event_type": pa.array(EVENT_TYPES).take(pa.array(at.kind)),
        **_related(rows, place, at, clicks, orders),
        "bot_score": pa.array(score),
        "bot_signal": pa.array(SIGNALS).take(pa.array(signal)),
    }
    return chain(
        _by_table(rows, found, place, at),
        _visits(rows, place, at, session, session_id, score),
        _quarantine(rows, refused),
    ), counts


def _by_table(rows: pa.Table, found: Mapping[str, pa.Array], place: np.ndarray, at: Actions) -> Iterator[Part]:
    bot, shown = found["bot_score"].to_numpy() > 1, at.kind == IMPRESSION
    for name, part in {"events": ~bot & ~shown, "impressions": ~bot & shown, "bot_events": bot}.items():
        for day, chosen in _days(at.day, np.flatnonzero(part)):
            yield name, day, _of_table(name, rows, found, place, chosen)


def _visits(
    rows: pa.Table, place: np.ndarray, at: Actions, session: np.ndarray, session_id: pa.Array, score: np.ndarray
) -> Iterator[Part]:
    """Sessions of people, of each the day that it starts on."""
    people = np.flatnonzero(score <= 1)
    of = at.take(people)
    visits = sum_up(session[people], of.item, of.micros, of.kind == PURCHASE)
    users = whole(rows["user_id"]).take(pa.array(place[people]))
    table = session_table(visits, users, session_id.take(pa.array(people)))
    for day, chosen in _days(visits.start // DAY_MICROS, np.arange(len(visits.start))):
        yield "sessions", day, table.take(pa.array(chosen))


def _days(day: np.ndarray, chosen: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Each day, as YYYY-MM-DD, with those of the chosen elements that are of it, in their order."""
    by_day = chosen[np.argsort(day[chosen], kind="stable")]
    values, starts = np.unique(day[by_day], return_index=True)
    for value, of_day in zip(values, np.split(by_day, starts)[1:], strict=True):
        yield str(np.datetime64(int(value), "D")), of_day


def _actions(rows: pa.Table, queries: pa.Array, rules: Rules) -> Actions:
    kind = whole(rows[KIND]).fill_null(-1).to_numpy(zero_copy_only=False)
    identity = rows[IDENTITY].to_numpy()
    detail = rows[DETAIL].to_numpy() ^ text_hash(queries)
    # Two orders within a second may both be real, so there the id counts.
    by_id = np.isin(kind, (PURCHASE, REFUND)) if rules.near_duplicate_seconds else np.ones(len(kind), bool)
    return Actions(
        user=codes(rows["user_id"]),
        item=codes(rows["item_id"]),
        micros=whole(rows["event_ts"]).cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False),
        kind=kind,
        detail=np.where(by_id, identity, detail),
        identity=identity,
        known=rows[STATE].to_numpy() != State.NEW,
    )


def _related(
    rows: pa.Table, place: np.ndarray, at: Actions, click: np.ndarray, order: np.ndarray
) -> dict[str, pa.Array]:
    """The click that each impression caused, and the order that each refund undoes: one that an earlier run found stays
    unless there is a later one."""
    ids = whole(rows["event_id"])
    before = whole(rows["refund_of"]).take(pa.array(place))
    undone = pc.coalesce(ids.take(pa.array(order, mask=order < 0)), before)
    caused = pa.array(click, mask=click < 0)
    return {
        "click_id": ids.take(caused),
        "click_ts": whole(rows["event_ts"]).take(caused),
        "clicked": pa.array(click >= 0),
        "refund_of": pc.if_else(pa.array(at.kind == REFUND), undone, pa.scalar(None, pa.string())),
    }


def _sessions(
    rows: pa.Table, place: np.ndarray, at: Actions, time: Timeline, rules: Rules
) -> tuple[pa.Array, np.ndarray]:
    """Session id of each action, and a code that is equal for actions of one user's session.

    A session id of the log's own stays. Where the first action of a session comes from an earlier run it brings its
    session along, which may have begun before the actions at hand.
    """
    told = whole(rows["session_id"]).take(pa.array(place))
    given = pc.invert(pc.match_substring_regex(told, COMPUTED)).fill_null(False).to_numpy(zero_copy_only=False)
    visit, named_by = cut_visits(time, given, rules.session_gap_minutes)
    fresh = session_ids(rows[KEY].to_numpy()[place][named_by], at.micros[named_by])
    ids = pc.coalesce(told.take(pa.array(named_by)), fresh).take(pa.array(visit))
    if not given.any():
        return ids, visit
    own = codes(pa.chunked_array([told]))
    _, pair = np.unique(at.user.astype(np.int64) * (int(own.max()) + 1) + own, return_inverse=True)
    return pc.if_else(pa.array(given), told, ids), np.where(given, pair + len(named_by), visit)


def _of_table(
    name: str, rows: pa.Table, found: Mapping[str, pa.Array], place: np.ndarray, chosen: np.ndarray
) -> pa.Table:
    """Chosen actions with the columns of a table but its day: those that were found out here, the others as they came."""
    of_action, of_row = pa.array(chosen), pa.array(place[chosen])
    columns = {}
    for column in TABLES[name].names[:-1]:
        source = _RENAMED.get(column, column)
        columns[column] = found[source].take(of_action) if source in found else whole(rows[source]).take(of_row)
    return pa.table(columns)


def _named(rows: pa.Table, refused: np.ndarray, rules: Rules) -> np.ndarray:
    """Which of the refused rows name a user that was erased, bool."""
    if rules.forgotten is None:
        return np.zeros(len(refused), bool)
    raw = whole(rows["raw"]).take(pa.array(refused)).to_pylist()
    return np.array([text is not None and rules.forgotten.named_in(text) for text in raw], bool)


def _quarantine(rows: pa.Table, refused: np.ndarray) -> Iterator[Part]:
    """Table quarantine, personal data redacted."""
    day = whole(rows["ds"]).cast(pa.int32()).fill_null(0).to_numpy(zero_copy_only=False)
    for value, chosen in _days(day, refused):
        picked = pa.array(chosen)
        columns = {
            "source": pa.array(["events"] * len(chosen)),
            "file": whole(rows["file"]).take(picked),
            "raw": redact_texts(whole(rows["raw"]).take(picked)),
            "reasons": whole(rows["reasons"]).take(picked),
        }
        yield (
            "quarantine",
            value,
            pa.table({name: columns[name] for name in TABLES["quarantine"].names if name != "ds"}),
        )
