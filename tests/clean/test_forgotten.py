"""Erased users are told by hashes that show nothing of them, also in rows that cannot be read."""

import json
from dataclasses import replace

import pyarrow as pa
import pytest

from attune.clean.forgotten import Forgotten, hash_id
from attune.clean.rules import State
from attune.clean.visits import FORGOTTEN, READ, settle_users
from clean.test_visits import RULES, make_rows, table_of

SALT = "5a" * 16
ERASED = Forgotten(SALT, frozenset({hash_id("u0000017", SALT), hash_id("jo smith", SALT), hash_id("a:b", SALT)}))


def test_hashes_show_no_id_and_differ_by_workspace() -> None:
    assert "u0000017" in ERASED
    assert " u0000017 " in ERASED
    assert "u000001" not in ERASED
    assert hash_id("u0000017", SALT) != hash_id("u0000017", "other")
    assert len(hash_id("u0000017", SALT)) == 32
    assert "0000017" not in repr(ERASED)


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        ('{"user":"u0000017","item":"i1"}', True),
        ('{"user": "u0000017, "it', True),
        ("1;u0000017;i2", True),
        ("a,jo smith,b", True),
        ('{"who": "a:b"}', True),
        ("/path?user=u0000017&x", True),
        (json.dumps({"u": "u0000017", "x": "ü"}), True),
        ('{"user":"u00000170"}', False),
        ("jo", False),
        ("", False),
        ("[" * 5000, False),
    ],
)
def test_refused_rows_that_name_an_erased_user_are_known(raw: str, named: bool) -> None:
    assert ERASED.named_in(raw) == named


def test_rows_of_erased_users_are_counted_and_leave_nothing() -> None:
    """Of rows that were read, what is kept, refused, dropped as a repeat and forgotten adds up."""
    rows = make_rows(7)
    for number, row in enumerate(rows[:60]):
        if number < 20:
            row.update(
                {name: None for name in row} | {"_key": 1, "_state": State.FORGOTTEN, "_detail": 0, "_identity": 0}
            )
        elif number < 40:
            raw = f"x;{'u0000017' if number < 30 else 'u0000018'};"
            row.update(_state=State.REFUSED, raw=raw, reasons=["bad"], file="f", ds=18322)
    rules = replace(RULES, forgotten=ERASED)
    parts, counts = settle_users(table_of(rows), rules)
    tables: dict[str, list[pa.Table]] = {}
    for name, _, part in parts:
        tables.setdefault(name, []).append(part)
    assert counts[FORGOTTEN] == 30
    assert counts[READ] == len(rows)
    kept = sum(len(part) for name in ("events", "impressions", "bot_events") for part in tables[name])
    refused = pa.concat_tables(tables["quarantine"])
    assert kept + len(refused) + counts["repeats"] + 30 == len(rows)
    assert set(refused["raw"].to_pylist()) == {"x;u0000018;"}
    _, without = settle_users(table_of(rows), RULES)
    assert without[FORGOTTEN] == 20
