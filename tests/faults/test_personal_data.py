"""Personal data in the raw logs reach no table, no quarantine, no log, no summary and no error of ours."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

PLANTED = {
    "email": "jo.planted@mail.example.com",
    "phone": "+44 20 7946 0123",
    "card": "4111 1111 1111 1111",
    "iban": "GB82 WEST 1234 5698 7654 32",
    "ip": "203.0.113.77",
    "handle": "@jo_planted",
}
TEXT = "great lamp, " + ", ".join(PLANTED.values()) + ", thanks"
ESCAPED = TEXT.replace("@", r"\u0040").replace("4111", r"\u0034111").replace("+", r"\u002b")
HITS = ("jo.planted", "jo_planted", "7946 0123", "4111 1111", "1111 1111", "WEST 1234", "203.0.113.77", r"\u0040mail")
SCHEMAS = {
    "events": "id STRING, user STRING, item STRING, type STRING, ts STRING, price DOUBLE, query STRING",
    "reviews": "id STRING, user STRING, item STRING, title STRING, body STRING, stars DOUBLE, ts STRING",
    "items": "item STRING, name STRING, about STRING, path STRING, maker STRING, price DOUBLE",
    "users": "user STRING, region STRING, ok BOOLEAN",
}
COLUMNS = {
    "events": {"event_id": "id", "user_id": "user", "item_id": "item", "event_type": "type", "query": "query",
               "event_ts": "try_to_timestamp(ts)", "value": "price", "price": "price"},
    "reviews": {"review_id": "id", "user_id": "user", "item_id": "item", "title": "title", "body": "body", "rating": "stars",
                "review_ts": "try_to_timestamp(ts)"},
    "items": {"item_id": "item", "title": "name", "description": "about", "category": "path", "brand": "maker",
              "price": "price"},
    "users": {"user_id": "user", "region": "region", "consent": "ok"},
}  # fmt: skip
GOOD: dict[str, dict[str, Any]] = {
    "events": {
        "id": "e1",
        "user": "u1",
        "item": None,
        "type": "search",
        "ts": "2020-01-01T10:00:00Z",
        "price": 1,
        "query": TEXT,
    },
    "reviews": {
        "id": "r1",
        "user": "u1",
        "item": "i1",
        "title": TEXT,
        "body": TEXT,
        "stars": 5,
        "ts": "2020-01-01T10:00:00Z",
    },
    "items": {"item": "i1", "name": TEXT, "about": TEXT, "path": TEXT, "maker": TEXT, "price": 1},
    "users": {"user": "u1", "region": TEXT, "ok": True},
}


def lines(name: str) -> list[str]:
    """A good row; values of another type or meaning; lines cut short, escaped or not JSON at all."""
    good = GOOD[name]
    mistyped = next(key for key in ("price", "stars", "ok") if key in good)
    first = next(iter(good))
    return [
        json.dumps(good),
        json.dumps(good | {mistyped: TEXT}),
        json.dumps(
            good | {key: TEXT for key in ("ts", "type") if key in good} | {first: "" if name != "events" else "e2"}
        ),
        json.dumps(good | {first: None, "user": None, "item": None}),
        json.dumps(good | {"extra": TEXT})[:-2],
        '{"' + ESCAPED,
        TEXT,
        json.dumps({"text": TEXT}, ensure_ascii=True)[:-1].replace("@", r"\u0040"),
    ]


class Shop:
    """A workspace and raw logs full of personal data; the job runs as a user runs it, with Spark's event log on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.inputs: dict[str, Any] = {"root": str(folder / "raw")}
        (folder / "raw").mkdir()
        (folder / "spark_events").mkdir()
        for name, schema in SCHEMAS.items():
            (folder / "raw" / f"{name}.json").write_text("\n".join(lines(name)) + "\n")
            self.inputs[name] = {
                "path": f"{name}.json",
                "format": "json",
                "schema": schema,
                "columns": dict(COLUMNS[name]),
            }

    def clean(self) -> "subprocess.CompletedProcess[str]":
        settings = {
            "workspace": str(self.folder / "ws"), "as_of": "2020-02-01", "inputs": self.inputs,
            "clean": {"max_quarantine_share": 1},
            "spark": {"spark.eventLog.enabled": True, "spark.eventLog.dir": (self.folder / "spark_events").as_uri(),
                      "spark.eventLog.compress": False, "spark.ui.enabled": False},
        }  # fmt: skip
        (self.folder / "shop.yaml").write_text(json.dumps(settings))
        lib = str(Path(__file__).parents[2] / "lib")
        return subprocess.run(
            [sys.executable, "-m", "attune", "clean", "--config", str(self.folder / "shop.yaml")],
            capture_output=True, text=True, timeout=280, check=False, cwd=self.folder,
            env=os.environ | {"PYTHONPATH": lib, "SPARK_LOCAL_IP": "127.0.0.1"},
        )  # fmt: skip

    def texts(self) -> Iterator[tuple[str, str]]:
        """Everything the run left, as text, with where it lies; Parquet files are decoded."""
        for file in sorted([*(self.folder / "ws").rglob("*"), *(self.folder / "spark_events").rglob("*")]):
            if file.suffix == ".parquet":
                yield str(file), json.dumps(pq.ParquetFile(file).read().to_pylist(), default=str, ensure_ascii=False)
            elif file.is_file():
                yield str(file), file.read_text(encoding="utf-8", errors="replace")

    def hits(self, *more: tuple[str, str]) -> list[tuple[str, str, str]]:
        """Where a raw datum lies, with what surrounds it."""
        return [
            (where, hit, text[max(0, text.find(hit) - 80) : text.find(hit) + 80])
            for where, text in (*self.texts(), *more) for hit in HITS if hit in text
        ]  # fmt: skip


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.mark.slow
def test_no_raw_datum_is_left_anywhere(shop: Shop) -> None:
    done = shop.clean()
    assert done.returncode == 0, done.stderr[-2000:]
    assert shop.hits(("stdout", done.stdout), ("stderr", done.stderr)) == []
    left = "".join(text for _, text in shop.texts())
    assert all(f"<{kind}>" in left for kind in PLANTED), "rows were lost rather than redacted"
    accounts = json.loads(next(shop.folder.glob("ws/runs/*/summary.json")).read_text())["metrics"]["accounting"]
    assert {name: account["rows_read"] for name, account in accounts.items()} == {
        name: len(lines(name)) for name in SCHEMAS
    }
    assert all(account["rows_quarantined"] >= 4 for account in accounts.values())


@pytest.mark.slow
def test_an_expression_that_fails_on_a_value_does_not_tell_it(shop: Shop) -> None:
    """ANSI mode quotes the value in its error; what we log and write of the error must not."""
    shop.inputs["events"]["columns"]["event_ts"] = "to_timestamp(ts)"
    done = shop.clean()
    assert done.returncode == 3, done.stderr[-2000:]
    ours = [(where, text) for where, text in shop.texts() if "spark_events" not in where]
    assert [(where, hit) for where, text in ours for hit in HITS if hit in text] == []
    assert "try_ form" in json.loads(next(shop.folder.glob("ws/runs/*/summary.json")).read_text())["error"]
