"""What one action is to the others of its user and item: a repeat, the click that an impression caused, an order undone."""

from dataclasses import dataclass, fields

import numpy as np

from attune.clean.rules import Rules
from attune.schemas import EVENT_TYPES

DAY_MICROS = 86_400_000_000
IMPRESSION, CLICK, PURCHASE, REFUND = map(EVENT_TYPES.index, ("impression", "click", "purchase", "refund"))


@dataclass(frozen=True)
class Actions:
    """All actions of some users, as arrays of one length, in any order."""

    user: np.ndarray
    """Code of the user, int32."""
    item: np.ndarray
    """Code of the item, int32; -1 for none."""
    micros: np.ndarray
    """Time since 1970, UTC, in microseconds, int64."""
    kind: np.ndarray
    """Place of the type in ``EVENT_TYPES``, int8."""
    detail: np.ndarray
    """Hash of what else makes two actions different, int64."""
    identity: np.ndarray
    """Hash of the id, int64."""
    known: np.ndarray
    """Whether an earlier run kept it, bool."""

    def __len__(self) -> int:
        return len(self.user)

    @property
    def day(self) -> np.ndarray:
        """Days since 1970, UTC."""
        return self.micros // DAY_MICROS

    def take(self, rows: np.ndarray) -> "Actions":
        """Chosen actions, in the order given."""
        return Actions(*(getattr(self, field.name)[rows] for field in fields(self)))


@dataclass(frozen=True)
class Relations:
    """What each action is to the others; rows are named by their place, -1 is none."""

    repeat: np.ndarray
    """Whether it is none but the first of equal actions within ``near_duplicate_seconds``."""
    click: np.ndarray
    """Of an impression: the next click on the item by the user, unless it was shown again before, within
    ``click_window_minutes``."""
    order: np.ndarray
    """Of a refund: the latest order of the item by the user within ``refund_days`` before."""
    first_of_day: np.ndarray
    """Whether it is the first of its user, item and day."""


def relate(actions: Actions, rules: Rules) -> Relations:
    """Find repeats, clicks of impressions and orders of refunds. One sort, by time within the user's item.

    Within one span of ``near_duplicate_seconds`` actions count in the order of the funnel. Of equal ones the earliest
    stays, and of those one that an earlier run kept.
    """
    slot = actions.micros // (int(rules.near_duplicate_seconds * 1e6) or 1)
    order = _in_order(actions, slot)
    at = actions.take(order)
    same_item = _as_before(at.user) & _as_before(at.item)
    same_day = same_item & _as_before(at.day)
    repeat = same_item & _as_before(slot[order]) & _as_before(at.kind) & _as_before(at.detail)
    group = np.cumsum(~same_item)
    seen = np.flatnonzero(~repeat & np.isin(at.kind, (IMPRESSION, CLICK)))
    click = _next_click(at, seen, group, int(rules.click_window_minutes * 60e6))
    bought = _latest_order(at, ~repeat & (at.kind == PURCHASE), group, rules.refund_days * DAY_MICROS)
    return Relations(
        *(_back(order, values) for values in (repeat, _rows(order, click), _rows(order, bought), ~same_day))
    )


def _in_order(actions: Actions, slot: np.ndarray) -> np.ndarray:
    """Rows by user, item and time; those of one span by kind, detail, time, and known ones first among equals."""
    pair = actions.user.astype(np.int64) * (int(actions.item.max(initial=0)) + 2) + actions.item + 1
    order = np.lexsort((actions.micros, pair))
    # Few rows share a span, so only these are sorted by all that tells them apart.
    equal = _as_before(pair[order]) & _as_before(slot[order])
    near = np.flatnonzero(equal | np.append(equal[1:], False))
    some, rows = actions.take(order[near]), order[near]
    keys = (~some.known, some.identity, some.micros, some.detail, some.kind, slot[rows], pair[rows])
    order[near] = rows[np.lexsort(keys)]
    return order


def _next_click(at: Actions, seen: np.ndarray, group: np.ndarray, window: int) -> np.ndarray:
    found = np.full(len(at), -1)
    here, after = seen[:-1], seen[1:]
    waited = at.micros[after] - at.micros[here]
    caused = (group[here] == group[after]) & (at.kind[after] == CLICK) & (waited >= 0) & (waited <= window)
    caused &= at.kind[here] == IMPRESSION
    found[here[caused]] = after[caused]
    return found


def _latest_order(at: Actions, is_order: np.ndarray, group: np.ndarray, window: int) -> np.ndarray:
    latest = np.maximum.accumulate(np.where(is_order, np.arange(len(at)), -1)) if len(at) else np.empty(0, np.int64)
    undone = (at.kind == REFUND) & (latest >= 0) & (group[latest] == group) & (at.micros - at.micros[latest] <= window)
    return np.where(undone, latest, -1)


def _as_before(values: np.ndarray) -> np.ndarray:
    """Whether each value equals the one before it."""
    same = np.zeros(len(values), bool)
    same[1:] = values[1:] == values[:-1]
    return same


def _rows(order: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Places in the order as rows; -1 stays."""
    return np.where(places >= 0, order[places], -1) if len(order) else places


def _back(order: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values of ordered rows, as the rows came."""
    back = np.empty_like(values)
    back[order] = values
    return back
