"""Nothing that happens later changes a feature or an example of earlier, not by a bit; nor does the order of rows."""

import datetime as dt
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from attune import config
from attune.features.described import described
from attune.features.examples import examples
from features.log import ITEMS, Row, action, features, review, scored, shown, table, told

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

AS_OF, EARLIER = dt.date(2020, 3, 1), dt.date(2020, 2, 16)
SETTINGS = config.load(["demo"], ["split.test_days=10", "split.valid_days=10"], "2020-03-01")
Log = dict[str, list[Row]]
LOG = ("events", "impressions", "reviews", "sentiment", "history")
TABLES = (("events", "events"), ("impressions", "impressions"), ("item_history", "history"))


def _log(first_day: int, last_day: int, num: int, seed: int) -> Log:
    """Random rows of days counted from 2020-01-01; many share a second, so that ties would show."""
    draw = random.Random(seed)

    def time() -> str:
        day = dt.date(2020, 1, 1) + dt.timedelta(days=draw.randint(first_day, last_day))
        return f"{day}T{draw.choice((0, 9, 10, 23)):02}:{draw.randint(0, 3):02}:{draw.randint(0, 5):02}"

    def user() -> str:
        return f"u{draw.randint(0, 7)}"

    def item() -> str:
        return draw.choice("aabbcxyz")

    kinds = ("click", "view", "cart", "purchase", "refund")
    events = [
        action(user(), item(), time(), draw.choice(kinds), session=f"s{n % 40}", value=round(draw.uniform(-9, 90), 2),
               refund_of=draw.choice((None, "e")))
        | {"event_id": f"{seed}-{n}"}
        for n in range(num)
    ]  # fmt: skip
    shows = [
        shown(user() if n % 3 else "u1", item(), time(), draw.random() < 0.3, draw.choice((0, 90)))
        | {"impression_id": f"{seed}-{n}"}
        for n in range(num)
    ]
    reviews = [review(item(), draw.choice((1.0, 3.5, 5.0, None)), time()) for _ in range(num // 4)]
    sentiment = [scored(item(), draw.choice((0.1, 0.37, 0.93, None)), time()) for _ in range(num // 4)]
    return {"events": events, "impressions": shows, "reviews": reviews, "sentiment": sentiment, "history": []}


KNOWN, LATER = _log(0, 59, 300, 1), _log(60, 80, 200, 2)
DEARER: Row = {"item_id": "a", "title": "A", "category": "Garden", "brand": "Lux", "price": 30.0}
NAMED: Row = {"item_id": "x", "title": "X", "category": "Toys", "brand": "Bo", "price": 3.0}
KNOWN["history"] = told(ITEMS, "2020-01-20") + told([NAMED], "2020-02-10")
LATER["history"] = [
    row | {"num_rows": 50} for row in told([DEARER, NAMED | {"price": 9.0}, NAMED | {"item_id": "y"}], "2020-03-01")
]


def _computed(spark: "SparkSession", log: Log) -> dict[str, list[str]]:
    """Every row as text with all digits: features of both dates, and examples before the later one."""
    frames = features(spark, [AS_OF, EARLIER], *(log[name] for name in LOG))
    events, impressions, history = (table(spark, name, log[key]) for name, key in TABLES)
    frames["examples"] = examples(events, impressions, described(history), SETTINGS).where(f"ts < DATE'{AS_OF}'")
    return {name: sorted(repr(row) for row in frame.collect()) for name, frame in frames.items()}


@pytest.fixture(scope="module")
def known(spark: "SparkSession") -> dict[str, list[str]]:
    return _computed(spark, KNOWN)


def _with_what_comes_later(log: Log) -> Log:
    return {name: rows + LATER[name] for name, rows in log.items()}


def _shuffled(log: Log) -> Log:
    return {name: random.Random(3).sample(rows, len(rows)) for name, rows in log.items()}


@pytest.mark.parametrize("change", [_with_what_comes_later, _shuffled])
def test_earlier_rows_stay_the_same_bit_for_bit(
    spark: "SparkSession", known: dict[str, list[str]], change: Callable[[Log], Log]
) -> None:
    found = _computed(spark, change(KNOWN))
    assert {name: len(rows) > 10 for name, rows in found.items()} == dict.fromkeys(known, True)
    for name, rows in known.items():
        assert found[name] == rows, name


def test_the_check_sees_an_earlier_row(spark: "SparkSession", known: dict[str, list[str]]) -> None:
    """A check that compares nothing would pass everything: one more action of the last day must show everywhere."""
    more: Any = [action("u1", "a", "2020-02-29T00:00", "click", session="s1") | {"event_id": "more"}]
    found = _computed(spark, KNOWN | {"events": KNOWN["events"] + more})
    assert all(found[name] != rows for name, rows in known.items())


def test_the_check_sees_what_is_told_of_an_item(spark: "SparkSession", known: dict[str, list[str]]) -> None:
    more = [row | {"num_rows": 50} for row in told([DEARER], "2020-01-21")]
    found = _computed(spark, KNOWN | {"history": KNOWN["history"] + more})
    assert all(found[name] != rows for name, rows in known.items())
