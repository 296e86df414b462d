"""Texts made to break a reader: the clean job ends well, loses no row, and leaves tables that other programs can read."""

import csv
import io
import json
import random
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from attune.jobs.clean import clean

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NUM_TEXTS = 1000
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
PIECES = (
    "\x00", "\x01\x02", "\x1b[31m", "\x7f", "\x85", "\u2028", "\u2029", "\ufeff", "\ufffe", "\U0001ffff", "\ufdd0",
    "\u200b", "\u200d", "\u200c", "\u2060", "\u00ad", "\u202e", "\u2066", "\u200f", "\U000e0061", "\ue000", "\ud800", "\udfff",
    "e\u0301", "\u0301" * 80, "Å", "ﬁ", "İ", "ß", "ı", "\u1e9e", FAMILY, "❤\ufe0f", "1\ufe0f\u20e3", "🇩🇪", "很好", "用了一周",
    "नमस्ते", "مرحبا", "שלום", "ไทย", "\ud83d\ude00", "<b>", "</b>", "<script>alert(1)</script>", "<!--", "<![CDATA[", "<" * 50,
    "&amp;amp;lt;", "&#0;", "&#xD800;", "&#x110000;", "&" * 50, '"', "'", '""', "\\", "\\\\", "\\n", "\\u0000", "\\ud800", ",", ";",
    "\t", "|", "{", "}", "[", "]", ":", '{"a":', "null", "NaN", "-Infinity", "true", "=cmd|' /C calc'!A0", "@SUM(1)", "+1", "-1",
    "'; DROP TABLE reviews; --", "${jndi:ldap://x}", "$1", "\\1", "\\Q\\E", "(?i)", "%s%n", "{0}", "../../etc/passwd",
    "__HIVE_DEFAULT_PARTITION__", "file:///", "#", "//", "0", "1e999", "2020-01-01", "9" * 40, "a" * 3000, "word ", "jo@x.example ",
)  # fmt: skip
BROKEN_UTF8 = (b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe4\xb8", b"\x80" * 9)


def hostile_texts() -> list[str]:
    dice = random.Random(30)
    texts = ["".join(dice.choices(PIECES, k=dice.randint(1, 9))) for _ in range(NUM_TEXTS - len(PIECES) - 2)]
    return [*PIECES, *texts, "x" * 300_000, "很" * 100_000]


TEXTS = hostile_texts()
REVIEWS = {"id": "id", "user": "user", "item": "item", "title": "title", "body": "body", "stars": "stars", "ts": "ts"}
EVENTS = {"id": "id", "user": "user", "item": "item", "type": "type", "query": "query", "ts": "ts"}


def review(number: int, text: str) -> dict[str, str]:
    other = TEXTS[(number * 7 + 3) % len(TEXTS)]
    return {"id": f"r{number}", "user": f"u{number}", "item": f"i{number % 50}", "title": other[:200], "body": text,
            "stars": str(number % 5 + 1), "ts": "2020-01-01T10:00:00Z"}  # fmt: skip


def event(number: int, text: str) -> dict[str, str]:
    return {"id": f"e{number}", "user": f"u{number}", "item": f"i{number % 50}", "type": "search", "query": text,
            "ts": f"2020-01-01T10:{number % 60:02d}:{number // 60:02d}Z"}  # fmt: skip


def declared(name: str, form: str, columns: dict[str, str]) -> dict[str, Any]:
    """An input whose columns are all text in the file."""
    ours = {"reviews": {"review_id": "id", "user_id": "user", "item_id": "item", "title": "title", "body": "body",
                        "rating": "stars", "review_ts": "try_to_timestamp(ts)"},
            "events": {"event_id": "id", "user_id": "user", "item_id": "item", "event_type": "type", "query": "query",
                       "event_ts": "try_to_timestamp(ts)"}}[name]  # fmt: skip
    schema = ", ".join(f"{column} STRING" for column in columns)
    return {"path": f"{name}.{form}", "format": form, "schema": schema, "columns": ours, "max_quarantine_share": 1}


def json_line(row: dict[str, str], number: int) -> bytes:
    """A line with escapes, in UTF-8 as it is, with bytes that are no UTF-8, or cut short."""
    kind = number % 5
    if kind in (0, 1) or any("\ud800" <= c <= "\udfff" for value in row.values() for c in value):
        return json.dumps(row).encode()
    line = json.dumps(row, ensure_ascii=False).encode()
    if kind == 3:
        return line.replace(b'"ts"', b'"' + BROKEN_UTF8[number % len(BROKEN_UTF8)] + b'": "x", "ts"')
    return line[: max(20, len(line) // 2)] if kind == 4 else line


def csv_line(row: dict[str, str], number: int) -> bytes:
    text = io.StringIO(newline="")
    flat = [value.replace("\n", " ").replace("\r", " ") for value in row.values()]
    csv.writer(text, lineterminator="").writerow(flat)
    line = text.getvalue().encode("utf-8", "surrogatepass")
    return line + BROKEN_UTF8[number % len(BROKEN_UTF8)] if number % 5 == 3 else line


def run_clean(folder: Path, form: str) -> dict[str, Any]:
    (folder / "raw").mkdir()
    inputs: dict[str, Any] = {"root": str(folder / "raw")}
    for name, columns, make in (("reviews", REVIEWS, review), ("events", EVENTS, event)):
        line = json_line if form == "json" else csv_line
        lines = [line(make(number, text), number) for number, text in enumerate(TEXTS)]
        head = [] if form == "json" else [",".join(columns).encode()]
        (folder / "raw" / f"{name}.{form}").write_bytes(b"\n".join([*head, *lines]) + b"\n")
        inputs[name] = declared(name, form, columns)
    settings = {
        "workspace": str(folder / "ws"),
        "as_of": "2020-02-01",
        "inputs": inputs,
        "clean": {"max_quarantine_share": 1},
    }
    (folder / "shop.yaml").write_text(json.dumps(settings))
    status = clean.main(["--config", str(folder / "shop.yaml")])
    summary = next(folder.glob("ws/runs/*/summary.json"))
    told: dict[str, Any] = json.loads(summary.read_text())
    assert status == 0, told.get("error")
    return told


def rows_of(folder: Path, table: str) -> list[dict[str, Any]]:
    """Rows as another program than Spark reads them; strings that are no UTF-8 fail here."""
    from deltalake import DeltaTable

    where = folder / "ws" / "tables" / table
    return [row for uri in DeltaTable(str(where)).file_uris() for row in pq.ParquetFile(uri).read().to_pylist()]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["json", "csv"])
def test_hostile_texts_fail_no_job_and_lose_no_row(spark: "SparkSession", tmp_path: Path, form: str) -> None:
    accounts = run_clean(tmp_path, form)["metrics"]["accounting"]
    quarantine = rows_of(tmp_path, "quarantine")
    for name, key in (("reviews", "review_id"), ("events", "event_id")):
        account = accounts[name]
        assert account["rows_read"] == NUM_TEXTS
        parts = ("rows_kept", "rows_quarantined", "duplicates_dropped")
        assert sum(account[part] for part in parts) == NUM_TEXTS
        kept = rows_of(tmp_path, name)
        refused = [row["raw"] for row in quarantine if row["source"] == name]
        assert (len(kept), len(refused)) == (account["rows_kept"], account["rows_quarantined"])
        assert len(kept) > NUM_TEXTS * 0.6
        assert len({row[key] for row in kept}) == len(kept)
        for row in kept:
            text = " ".join(row[column] or "" for column in ("title", "body", "query") if column in row)
            assert len(text) <= 40_001
            assert name == "events" or not any(unicodedata.category(c) == "Cc" and c != "\n" for c in text)
            assert name == "events" or not set(text) & set("\u202e\u2066\u200b\ufeff\ufffe")
    bodies = {row["review_id"]: row["body"] for row in rows_of(tmp_path, "reviews")}
    intact = [
        f"r{TEXTS.index(text)}" for text in (FAMILY, "很好", "नमस्ते", "🇩🇪", "❤\ufe0f") if TEXTS.index(text) % 5 < 3
    ]
    assert intact
    assert [bodies[key] for key in intact] == [TEXTS[int(key[1:])] for key in intact]
