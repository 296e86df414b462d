"""Repeats and late rows in whatever order their days are cleaned: one content."""

import datetime as dt
import random
from pathlib import Path
from typing import TYPE_CHECKING

from clean.daily import NUM_DAYS, START, Shop, make_log

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NUM_ORDERS = 20


def test_twenty_orders_of_arrival_give_one_content(spark: "SparkSession", tmp_path: Path) -> None:
    shop = Shop(tmp_path, spark, make_log(seed=11))
    shop.clean("whole")
    expected = shop.content("whole")
    days = [START + dt.timedelta(days=n) for n in range(NUM_DAYS)]
    draw = random.Random(11)
    for number in range(NUM_ORDERS):
        order = draw.sample(days, NUM_DAYS)
        for day in order:
            shop.clean(f"order{number}", day)
        assert shop.content(f"order{number}") == expected, [str(day) for day in order]
