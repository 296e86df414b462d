"""Repeats and late rows in whatever order their days are cleaned: one content."""

import datetime as dt
import shutil
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clean.daily import START, Shop, make_log

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NUM_DAYS = 4


def test_all_orders_of_arrival_give_one_content(spark: "SparkSession", tmp_path: Path) -> None:
    """Whichever of some days is cleaned last, their content is the same: so it is after every order of all of them.

    That takes 32 runs for the 24 orders of four days. Late rows come up to two days late, refunds up to three.
    """
    shop = Shop(tmp_path, spark, make_log(seed=11, num_days=NUM_DAYS))
    days = [START + dt.timedelta(days=n) for n in range(NUM_DAYS)]
    contents: dict[tuple[dt.date, ...], dict[str, Any]] = {}
    for size in range(1, NUM_DAYS + 1):
        for cleaned in combinations(days, size):
            for last in cleaned:
                before = tuple(day for day in cleaned if day != last)
                workspace = f"{_name(cleaned)}_last_{last.day}"
                if before:
                    shutil.copytree(tmp_path / _name(before), tmp_path / workspace)
                shop.clean(workspace, last)
                content = shop.content(workspace)
                assert contents.setdefault(cleaned, content) == content, f"{_name(before)}, then {last}"
                if not (tmp_path / _name(cleaned)).exists():
                    (tmp_path / workspace).rename(tmp_path / _name(cleaned))
    shop.clean("whole")
    assert all(contents[*days,].values()), "the log must have rows for every table"
    assert contents[*days,] == shop.content("whole")


def _name(days: tuple[dt.date, ...]) -> str:
    return "days_" + "_".join(str(day.day) for day in days)
