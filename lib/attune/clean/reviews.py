"""Reviews: texts made plain and redacted, stars checked, repeats dropped."""

import datetime as dt
from typing import TYPE_CHECKING

from attune.clean.accounting import DUPLICATE, KEPT, VERDICT
from attune.clean.text import language, plain_text_column, redact
from attune.config import Clean
from attune.inputs import refuse
from attune.tables import conform

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

AFTER_AS_OF = "review_ts is not before as_of"


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
    content = F.concat_ws("|", "user_id", "item_id", F.lower(F.concat_ws(" ", "title", "body")))
    given = F.nullif(F.trim("review_id"), F.lit(""))
    return refuse(
        rows.withColumn("_content", F.sha2(content, 256)).withColumn(
            "review_id", F.coalesce(given, F.left("_content", F.lit(32)))
        ),
        {
            "item_id is missing": F.col("item_id").isNull(),
            "review has no text": F.col("title").isNull() & F.col("body").isNull(),
            "rating is not between 1 and 5": ~F.col("rating").between(1, 5),
            "review_ts is missing or cannot be read": F.col("review_ts").isNull(),
            f"review_ts is before {settings.min_date}": F.col("ds") < F.lit(settings.min_date),
            AFTER_AS_OF: F.col("ds") >= F.lit(as_of),
        },
    )


def mark_repeats(good: "DataFrame") -> "DataFrame":
    """Mark all but the first of the rows with one id, and of one user's equal texts on one item."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    order = ("review_ts", "_file", "_raw")
    same_text = Window.partitionBy("_content").orderBy(*order)
    same_id = Window.partitionBy("review_id").orderBy(*order)
    nth = F.greatest(F.row_number().over(same_text), F.row_number().over(same_id))
    return good.withColumn("_nth", nth).withColumn(VERDICT, F.when(F.col("_nth") > 1, DUPLICATE).otherwise(KEPT))


def to_reviews(marked: "DataFrame") -> "DataFrame":
    """Table reviews: kept rows."""
    from pyspark.sql import functions as F

    return conform(marked.where(F.col(VERDICT) == KEPT), "reviews")
