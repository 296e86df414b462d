"""Texts to learn from: made plain and redacted, equal rows kept once."""

from typing import TYPE_CHECKING

from attune.clean.redact import redact
from attune.clean.text import plain_text_column
from attune.config import Clean
from attune.inputs import refuse
from attune.schemas import SPLITS, TABLES
from attune.tables import conform

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def judge_texts(mapped: "DataFrame", settings: Clean) -> "DataFrame":
    """Normalise mapped rows and note why some are refused. Grain: one row of the input.

    Where a row has no id, it gets the hash of what it says.
    """
    from pyspark.sql import functions as F

    texts = {n: redact(plain_text_column(F.col(n), settings.max_text_chars)) for n in ("text", "other_text")}
    plain = mapped.withColumns({**texts, "label": F.nullif(F.trim("label"), F.lit(""))})
    said = F.sha2(F.to_json(F.struct("text", "other_text", "label", "split")), 256)
    return refuse(
        plain.withColumn("text_id", F.coalesce(F.nullif(F.trim("text_id"), F.lit("")), F.left(said, F.lit(32)))),
        {
            "text is missing": F.col("text").isNull(),
            "weight is not above 0": F.col("weight") <= 0,
            "split is none of train, valid, test": ~F.col("split").isin(*SPLITS),
        },
    )


def to_texts(good: "DataFrame") -> "DataFrame":
    """Table texts: one row of each id, the same whatever the order of the rows."""
    from pyspark.sql import functions as F

    columns = TABLES["texts"].names
    first = good.groupBy("text_id").agg(F.min(F.struct(*(n for n in columns if n != "text_id"))).alias("first"))
    return conform(first.select("text_id", "first.*"), "texts")
