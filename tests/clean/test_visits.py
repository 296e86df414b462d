"""What the actions of some users say of each other, against a slow reading of the same rules row by row."""

import datetime as dt
import json
import random
from collections import Counter, defaultdict
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest

from attune.clean.actions import DAY_MICROS
from attune.clean.rules import ARRANGED, BotLimits, Rules, State
from attune.clean.visits import settle_users
from attune.config import load
from attune.schemas import EVENT_TYPES, TABLES

RULES = replace(Rules.of(load(["demo"]).clean), bots=BotLimits(25, 9, 0.2, 8), refund_days=2)
START = int(dt.datetime(2020, 3, 1, 22, tzinfo=dt.UTC).timestamp() * 1e6)
TYPES = {
    "_key": pa.int64(), "_state": pa.int8(), "_kind": pa.int8(), "event_ts": pa.timestamp("us", "UTC"), "value": pa.float64(),
    "quantity": pa.float64(), "price": pa.float64(), "propensity": pa.float64(), "position": pa.int32(), "_detail": pa.int64(),
    "_identity": pa.int64(), "reasons": pa.list_(pa.string()), "ds": pa.date32(),
}  # fmt: skip


def make_rows(seed: int, number: int = 400) -> list[dict[str, Any]]:
    """Rows of few users and items that lie close together, so that every rule meets its edges; some are copies."""
    draw = random.Random(seed)
    rows: list[dict[str, Any]] = []
    for n in range(number):
        user, kind = draw.randrange(6), draw.randrange(len(EVENT_TYPES))
        item = None if EVENT_TYPES[kind] == "search" else f"i{draw.randrange(4 if user else 40)}"
        micros = START + draw.choice([1, 7, 60, 1800]) * 1_000_000 * draw.randrange(120) + draw.choice([0, 250_000])
        row = dict.fromkeys(ARRANGED) | {
            "_key": user * 7919, "_state": State.NEW, "event_id": f"e{n}", "user_id": f"u{user}", "item_id": item, "_kind": kind,
            "event_ts": micros, "session_id": "own" if draw.random() < 0.1 else None, "_detail": draw.randrange(2),
            "_identity": n * 7919 % 1009, "query": draw.choice([None, "lamp", "jo@example.com"]) if item is None else None,
        }  # fmt: skip
        rows.append(row)
        if draw.random() < 0.15:
            rows.append(row | {"event_ts": micros + draw.choice([0, 100_000, 900_000])})
    draw.shuffle(rows)
    return rows


