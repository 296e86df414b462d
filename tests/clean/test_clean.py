"""Cleaning loses no row, trusts none, and publishes nothing when an input is wrong."""

import gzip
import hashlib
import hmac
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from attune.jobs.clean import clean
from attune.tables import Tables

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

EVENTS = {
    "path": "events",
    "format": "json",
    "schema": "id STRING, user STRING, item STRING, type STRING, ts STRING, price DOUBLE, query STRING",
    "columns": {
        "event_id": "id",
        "user_id": "user",
        "item_id": "item",
        "event_type": "type",
        "event_ts": "try_to_timestamp(ts)",
        "value": "price",
        "price": "price",
        "query": "query",
    },
}


def event(
    number: int, user: str = "u1", item: str | None = "i1", kind: str = "click", **changes: Any
) -> dict[str, Any]:
    stamp = changes.pop("ts", f"2020-01-01T10:{number:02d}:00Z")
    return {"id": f"e{number}", "user": user, "item": item, "type": kind, "ts": stamp, "price": 2.5, **changes}


class Shop:
    """A workspace with raw inputs, and the clean job run on them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.inputs: dict[str, Any] = {"root": str(folder / "raw"), "events": EVENTS}
        (folder / "raw" / "events").mkdir(parents=True)

    def log(self, *lines: dict[str, Any] | str, file: str = "events/day.json") -> None:
        text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
        (self.folder / "raw" / file).write_text(text)

    def clean(self, **clean_settings: Any) -> int:
        settings = {
            "workspace": str(self.folder / "ws"),
            "as_of": "2020-02-01",
            "inputs": self.inputs,
            "clean": {"max_quarantine_share": 0.9, **clean_settings},
        }
        (self.folder / "shop.yaml").write_text(json.dumps(settings))
        return clean.main(["--config", str(self.folder / "shop.yaml")])

    @property
    def summary(self) -> dict[str, Any]:
        latest = max(self.folder.glob("ws/runs/*/summary.json"), key=lambda file: file.stat().st_mtime_ns)
        return json.loads(latest.read_text())


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.fixture
def rows(spark: "SparkSession", shop: Shop) -> Callable[[str], list[dict[str, Any]]]:
    def read(table: str) -> list[dict[str, Any]]:
        return [row.asDict() for row in Tables(str(shop.folder / "ws"), spark).read(table).collect()]

    return read


def test_every_row_is_kept_refused_with_reasons_or_a_duplicate(spark: "SparkSession", shop: Shop, rows: Any) -> None:
    good = [event(0), event(1, kind="purchase"), event(2, kind="search", item=None, query="mail a@b.example")]
    refused = {
        "line cannot be parsed": '{"id": "e10", "user": "u',
        "user_id is missing": event(11, user=" "),
        "event_ts is missing or cannot be read": event(12, ts="yesterday"),
        "event_ts is not before as_of": event(13, ts="2031-01-01T00:00:00Z"),
        "event_ts is before 1995-01-01": event(14, ts="1970-01-01T00:00:00Z"),
        "event_type is unknown": event(15, kind="klick"),
        "item_id is missing": event(16, item=None),
        "price is negative": event(17, price=-1.0),
    }
    shop.log(*good, good[0], *refused.values())
    assert shop.clean() == 0
    account = shop.summary["metrics"]["accounting"]["events"]
    reasons = account.pop("reasons")
    assert account == {
        "rows_read": 12,
        "rows_kept": 3,
        "rows_quarantined": 8,
        "duplicates_dropped": 1,
        "rows_forgotten": 0,
    }
    assert reasons == dict.fromkeys(refused, 1) | {"value has the wrong sign": 1}  # of the row with the negative price
    assert sorted(row["event_id"] for row in rows("events")) == ["e0", "e1", "e2"]
    assert next(row["query"] for row in rows("events") if row["event_type"] == "search") == "mail <email>"
    by_raw = {row["raw"]: row for row in rows("quarantine")}
    assert by_raw[refused["line cannot be parsed"]]["file"].endswith("/raw/events/day.json")
    assert all(row["reasons"] and row["source"] == "events" for row in by_raw.values())


def test_sessions_end_after_a_pause_and_hold_over_midnight(spark: "SparkSession", shop: Shop, rows: Any) -> None:
    shop.log(
        event(1, ts="2020-01-01T23:45:00Z"),
        event(2, ts="2020-01-02T00:15:00Z"),
        event(3, ts="2020-01-02T00:45:01Z", kind="purchase"),
        event(4, ts="2020-01-01T23:50:00Z", user="u2"),
    )
    assert shop.clean() == 0
    sessions = sorted((row["user_id"], row["num_events"], row["converted"]) for row in rows("sessions"))
    assert sessions == [("u1", 1, True), ("u1", 2, False), ("u2", 1, False)]
    of_event = {row["event_id"]: row["session_id"] for row in rows("events")}
    assert of_event["e1"] == of_event["e2"] != of_event["e3"]


def test_an_impression_is_clicked_only_by_a_later_click_on_the_item_in_the_session(
    spark: "SparkSession", shop: Shop, rows: Any
) -> None:
    shop.log(
        event(1, kind="impression", item="a"),
        event(2, kind="impression", item="b"),
        event(3, kind="click", item="a"),
        event(4, kind="impression", item="a"),
        event(5, kind="impression", item="a", user="u2"),
    )
    assert shop.clean() == 0
    assert {row["impression_id"]: row["clicked"] for row in rows("impressions")} == {
        "e1": True, "e2": False, "e4": False, "e5": False,
    }  # fmt: skip


def test_a_bot_is_refused_with_its_rows_counted(spark: "SparkSession", shop: Shop, rows: Any) -> None:
    shop.log(*(event(i, user="bot") for i in range(6)), event(7))
    assert shop.clean(bots={"events_per_day": 5}) == 0
    assert [row["user_id"] for row in rows("events")] == ["u1"]
    assert {(row["user_id"], row["bot_score"], row["bot_signal"]) for row in rows("bot_events")} == {
        ("bot", 1.2, "rate")
    }
    assert shop.summary["metrics"]["accounting"]["events"]["reasons"] == {"user acts like a bot": 6}


def test_rows_of_users_who_refused_do_not_get_past_cleaning(spark: "SparkSession", shop: Shop, rows: Any) -> None:
    shop.inputs["users"] = {
        "path": "users.json", "format": "json", "schema": "user STRING, ok BOOLEAN",
        "columns": {"user_id": "user", "consent": "ok"},
    }  # fmt: skip
    shop.log({"user": "u1", "ok": True}, {"user": "u2", "ok": False}, file="users.json")
    shop.log(event(1), event(2, user="u2"), event(3, user="u3"))
    assert shop.clean() == 0
    assert sorted(row["user_id"] for row in rows("events")) == ["u1", "u3"]
    assert [row["user_id"] for row in rows("users")] == ["u1"]


def test_one_item_comes_from_conflicting_rows(spark: "SparkSession", shop: Shop, rows: Any) -> None:
    shop.inputs = {"root": shop.inputs["root"], "items": {
        "path": "items.csv", "format": "csv", "schema": "sku STRING, name STRING, cost DOUBLE",
        "columns": {"item_id": "sku", "title": "name", "price": "cost"},
    }}  # fmt: skip
    lines = ["sku,name,cost", "1,Lamp,3", "1,LAMP?,9", "1,Lamp,4", "2,,5", "2,,5", '2,"Cup, ""big""",6']
    shop.log(*lines, file="items.csv")
    assert shop.clean() == 0
    assert sorted((r["item_id"], r["title"], r["price"]) for r in rows("items")) == [
        ("1", "Lamp", 4.0),
        ("2", 'Cup, "big"', 5.0),
    ]
    account = shop.summary["metrics"]["accounting"]["items"]
    assert (account["rows_read"], account["rows_kept"], account["duplicates_dropped"]) == (6, 2, 4)


