"""Items and users: one row each from however many rows the source has of it."""

import datetime as dt
from typing import TYPE_CHECKING

from attune.clean.accounting import NO_CONSENT
from attune.clean.redact import redact
from attune.clean.text import plain_text_column
from attune.config import Clean
from attune.inputs import FILE, file_day, refuse
from attune.tables import conform

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, WindowSpec

_WORDING = ("title", "description", "category", "brand", "image_path")
_DESCRIBED = ("age_band", "gender", "region", "consent")


def judge_items(mapped: "DataFrame", settings: Clean) -> "DataFrame":
    """Normalise mapped rows and note why some are refused. Grain: one row of the input."""
    from pyspark.sql import functions as F

    texts = {
        name: redact(plain_text_column(F.col(name), settings.max_text_chars))
        for name in ("title", "description", "category", "brand")
    }
    path = F.array_join(F.filter(F.transform(F.split("category", ">"), F.trim), lambda level: level != ""), " > ")
    return refuse(
        mapped.withColumns({"item_id": F.nullif(F.trim("item_id"), F.lit("")), **texts}).withColumn(
            "category", F.nullif(path, F.lit(""))
        ),
        {"item_id is missing": F.col("item_id").isNull(), "price is negative": F.col("price") < 0},
    )


def to_item_history(good: "DataFrame", as_of: dt.date) -> "DataFrame":
    """Table item_history: how often each wording and price of an item was told on each day."""
    from pyspark.sql import functions as F

    counted = good.withColumn("ds", _day(as_of)).groupBy("item_id", *_WORDING, "price", "ds")
    return conform(counted.agg(F.count("*").alias("num_rows")), "item_history")


def item_versions(history: "DataFrame") -> "DataFrame":
    """What was known of each item at the end of each day on which something was told of it. Grain: one item and day.

    The wording that most rows up to that day have, titled ones first, and the median price of the latest day with one.
    Columns: item_id, ds, title, description, category, brand, image_path, price.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    def up_to_day(*keys: str) -> "WindowSpec":
        return Window.partitionBy(*keys).orderBy("ds").rangeBetween(Window.unboundedPreceding, Window.currentRow)

    rows = F.sum("num_rows").over(up_to_day("item_id", *_WORDING)).alias("rows")
    worded = F.struct(F.col("title").isNotNull().alias("titled"), rows, *_WORDING)
    price = F.expr("percentile(price, 0.5, num_rows)").alias("_price")
    counted = history.withColumn("_worded", worded).groupBy("item_id", "ds")
    days = counted.agg(F.max("_worded").alias("_worded"), price)
    # Rows of a wording only ever add up, so the largest so far is the one that leads now.
    known = days.select(
        "item_id",
        "ds",
        F.max("_worded").over(up_to_day("item_id")).alias("best"),
        F.last("_price", ignorenulls=True).over(up_to_day("item_id")).alias("price"),
    )
    return known.select("item_id", "ds", *(F.col(f"best.{name}").alias(name) for name in _WORDING), "price")


def to_items(history: "DataFrame") -> "DataFrame":
    """Table items: each item as it was known last."""
    from pyspark.sql import functions as F

    versions = item_versions(history)
    last = versions.groupBy("item_id").agg(F.max_by(F.struct(*versions.columns), "ds").alias("last"))
    return conform(last.select("last.*"), "items")


def judge_users(mapped: "DataFrame") -> "DataFrame":
    """Normalise mapped rows and note why some are refused. Grain: one row of the input."""
    from pyspark.sql import functions as F

    return refuse(
        mapped.withColumns(
            {
                "user_id": F.nullif(F.trim("user_id"), F.lit("")),
                **{name: redact(F.col(name)) for name in ("age_band", "gender", "region")},
            }
        ),
        {"user_id is missing": F.col("user_id").isNull(), NO_CONSENT: ~F.col("consent")},
    )


def to_users(good: "DataFrame", as_of: dt.date, key_id: str | None) -> "DataFrame":
    """Table users: the description that most rows of a user's latest day have."""
    from pyspark.sql import functions as F

    counted = good.withColumn("ds", _day(as_of)).groupBy("user_id", *_DESCRIBED, "ds").agg(F.count("*").alias("rows"))
    best = counted.groupBy("user_id").agg(F.max(F.struct("ds", "rows", *_DESCRIBED)).alias("best"))
    described = best.select("user_id", *(F.col(f"best.{name}").alias(name) for name in (*_DESCRIBED, "ds")))
    return conform(described.withColumn("key_id", F.lit(key_id)), "users")


def merge_users(known: "DataFrame", new: "DataFrame", refusing: "DataFrame") -> "DataFrame":
    """Table users after a later run: each user's latest description, without those who refused since."""
    from pyspark.sql import functions as F

    told = [name for name in new.columns if name != "user_id"]
    both = (
        known.unionByName(new)
        .groupBy("user_id")
        .agg(F.max(F.struct("ds", *(name for name in told if name != "ds"))).alias("best"))
    )
    latest = both.select("user_id", *(F.col(f"best.{name}").alias(name) for name in told))
    return conform(latest.join(refusing, "user_id", "left_anti"), "users")


def refuse_without_consent(judged: "DataFrame", refusing: "DataFrame | None") -> "DataFrame":
    """Refuse rows of users who did not consent. ``refusing``: one user_id a row, few enough to broadcast."""
    from pyspark.sql import functions as F

    if refusing is None:
        return judged
    marked = judged.join(F.broadcast(refusing.withColumn("_no_consent", F.lit(True))), "user_id", "left")
    return refuse(marked, {NO_CONSENT: F.col("_no_consent")}).drop("_no_consent")


def _day(as_of: dt.date) -> "Column":
    from pyspark.sql import functions as F

    return F.coalesce(file_day(F.col(FILE)), F.lit(as_of - dt.timedelta(days=1)))
