"""What is told of an item later does not change what was known of it before."""

import datetime as dt
from typing import TYPE_CHECKING

from attune.features.daily import impression_days
from attune.features.described import as_told, described
from features.log import Row, rows_by, shown, table, told

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LAMP: Row = {"item_id": "lamp", "title": "Lamp", "category": "Home > Light", "brand": "Lux", "price": 10.0}
HISTORY = [
    *told([LAMP], "2020-01-05"),
    *told([LAMP | {"price": None}, {"item_id": "mug", "category": "Kitchen", "price": 2.0}], "2020-01-07"),
    *told([LAMP | {"price": 12.0}], "2020-01-08"),
    *(row | {"num_rows": 9} for row in told([LAMP | {"category": "Garden"}], "2020-01-09")),
    *told([LAMP], "2020-01-10"),
]


def test_items_are_seen_as_they_were_told_up_to_each_day(spark: "SparkSession") -> None:
    days = [dt.date(2020, 1, day) for day in (1, 5, 6, 7, 8, 9, 10, 11)]
    asked = spark.createDataFrame(
        [(item, day) for item in ("lamp", "mug", "none") for day in days], "item_id string, ds date"
    )
    seen = as_told(asked, described(table(spark, "item_history", HISTORY)), asked["ds"])
    found = {key: (row["category"], row["price"]) for key, row in rows_by(seen, "item_id", "ds").items()}
    assert [found["lamp", day] for day in days] == [
        ("Home", 10.0), ("Home", 10.0), ("Home", 10.0), ("Home", 10.0), ("Home", 12.0), ("Garden", 10.0),
        ("Garden", 10.0), ("Garden", 10.0),
    ]  # fmt: skip
    assert [found["mug", day][0] for day in days] == [
        None,
        None,
        None,
        "Kitchen",
        "Kitchen",
        "Kitchen",
        "Kitchen",
        "Kitchen",
    ]
    assert {found["none", day] for day in days} == {(None, None)}
    assert described(table(spark, "item_history", HISTORY)).where("item_id = 'lamp'").count() == 3, (
        "equal days are one span"
    )


def test_a_click_after_midnight_does_not_count_for_the_day(spark: "SparkSession") -> None:
    shows = [
        shown("u", "a", "2020-02-01T23:50", True, after_minutes=20),
        shown("u", "a", "2020-02-01T23:20", True, after_minutes=20),
    ]
    counted = impression_days(table(spark, "impressions", shows))
    assert [(row["shown"], row["clicked"]) for row in counted.collect()] == [(2, 1), (2, 1)]
