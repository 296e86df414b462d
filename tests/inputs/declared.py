"""A folder of raw files and the settings that declare it as an input."""

import csv
import gzip
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from attune import config
from attune.config import Config, Input

SCHEMA = "id STRING, user STRING, item STRING, type STRING, ts STRING, price DOUBLE"
COLUMNS = {
    "event_id": "id", "user_id": "user", "item_id": "item", "event_type": "type", "event_ts": "try_to_timestamp(ts)",
    "price": "price",
}  # fmt: skip


def declare(folder: Path, as_of: str = "2020-02-01", since: str | None = None, **source: Any) -> tuple[Config, Input]:
    """Settings with one input, events, whose files lie in a folder; keys given replace those of the default."""
    given = {"path": str(folder), "format": "json", "schema": SCHEMA, "columns": COLUMNS, **source}
    given = {key: value for key, value in given.items() if value is not None}
    file = folder.parent / f"{folder.name}.yaml"
    file.write_text(json.dumps({"inputs": {"root": str(folder.parent), "events": given}}))
    settings = config.load([str(file)], as_of=as_of, since=since)
    assert settings.inputs.events is not None
    return settings, settings.inputs.events


def rows(num: int = 40, **changes: Any) -> list[dict[str, Any]]:
    """Events, one a minute."""
    return [
        {
            "id": f"e{n}", "user": f"u{n % 7}", "item": f"i{n % 5}", "type": "click" if n % 3 else "view",
            "ts": f"2020-01-01 10:{n % 60:02d}:00", "price": n + 0.5, **changes,
        }
        for n in range(num)
    ]  # fmt: skip


def write_json(file: Path, rows: Iterable[dict[str, Any] | str]) -> Path:
    """Lines of JSON; a row given as text is written as it is."""
    return _write(file, "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows).encode())


def write_csv(file: Path, rows: list[dict[str, Any]], sep: str = ",", encoding: str = "utf-8") -> Path:
    """A CSV file with a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=sep, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return _write(file, text.getvalue().encode(encoding))


def renamed(rows: list[dict[str, Any]], **names: str) -> list[dict[str, Any]]:
    """Rows with columns under other names."""
    return [{names.get(key, key): value for key, value in row.items()} for row in rows]


def _write(file: Path, content: bytes) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(gzip.compress(content) if file.suffix == ".gz" else content)
    return file
