"""A run a day, in any order and again, leaves what one run over all days leaves."""

import datetime as dt
import random
from pathlib import Path
from typing import TYPE_CHECKING

from attune.tables import Tables
from clean.daily import NUM_DAYS, START, Shop, make_log

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DAYS = [START + dt.timedelta(days=n) for n in range(NUM_DAYS)]


def test_days_in_any_order_give_the_tables_of_one_run(spark: "SparkSession", tmp_path: Path) -> None:
    shop = Shop(tmp_path, spark, make_log(seed=7))
    shop.clean("whole")
    order = random.Random(7).sample(DAYS, NUM_DAYS)
    for day in order:
        shop.clean("daily", day)
    expected = shop.content("whole")
    assert all(expected.values()), "the log must have rows for every table"
    assert shop.content("daily") == expected
    tables = Tables(str(tmp_path / "daily"))
    versions = {name: tables.version(name) for name in ("events", "impressions", "bot_events", "sessions")}
    again = shop.clean("daily", order[0])
    assert shop.content("daily") == expected
    assert {name: tables.version(name) for name in versions} == versions
    assert again["skipped"]["events"] == "no day has changed"


def test_a_late_row_rewrites_only_the_days_it_changes(spark: "SparkSession", tmp_path: Path) -> None:
    log = {
        day: [f'{{"id": "{day}", "user": "u", "item": "i", "type": "view", "ts": "{day} 12:00:00", "name": "Lamp"}}']
        for day in DAYS
    }
    late = '{"id": "late", "user": "u", "item": "j", "type": "click", "ts": "2020-03-01 12:10:00", "name": "Lamp"}'
    shop = Shop(tmp_path, spark, log | {DAYS[2]: [*log[DAYS[2]], late]})
    for day in DAYS[:2]:
        shop.clean("daily", day)
    tables = Tables(str(tmp_path / "daily"), spark)
    before = {file for file in tables.delta("events").file_uris() if "2020-03-03" not in file}
    shop.clean("daily", DAYS[2])
    after = {file for file in tables.delta("events").file_uris() if "2020-03-03" not in file}
    assert {file.split("ds=")[1][:10] for file in before ^ after} == {"2020-03-01"}
    assert [row["session_id"] for row in tables.read("events").where("ds = '2020-03-01'").distinct().collect()]
    sessions = {
        row["session_id"]: row["num_events"] for row in tables.read("sessions").where("ds = '2020-03-01'").collect()
    }
    assert list(sessions.values()) == [2]
