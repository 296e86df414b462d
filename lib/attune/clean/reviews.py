"""Reviews: texts made plain and redacted, stars checked, repeats dropped."""

import datetime as dt
from typing import TYPE_CHECKING

from attune.clean.language import language
from attune.clean.near_duplicates import repeats_in_order
from attune.clean.redact import redact
from attune.clean.text import plain_text_column
from attune.config import Clean
from attune.inputs import refuse
from attune.schemas import TABLES
from attune.tables import conform

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from attune.clean.pipeline import Cleaning

AFTER_AS_OF = "review_ts is not before as_of"
REPEAT = "_repeat"
_CONTENT, _ORDER = "_content", "_order"
"""Hashes of what one user writes of one item, and of the whole row: the order of reviews of one time."""


def judge_reviews(mapped: "DataFrame", settings: Clean, as_of: dt.date) -> "DataFrame":
    """Normalise mapped rows and note why some are refused. Grain: one row of the input."""
    from pyspark.sql import functions as F

    def text(name: str) -> "Column":
        return redact(plain_text_column(F.col(name), settings.max_text_chars))

    rows = mapped.withColumns({"title": text("title"), "body": text("body")}).withColumns(
        {
            "user_id": F.nullif(F.trim("user_id"), F.lit("")),
            "item_id": F.nullif(F.trim("item_id"), F.lit("")),
            "language": language(F.concat_ws(" ", "title", "body")),
            "ds": F.to_date("review_ts"),
        }
    )
    given = F.nullif(F.trim("review_id"), F.lit(""))
    rows = rows.withColumn("review_id", F.coalesce(given, F.left(_content(), F.lit(32))))
    return refuse(
        as_judged(rows),
        {
            "item_id is missing": F.col("item_id").isNull(),
            "review has no text": F.col("title").isNull() & F.col("body").isNull(),
            "rating is not between 1 and 5": ~F.col("rating").between(1, 5),
            "helpful_votes is negative": F.col("helpful_votes") < 0,
            "review_ts is missing or cannot be read": F.col("review_ts").isNull(),
            f"review_ts is before {settings.min_date}": F.col("ds") < F.lit(settings.min_date),
            AFTER_AS_OF: F.col("ds") >= F.lit(as_of),
        },
    )


def as_judged(reviews: "DataFrame") -> "DataFrame":
    """Reviews with what ``mark_repeats`` compares them by; the same for published rows as for new ones."""
    from pyspark.sql import functions as F

    row = F.sha2(F.to_json(F.struct(*(F.col(name) for name in sorted(TABLES["reviews"].names)))), 256)
    return reviews.withColumns({_CONTENT: _content(), _ORDER: row})


def _content() -> "Column":
    from pyspark.sql import functions as F

    words = F.regexp_replace(F.lower(F.concat_ws(" ", "title", "body")), r"\s+", " ")
    return F.sha2(F.to_json(F.struct("user_id", "item_id", words.alias("text"))), 256)


def mark_repeats(good: "DataFrame", settings: Clean) -> "DataFrame":
    """Mark in column ``_repeat`` all but the earliest of the rows with one id, of a user's equal texts on an item, and of
    an item's nearly equal texts.

    What is marked depends on the rows alone, not on their order or files: time orders them, then their content. Rows later
    than all others change nothing of those. The same text under several items stays.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    order = ("review_ts", _ORDER)
    same_id = Window.partitionBy("review_id").orderBy(*order)
    same_text = Window.partitionBy("item_id", _CONTENT).orderBy(F.col("_nth_of_id") > 1, *order)
    marked = (
        good.withColumn("_nth_of_id", F.row_number().over(same_id))
        .repartition("item_id")
        .withColumn(REPEAT, (F.col("_nth_of_id") > 1) | (F.row_number().over(same_text) > 1))
        .drop("_nth_of_id")
    )
    if settings.near_duplicate_similarity is None:
        return marked
    text = F.when(~F.col(REPEAT), F.concat_ws(" ", "title", "body"))
    near = repeats_in_order(settings.near_duplicate_similarity)(F.col("item_id"), text)
    return (
        marked.sortWithinPartitions("item_id", *order)
        .withColumn("_near", near)
        .withColumn(REPEAT, F.col(REPEAT) | F.col("_near"))
        .drop("_near")
    )


def without_repeats(cleaning: "Cleaning", good: "DataFrame") -> "tuple[DataFrame, int]":
    """Table reviews without repeats, and the number of repeats."""
    from pyspark.sql import functions as F

    marked = cleaning.cache(mark_repeats(good, cleaning.run.settings.clean))
    return to_reviews(marked), marked.where(F.col(REPEAT)).count()


def to_reviews(marked: "DataFrame") -> "DataFrame":
    """Table reviews: rows that are no repeat."""
    from pyspark.sql import functions as F

    return conform(marked.where(~F.col(REPEAT)), "reviews")
