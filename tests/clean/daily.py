"""A small log of some days with everything that makes days depend on each other, and the clean job run on parts of it."""

import datetime as dt
import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attune.clean.history import day_hashes
from attune.jobs.clean import clean
from attune.tables import Tables

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

START = dt.date(2020, 3, 1)
NUM_DAYS = 5
TYPES = ("impression", "impression", "impression", "click", "view", "search", "purchase")
COMPARED = ("events", "impressions", "bot_events", "sessions", "quarantine", "items", "item_history")
SCHEMA = "id STRING, user STRING, item STRING, type STRING, ts STRING, price DOUBLE, quantity INT, name STRING"
INPUTS = {
    "events": {
        "path": "log", "format": "json", "schema": SCHEMA,
        "columns": {
            "event_id": "id", "user_id": "user", "item_id": "item", "event_type": "type",
            "event_ts": "try_to_timestamp(ts)", "price": "price", "quantity": "quantity",
            "value": "CASE WHEN type IN ('purchase', 'refund') THEN price * quantity END",
        },
    },
    "items": {
        "path": "log", "format": "json", "schema": SCHEMA, "max_quarantine_share": 0.5,
        "columns": {"item_id": "item", "title": "name", "price": "price"}, "refuse": {"no name": "name IS NULL"},
    },
}  # fmt: skip


def make_log(seed: int, num_events: int = 400, num_days: int = NUM_DAYS) -> dict[dt.date, list[str]]:
    """Lines by day of arrival: visits over midnight, late rows, copies on the same and on a later day, refunds, a bot."""
    draw = random.Random(seed)
    events: list[dict[str, Any]] = []
    for n in range(num_events):
        # Half of the visits begin near midnight.
        hour = draw.choice([0, 23, draw.randrange(24)])
        day = START + dt.timedelta(days=draw.randrange(num_days))
        at = dt.datetime.combine(day, dt.time(hour, draw.randrange(60), draw.randrange(60)))
        kind, item = draw.choice(TYPES), f"i{draw.randrange(6)}"
        event = {"id": f"e{n}", "user": f"u{draw.randrange(8)}", "item": item, "type": kind, "ts": at,
                 "price": 1.0 + draw.randrange(3), "quantity": 1, "name": draw.choice(["Lamp", "Lampe", item])}  # fmt: skip
        events.append(event)
        if kind == "purchase" and draw.random() < 0.5:
            back = at + dt.timedelta(hours=draw.randrange(1, 70))
            events.append(event | {"id": f"r{n}", "type": "refund", "ts": back, "quantity": -1})
    burst = dt.datetime.combine(START + dt.timedelta(days=2), dt.time(9))
    events += [{"id": f"b{n}", "user": "bot", "item": "i1", "type": "click", "ts": burst + dt.timedelta(seconds=7 * n),
                "price": 1.0, "quantity": 1, "name": None} for n in range(60)]  # fmt: skip
    last = START + dt.timedelta(days=num_days - 1)
    by_day: dict[dt.date, list[str]] = {START + dt.timedelta(days=n): ["{not json"] for n in range(num_days)}
    for event in events:
        if event["ts"].date() > last:
            continue
        late = draw.choice([0, 0, 0, 0, 1, 2])
        arrived = min(event["ts"].date() + dt.timedelta(days=late), last)
        line = json.dumps(event | {"ts": f"{event['ts']}"})
        by_day[arrived].append(line)
        if draw.random() < 0.1:
            by_day[min(arrived + dt.timedelta(days=draw.randrange(2)), last)].append(line)
    return by_day


class Shop:
    """The log in a folder a day, cleaned into a workspace."""

    def __init__(self, folder: Path, spark: "SparkSession", log: dict[dt.date, list[str]]) -> None:
        self.folder, self.spark, self.last = folder, spark, max(log)
        for day, lines in log.items():
            file = folder / "raw" / "log" / f"ds={day}" / "part.json"
            file.parent.mkdir(parents=True)
            file.write_text("\n".join(lines) + "\n")

    def clean(self, workspace: str, day: dt.date | None = None) -> dict[str, Any]:
        """Clean one day, or all; returns the summary."""
        settings = {
            "workspace": str(self.folder / workspace),
            "inputs": {"root": str(self.folder / "raw"), **INPUTS},
            "clean": {"max_quarantine_share": 0.9, "bots": {"events_per_day": 40}},
        }
        file = self.folder / f"{workspace}.json"
        file.write_text(json.dumps(settings))
        first, last = day or START, day or self.last
        dates = ["--as-of", str(last + dt.timedelta(days=1))] + (["--since", str(first)] if day else [])
        assert clean.main(["--config", str(file), *dates]) == 0
        latest = max((self.folder / workspace).glob("runs/*/summary.json"), key=lambda f: f.stat().st_mtime_ns)
        summary: dict[str, Any] = json.loads(latest.read_text())
        return summary

    def content(self, workspace: str) -> dict[str, Any]:
        """What the tables hold, whatever the order of the rows and the files."""
        from pyspark.sql import functions as F

        tables = Tables(str(self.folder / workspace), self.spark)
        frames = {name: tables.read(name) for name in COMPARED}
        return {name: day_hashes(df if "ds" in df.columns else df.withColumn("ds", F.lit("")))
                for name, df in frames.items()}  # fmt: skip
