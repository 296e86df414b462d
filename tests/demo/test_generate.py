"""The raw files must be as the truth tells, line by line, and the same whatever the cluster."""

import datetime as dt
import gzip
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from attune import config
from attune.demo.generate import generate
from attune.demo.raw_events import generate_events, to_lines
from attune.demo.vocabulary import CATEGORIES
from attune.demo.world import make_world
from attune.schemas import EVENT_TYPES

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SETTINGS = config.load(["demo"], ["generate.num_events=5000", "generate.dirty_share=0.5"])
"""So much dirt that every kind occurs, bots too."""


@pytest.fixture(scope="module")
def root(spark: "SparkSession", tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    generate(spark, SETTINGS, str(folder))
    return folder


def lines(folder: Path) -> Iterator[tuple[str, str]]:
    """Day of arrival (or an empty text) and line."""
    for file in sorted(folder.rglob("*.gz")):
        for line in gzip.decompress(file.read_bytes()).decode().splitlines():
            yield file.parent.name.removeprefix("ds=") if "=" in file.parent.name else "", line


def kind_of_event(line: str, ds: str, seen: set[str], bots: set[str]) -> str | None:
    """The kind of dirt of a line, found without the generator."""
    try:
        event = json.loads(line)
    except json.JSONDecodeError:
        return "malformed"
    repeated = event["event_id"] in seen
    seen.add(event["event_id"])
    price = event.get("price", 0)
    found = {
        "duplicate": repeated,
        "late": event["ts"][:10] < ds,
        "future": event["ts"][:10] >= str(SETTINGS.as_of),
        "null_user": "user" not in event,
        "null_item": "item" not in event and event["type"] != "search",
        "price_text": isinstance(price, str),
        "negative_price": not isinstance(price, str) and price < 0,
        "absurd_price": not isinstance(price, str) and price > 100_000,
        "wrong_type": event["type"] not in EVENT_TYPES,
        "email_in_query": "@" in event.get("query", ""),
        "bot": event.get("user") in bots,
    }
    kinds = [kind for kind, is_it in found.items() if is_it]
    assert len(kinds) <= 1, f"{kinds}: {line}"
    return kinds[0] if kinds else None


def test_dirty_event_rows_are_exactly_those_of_the_truth(root: Path):
    truth = pd.read_parquet(root / "truth/dirty_rows").query("source == 'events'")
    bots = set(pd.read_parquet(root / "truth/bots")["user"])
    seen: set[str] = set()
    found: Counter[tuple[str, str, str]] = Counter()
    for ds, line in lines(root / "events"):
        if kind := kind_of_event(line, ds, seen, bots):
            found[line[13:30], kind, ds] += 1
    assert found == Counter(zip(truth["key"], truth["kind"], truth["ds"].astype(str), strict=True))
    assert truth["kind"].nunique() == 12


def test_dirty_review_rows_are_exactly_those_of_the_truth(root: Path):
    truth = pd.read_parquet(root / "truth/dirty_rows").query("source == 'reviews'")
    count = truth["kind"].value_counts()
    texts = [line for _, line in lines(root / "reviews")]
    assert len(texts) == SETTINGS.generate.num_events // 25 + count["duplicate"]
    assert len(texts) - len(set(texts)) == count["duplicate"]
    broken = 0
    for line in texts:
        try:
            json.loads(line)
        except json.JSONDecodeError:
            broken += 1
    assert broken == count.get("malformed", 0)


def test_the_log_covers_its_days_with_one_folder_each(root: Path):
    days = sorted(path.name.removeprefix("ds=") for path in (root / "events").glob("ds=*"))
    last = SETTINGS.as_of - dt.timedelta(days=1)
    assert days[-1] <= str(last)
    assert days[0] >= str(SETTINGS.as_of - dt.timedelta(days=SETTINGS.generate.num_days))
    assert len(days) > 0.9 * SETTINGS.generate.num_days
    assert sum(1 for _ in lines(root / "events")) == pytest.approx(SETTINGS.generate.num_events, rel=0.15)


def test_a_field_appears_on_some_day(root: Path):
    first_day = SETTINGS.as_of - dt.timedelta(days=SETTINGS.generate.num_days)
    drift = str(first_day + dt.timedelta(days=make_world(SETTINGS).drift_day))
    events = [json.loads(line) for _, line in lines(root / "events") if line.endswith("}")]
    for event in events:
        if event["ts"] < str(SETTINGS.as_of):
            assert ("app_version" in event) == (event["ts"][:10] >= drift)


def test_the_rows_do_not_depend_on_the_partitions(spark: "SparkSession", root: Path):
    world = make_world(SETTINGS)
    again = to_lines(world, generate_events(spark, world, num_partitions=5)).select("value").toPandas()["value"]
    assert sorted(again) == sorted(line for _, line in lines(root / "events"))


def test_the_other_files_fit_together(root: Path):
    items = [json.loads(line) for _, line in lines(root / "items")]
    users = [json.loads(line) for _, line in lines(root / "users")]
    assert {item["category"] for item in items} == {category.path for category in CATEGORIES}
    known_items, known_users = {item["item"] for item in items}, {user["user"] for user in users}
    known_users |= set(pd.read_parquet(root / "truth/bots")["user"])
    for _, line in lines(root / "events"):
        if line.endswith("}"):
            event = json.loads(line)
            assert event.get("item", items[0]["item"]) in known_items
            assert event.get("user", users[0]["user"]) in known_users
    exposed = {(e["user"], e["campaign"]) for e in (json.loads(x) for _, x in lines(root / "campaigns/exposures"))}
    responded = {(e["user"], e["campaign"]) for e in (json.loads(x) for _, x in lines(root / "campaigns/responses"))}
    assert responded < exposed
    truth = pd.read_parquet(root / "truth/exposures")
    assert exposed == set(zip(truth["user"], truth["campaign"], strict=True))
    assert set(pd.read_parquet(root / "truth/users")["user"]) <= known_users
    assert set(pd.read_parquet(root / "truth/items")["item"]) == known_items
