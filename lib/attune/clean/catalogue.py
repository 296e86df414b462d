"""Items and users: one row each from however many rows the source has of it."""

from typing import TYPE_CHECKING

from attune.clean.text import plain_text_column
from attune.config import Clean
from attune.inputs import refuse
from attune.tables import conform

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

NO_CONSENT = "user did not consent"


def judge_items(mapped: "DataFrame", settings: Clean) -> "DataFrame":
    """Normalise mapped rows and note why some are refused. Grain: one row of the input."""
    from pyspark.sql import functions as F

    texts = {
        name: plain_text_column(F.col(name), settings.max_text_chars)
        for name in ("title", "description", "category", "brand")
    }
    return refuse(
        mapped.withColumns({"item_id": F.nullif(F.trim("item_id"), F.lit("")), **texts}),
        {"item_id is missing": F.col("item_id").isNull(), "price is negative": F.col("price") < 0},
    )


def to_items(good: "DataFrame") -> "DataFrame":
    """Table items: the wording that most rows of an item have, titled ones first, and the median price."""
    from pyspark.sql import functions as F

    wording = ("title", "description", "category", "brand", "image_path")
    counted = good.groupBy("item_id", *wording).agg(F.count("*").alias("rows"))
    best = counted.groupBy("item_id").agg(
        F.max(F.struct(F.col("title").isNotNull().alias("titled"), "rows", *wording)).alias("best")
    )
    price = good.groupBy("item_id").agg(F.percentile("price", F.lit(0.5)).alias("price"))
    return conform(best.select("item_id", *(f"best.{name}" for name in wording)).join(price, "item_id"), "items")


def judge_users(mapped: "DataFrame") -> "DataFrame":
    """Normalise mapped rows and note why some are refused. Grain: one row of the input."""
    from pyspark.sql import functions as F

    return refuse(
        mapped.withColumn("user_id", F.nullif(F.trim("user_id"), F.lit(""))),
        {"user_id is missing": F.col("user_id").isNull(), NO_CONSENT: ~F.col("consent")},
    )


def to_users(good: "DataFrame") -> "DataFrame":
    """Table users: the description that most rows of a user have."""
    from pyspark.sql import functions as F

    described = ("age_band", "gender", "region", "consent")
    counted = good.groupBy("user_id", *described).agg(F.count("*").alias("rows"))
    best = counted.groupBy("user_id").agg(F.max(F.struct("rows", *described)).alias("best"))
    return conform(best.select("user_id", *(f"best.{name}" for name in described)), "users")


def refuse_without_consent(judged: "DataFrame", refusing: "DataFrame | None") -> "DataFrame":
    """Refuse rows of users who did not consent. ``refusing``: one user_id a row, few enough to broadcast."""
    from pyspark.sql import functions as F

    if refusing is None:
        return judged
    marked = judged.join(F.broadcast(refusing.withColumn("_no_consent", F.lit(True))), "user_id", "left")
    return refuse(marked, {NO_CONSENT: F.col("_no_consent")}).drop("_no_consent")