def table_of(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.table({name: pa.array([row[name] for row in rows], TYPES.get(name, pa.string())) for name in ARRANGED})


def settled(rows: list[dict[str, Any]], rules: Rules = RULES) -> tuple[dict[str, list[dict[str, Any]]], Counter[str]]:
    parts, counts = settle_users(table_of(rows), rules)
    told: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for name, day, part in parts:
        assert part.column_names == [column for column in TABLES[name].names if column != "ds"]
        told[name] += [row | {"ds": day} for row in part.to_pylist()]
    return told, counts


class Oracle:
    """The rules as they are worded, one row at a time."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.kept = self._without_repeats(rows)

    @staticmethod
    def _detail(row: dict[str, Any]) -> object:
        by_id = EVENT_TYPES[row["_kind"]] in ("purchase", "refund")
        return row["event_id"] if by_id else (row["_detail"], row["query"])

    def _without_repeats(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        first: dict[object, dict[str, Any]] = {}
        for row in rows:
            key = (row["user_id"], row["item_id"], row["event_ts"] // 1_000_000, row["_kind"], self._detail(row))
            now = first.setdefault(key, row)
            if (row["event_ts"], row["_identity"]) < (now["event_ts"], now["_identity"]):
                first[key] = row
        return list(first.values())

    def sessions(self) -> dict[str, object]:
        """Session of each event id: the log's own, or user and number of the visit."""
        found: dict[str, object] = {}
        for user in {row["user_id"] for row in self.kept}:
            last, visit = None, 0
            for row in sorted((r for r in self.kept if r["user_id"] == user), key=lambda r: r["event_ts"]):
                if last is not None and row["event_ts"] - last > RULES.session_gap_minutes * 60e6:
                    visit += 1
                last = row["event_ts"]
                found[row["event_id"]] = row["session_id"] or (user, visit)
        return found

    def bots(self) -> set[tuple[str, int]]:
        """Users and days over a limit."""
        found = set()
        days: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
        for row in self.kept:
            days[row["user_id"], row["event_ts"] // DAY_MICROS].append(row)
        for day, rows in days.items():
            times = sorted(row["event_ts"] / 1e6 for row in rows)
            pauses = [b - a for a, b in pairwise(times)]
            mean = sum(pauses) / len(pauses) if pauses else 0
            regular = False
            if len(rows) >= RULES.bots.min_events and mean > 0:
                deviation = (sum((p - mean) ** 2 for p in pauses) / len(pauses)) ** 0.5
                regular = deviation / mean < RULES.bots.min_pause_variation
            broad = len({row["item_id"] for row in rows} - {None}) > RULES.bots.items_per_day
            if len(rows) > RULES.bots.events_per_day or broad or regular:
                found.add(day)
        return found

    def click_of(self, row: dict[str, Any]) -> int | None:
        """When the next look at the item was, if it is a click in time."""
        here = self.span(row)
        looks = [r for r in self.kept if self.span(r)[:2] == here[:2] and self.span(r) > here
                 and EVENT_TYPES[r["_kind"]] in ("impression", "click")]  # fmt: skip
        if not looks:
            return None
        after = min(looks, key=self.span)
        waited = after["event_ts"] - row["event_ts"]
        caused = EVENT_TYPES[after["_kind"]] == "click" and 0 <= waited <= RULES.click_window_minutes * 60e6
        return int(after["event_ts"]) if caused else None

    @staticmethod
    def span(row: dict[str, Any]) -> tuple[Any, ...]:
        """User and item, second, and place in the funnel."""
        return row["user_id"], row["item_id"] or "", row["event_ts"] // 1_000_000, row["_kind"]


@pytest.mark.parametrize("seed", range(8))
def test_decisions_are_those_of_the_rules_read_row_by_row(seed: int) -> None:
    rows = make_rows(seed)
    told, counts = settled(rows)
    oracle = Oracle(rows)
    assert counts == {"read": len(rows), "repeats": len(rows) - len(oracle.kept)}
    acted = told["events"] + told["bot_events"] + [
        row | {"event_id": row["impression_id"], "event_ts": row["shown_ts"], "event_type": "impression"} for row in told["impressions"]
    ]  # fmt: skip
    moment = lambda row: int(row["event_ts"].timestamp() * 1e6 + 0.5)
    assert Counter((row["event_id"], moment(row)) for row in acted) == Counter(
        (row["event_id"], row["event_ts"]) for row in oracle.kept
    )
    bots = {(row["user_id"], moment(row) // DAY_MICROS) for row in told["bot_events"]}
    assert bots == oracle.bots()
    assert all(row["ds"] == str(row["event_ts"].date()) for row in told["events"] + told["bot_events"])

    expected = oracle.sessions()
    one_of = {row["event_id"]: (row["user_id"], row["session_id"]) for row in acted}
    groups: dict[object, set[object]] = defaultdict(set)
    for event_id, session in expected.items():
        user = one_of[event_id][0]
        groups[user, session].add(one_of[event_id])
    assert all(len(ids) == 1 for ids in groups.values()), "one session has one id"
    assert len({next(iter(ids)) for ids in groups.values()}) == len(groups), "and no two share one"

    spans = Counter(map(oracle.span, oracle.kept))
    sources = {(row["event_id"], row["event_ts"]): row for row in oracle.kept}
    for row in acted:
        source = sources[row["event_id"], moment(row)]
        # Of two looks within a second only the last can have been clicked, so these are left out.
        if "clicked" in row and spans[oracle.span(source)] == 1:
            clicked = row["click_ts"] and int(row["click_ts"].timestamp() * 1e6 + 0.5)
            assert clicked == oracle.click_of(source)
            assert row["clicked"] == (clicked is not None)
    people = [(row["user_id"], row["session_id"]) for row in told["events"] + told["impressions"]]
    assert {(r["user_id"], r["session_id"]): r["num_events"] for r in told["sessions"]} == Counter(people)


@pytest.mark.parametrize("seed", range(4))
def test_the_order_in_which_rows_arrive_changes_nothing(seed: int) -> None:
    rows = make_rows(seed)
    told, counts = settled(rows)
    again, counts_again = settled(random.Random(seed).sample(rows, len(rows)))
    by_text = lambda found: {name: Counter(map(str, part)) for name, part in found.items()}
    assert by_text(again) == by_text(told)
    assert counts_again == counts


def test_refused_rows_keep_their_reasons_and_lose_personal_data() -> None:
    refused = dict.fromkeys(ARRANGED) | {
        "_key": 1, "_state": State.REFUSED, "_detail": 0, "_identity": 0, "file": "f.json", "raw": "mail jo@example.com",
        "reasons": ["user_id is missing", "price is negative"], "ds": dt.date(2020, 3, 2),
    }  # fmt: skip
    told, counts = settled([refused, *make_rows(1, 20)])
    assert told["quarantine"] == [
        {
            "source": "events",
            "file": "f.json",
            "raw": "mail <email>",
            "reasons": refused["reasons"],
            "ds": "2020-03-02",
        }
    ]
    assert counts["refused " + json.dumps(refused["reasons"])] == 1


def test_only_refused_rows_and_no_rows_are_fine() -> None:
    refused = dict.fromkeys(ARRANGED) | {
        "_key": 1, "_state": State.REFUSED, "_detail": 0, "_identity": 0, "file": "f", "raw": "x", "reasons": ["y"],
        "ds": dt.date(2020, 3, 2),
    }  # fmt: skip
    told, counts = settled([refused])
    assert {name: len(rows) for name, rows in told.items() if rows} == {"quarantine": 1}
    assert counts == {"read": 1, "repeats": 0, 'refused ["y"]': 1}
    assert settled([]) == ({}, {"read": 0, "repeats": 0})


def test_an_order_of_earlier_days_is_found_and_not_written_again() -> None:
    def row(event_id: str, kind: str, minutes: int, **more: Any) -> dict[str, Any]:
        return dict.fromkeys(ARRANGED) | {
            "_key": 5, "_state": State.NEW, "event_id": event_id, "user_id": "u", "item_id": "i", "_kind": EVENT_TYPES.index(kind),
            "event_ts": START + minutes * 60_000_000, "_detail": 1, "_identity": len(event_id), **more,
        }  # fmt: skip

    known = {"_state": State.KNOWN, "session_id": "s-" + "0" * 32}
    rows = [
        row("bought", "purchase", -1440, _state=State.CONTEXT), row("back", "refund", 5), row("far", "refund", 6000),
        row("seen", "view", 1, **known),
        row("seen", "view", 1),
    ]  # fmt: skip
    told, counts = settled(rows)
    assert counts == {"read": 3, "repeats": 1}
    found = {r["event_id"]: r for r in told["events"]}
    assert set(found) == {"back", "far", "seen"}
    assert (found["back"]["refund_of"], found["far"]["refund_of"]) == ("bought", None)
    assert found["seen"]["session_id"] == found["back"]["session_id"] == "s-" + "0" * 32, "a known session goes on"
