"""One bad row in ten, of every kind, in every format: each is in quarantine with its file and a reason that fits."""

import gzip
import json
import random
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attune.jobs.clean import clean
from attune.tables import Tables
from inputs.declared import COLUMNS, SCHEMA, rows, write_csv, write_json

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NUM_GOOD, NUM_BAD = 450, 10
"""Good rows, and bad rows of each kind; five kinds make a tenth."""

VALUES: dict[str, dict[str, Any]] = {
    "user_id is missing": {"user": " "},
    "event_ts is missing or cannot be read": {"ts": "gestern"},
    "event_type is unknown": {"type": "zucken"},
    "price is negative": {"price": -1.0},
}
MISTYPED = '{"id": "x%d", "user": "u1", "item": "i1", "type": "view", "ts": "2020-01-09 09:00:00", "price": "dear"}'
LINES = {
    "json": {
        "line cannot be parsed": '{"id": "x%d", "user": "u',
        "price is not a double": MISTYPED,
    },
    "csv": {"line cannot be parsed": "x%d,u1,i1,click,2020-01-01"},
    "parquet": {"item_id is missing": None},
}


def _good() -> list[dict[str, Any]]:
    return [row | {"ts": f"2020-01-{n % 28 + 1:02d} {n // 28:02d}:30:00"} for n, row in enumerate(rows(NUM_GOOD))]


def _bad(changes: dict[str, Any]) -> list[dict[str, Any]]:
    return [row | {"id": f"bad{n}"} | changes for n, row in enumerate(rows(NUM_BAD))]


def _write(folder: Path, kind: str) -> dict[str, int]:
    """Two files with good and bad rows mixed; returns the rows refused by reason."""
    values = dict(VALUES)
    lines: dict[str, str] = {why: line for why, line in LINES[kind.partition(".")[0]].items() if line}
    if kind == "parquet":
        values["item_id is missing"] = {"item": None}
    elif kind.startswith("json"):
        values.pop("price is negative")
    table: list[dict[str, Any]] = [row for changes in values.values() for row in _bad(changes)]
    table += _good()
    random.Random(7).shuffle(table)
    for half, part in enumerate((table[::2], table[1::2])):
        file = folder / f"{half}.{kind}"
        if kind == "parquet":
            folder.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.Table.from_pylist(part), file)
            continue
        (write_csv if kind.startswith("csv") else write_json)(file, part)
        whole = gzip.decompress(file.read_bytes()) if kind.endswith("gz") else file.read_bytes()
        broken = "".join(f"{line}\n" % n for line in lines.values() for n in range(half, NUM_BAD, 2))
        file.write_bytes(gzip.compress(whole + broken.encode()) if kind.endswith("gz") else whole + broken.encode())
    return dict.fromkeys([*values, *lines], NUM_BAD)


@pytest.mark.parametrize("kind", ["json", "json.gz", "csv", "csv.gz", "parquet"])
def test_every_bad_row_is_accounted_for(spark: "SparkSession", tmp_path: Path, kind: str) -> None:
    """A row that vanishes, or is kept with nulls, falsifies every figure made from it."""
    reasons = _write(tmp_path / "raw" / "events", kind)
    text = kind != "parquet"
    source = {"path": "events", "format": kind.partition(".")[0], "columns": COLUMNS, "max_quarantine_share": 0.5}
    settings = {
        "workspace": str(tmp_path / "ws"), "as_of": "2020-02-01",
        "inputs": {"root": str(tmp_path / "raw"), "events": source | ({"schema": SCHEMA} if text else {})},
    }  # fmt: skip
    (tmp_path / "shop.yaml").write_text(json.dumps(settings))
    assert clean.main(["--config", str(tmp_path / "shop.yaml")]) == 0
    summary = json.loads(next(tmp_path.glob("ws/runs/*/summary.json")).read_text())
    account = summary["metrics"]["accounting"]["events"]
    assert account == {
        "rows_read": NUM_GOOD + sum(reasons.values()), "rows_kept": NUM_GOOD, "rows_quarantined": sum(reasons.values()),
        "duplicates_dropped": 0, "rows_forgotten": 0, "reasons": account["reasons"],
    }  # fmt: skip
    assert {why: account["reasons"][why] for why in reasons} == reasons

    quarantine = Tables(str(tmp_path / "ws"), spark).read("quarantine")
    found = quarantine.collect()
    assert quarantine.count() == len(found) == sum(reasons.values())
    for column in ("source", "file", "raw", "reasons"):
        assert len(quarantine.select(column).collect()) == len(found)
    told = Counter(why for row in found for why in row["reasons"])
    assert told == account["reasons"]
    assert all(row["reasons"] and row["raw"] for row in found)
    files = Counter(Path(row["file"]).name for row in found)
    assert set(files) == {f"0.{kind}", f"1.{kind}"}
    unparsed = [row for row in found if "line cannot be parsed" in row["reasons"]]
    assert all(row["reasons"] == ["line cannot be parsed"] for row in unparsed)
    broken = LINES[kind.partition(".")[0]].get("line cannot be parsed") or ""
    assert sorted(row["raw"] for row in unparsed) == sorted(broken % n for n in range(NUM_BAD) if broken)