def _missing_file(shop: Shop) -> None:
    shop.inputs["events"] = EVENTS | {"path": "evnts"}


def _bad_gzip(shop: Shop) -> None:
    (shop.folder / "raw" / "events" / "day.json.gz").write_bytes(b"this is not gzip at all, whatever its name says")


def _cut_gzip(shop: Shop) -> None:
    whole = gzip.compress("".join(json.dumps(event(i, query=f"{i * 7919}")) + "\n" for i in range(500)).encode())
    (shop.folder / "raw" / "events" / "day.json.gz").write_bytes(whole[: len(whole) // 2])


def _absent_column(shop: Shop) -> None:
    shop.inputs["events"] = EVENTS | {
        "path": "log.csv", "format": "csv", "schema": "user STRING, item STRING, type STRING, ts STRING",
        "columns": {"user_id": "user", "item_id": "item", "event_type": "type", "event_ts": "try_to_timestamp(ts)"},
    }  # fmt: skip
    shop.log("user,type,ts", "u1,click,2020-01-01", file="log.csv")


def _absent_json_column(shop: Shop) -> None:
    shop.log(*({k: v for k, v in event(i).items() if k != "user"} for i in range(3)))


def _wrong_type(shop: Shop) -> None:
    shop.log(*(event(i, price="cheap") for i in range(3)), event(4))
    shop.inputs["events"] = EVENTS | {"max_quarantine_share": 0.5}


def _too_many_bad_rows(shop: Shop) -> None:
    shop.log(*("{" for _ in range(3)), event(4))
    shop.inputs["events"] = EVENTS | {"max_quarantine_share": 0.5}


def _wrong_expression(shop: Shop) -> None:
    shop.inputs["events"] = EVENTS | {"columns": {**EVENTS["columns"], "device": "gadget"}}  # type: ignore[dict-item]


def _empty(shop: Shop) -> None:
    (shop.folder / "raw" / "events" / "day.json").write_text("")


@pytest.mark.parametrize(
    ("spoil", "status", "told"),
    [
        (_missing_file, 3, ["events", "raw/evnts does not exist", "mend inputs.events.path or inputs.root"]),
        (_bad_gzip, 3, ["events", "day.json.gz is not a readable gzip file"]),
        (_cut_gzip, 3, ["events", "day.json.gz is cut short"]),
        (_absent_column, 3, ["events", "log.csv has no column item", "inputs.events.schema"]),
        (
            _absent_json_column,
            3,
            ["events", "no row has a user_id: is user absent or renamed? mend inputs.events.columns.user_id"],
        ),
        (
            _wrong_type,
            3,
            ["events", "75.0% of 4 rows", "inputs.events.max_quarantine_share", "price is not a double: 3"],
        ),
        (_too_many_bad_rows, 3, ["events", "75.0% of 4 rows", "line cannot be parsed: 3"]),
        (_wrong_expression, 2, ["inputs.events.columns.device", "gadget"]),
        (_empty, 3, ["events is empty"]),
    ],
)
def test_a_wrong_input_is_named_and_nothing_published_changes(
    spark: "SparkSession", shop: Shop, rows: Any, spoil: Callable[[Shop], None], status: int, told: list[str]
) -> None:
    shop.log(event(1))
    assert shop.clean() == 0
    spoil(shop)
    assert shop.clean() == status
    for part in told:
        assert part in shop.summary["error"]
    assert shop.summary["exit_status"] == status
    assert "\n" not in shop.summary["error"]
    assert [row["event_id"] for row in rows("events")] == ["e1"]
    assert Tables(str(shop.folder / "ws")).version("events") == 0
    assert list((shop.folder / "ws" / "tables").rglob("_staging-*")) == []


def test_users_get_pseudonyms_and_days_may_not_change_the_key(
    spark: "SparkSession", shop: Shop, rows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "0123456789abcdef0123456789abcdef"
    monkeypatch.setenv("SHOP_KEY", key)
    shop.inputs["users"] = {
        "path": "users.json", "format": "json", "schema": "user STRING, ok BOOLEAN",
        "columns": {"user_id": "user", "consent": "ok"},
    }  # fmt: skip
    shop.log({"user": "u1", "ok": True}, {"user": "u2", "ok": False}, file="users.json")
    shop.log(event(1), event(2, user=" u1 "), event(3, user="u2"), event(4, user=""))
    assert shop.clean(pseudonym_key="env:SHOP_KEY") == 0
    expected = hmac.digest(key.encode(), b"u1", "sha256").hex()[:32]
    assert [row["user_id"] for row in rows("events")] == [expected] * 2
    assert [(row["user_id"], row["key_id"]) for row in rows("users")] == [
        (expected, hashlib.sha256(key.encode()).hexdigest()[:8])
    ]
    assert shop.summary["metrics"]["accounting"]["events"]["reasons"] == {
        "user did not consent": 1,
        "user_id is missing": 1,
    }
    monkeypatch.setenv("SHOP_KEY", key[::-1])
    settings = ["--config", str(shop.folder / "shop.yaml"), "--since", "2020-01-01"]
    assert clean.main(settings) == 3
    assert "was made with pseudonym key" in shop.summary["error"]
    assert [row["user_id"] for row in rows("events")] == [expected] * 2
    monkeypatch.delenv("SHOP_KEY")
    assert clean.main(settings) == 2
    assert "env:SHOP_KEY is not set" in shop.summary["error"]


def test_a_refund_names_the_latest_order_of_the_item_by_the_user(spark: "SparkSession", shop: Shop, rows: Any) -> None:
    shop.log(
        event(1, kind="purchase"),
        event(2, kind="purchase"),
        event(3, kind="purchase", item="other"),
        event(4, kind="refund", price=-2.5),
        event(5, kind="purchase"),
        event(6, kind="refund", price=-2.5, user="u2"),
    )
    shop.inputs["events"] = EVENTS | {"columns": {k: v for k, v in EVENTS["columns"].items() if k != "price"}}  # type: ignore[attr-defined]
    assert shop.clean() == 0
    found = {row["event_id"]: row["refund_of"] for row in rows("events")}
    assert found == {"e1": None, "e2": None, "e3": None, "e4": "e2", "e5": None, "e6": None}


def test_equal_actions_of_one_second_count_once_but_orders_by_their_id(
    spark: "SparkSession", shop: Shop, rows: Any
) -> None:
    at = "2020-01-01T10:00:00"
    shop.log(
        event(1, ts=f"{at}.100Z"),
        event(2, ts=f"{at}.700Z"),
        event(3, ts="2020-01-01T10:00:02Z"),
        event(4, ts=f"{at}.200Z", kind="purchase"),
        event(5, ts=f"{at}.300Z", kind="purchase"),
        event(5, ts=f"{at}.300Z", kind="purchase"),
        event(6, ts=f"{at}.200Z", kind="view"),
    )
    assert shop.clean() == 0
    assert sorted(row["event_id"] for row in rows("events")) == ["e1", "e3", "e4", "e5", "e6"]
    assert shop.summary["metrics"]["accounting"]["events"]["duplicates_dropped"] == 2
    assert shop.clean(near_duplicate_seconds=0) == 0
    assert sorted(row["event_id"] for row in rows("events")) == ["e1", "e2", "e3", "e4", "e5", "e6"]


def test_a_user_of_many_items_or_of_one_rhythm_is_a_bot(spark: "SparkSession", shop: Shop, rows: Any) -> None:
    people = [event(n, ts=f"2020-01-01T10:{n * n % 60:02d}:{n}Z", item="i1") for n in range(20, 40)]
    broad = [
        event(n, user="broad", item=f"i{n}", ts=f"2020-01-01T{n % 24:02d}:{n * n % 60:02d}:00Z") for n in range(50, 70)
    ]
    steady = [event(n, user="steady", ts=f"2020-01-01T11:{n % 60:02d}:00Z") for n in range(100, 120)]
    shop.log(*people, *broad, *steady)
    assert (
        shop.clean(bots={"events_per_day": 1000, "items_per_day": 15, "min_events": 10, "min_pause_variation": 0.2})
        == 0
    )
    signals = {row["user_id"]: row["bot_signal"] for row in rows("bot_events")}
    assert signals == {"broad": "breadth", "steady": "regularity"}
    assert {row["user_id"] for row in rows("events")} == {"u1"}
