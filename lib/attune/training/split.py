"""Which examples train, which choose the epoch, and which are only measured: by item, and never the same text twice."""

from typing import TYPE_CHECKING

from attune.models.texts import normalised
from attune.schemas import SPLITS

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_BUCKETS = 1_000_000


def bucket(seed: int, *columns: "Column") -> "Column":
    """Number from 0 up to 1, the same for the same values and seed."""
    from pyspark.sql import functions as F

    return F.pmod(F.xxhash64(F.lit(seed), *columns), F.lit(_BUCKETS)) / _BUCKETS


def with_split(rows: "DataFrame", by: "list[Column]", valid_share: float, test_share: float, seed: int) -> "DataFrame":
    """Add ``split``: train, valid or test, by a hash of some columns, so that rows alike in them stay together."""
    from pyspark.sql import functions as F

    place = bucket(seed, *by)
    split = F.when(place < test_share, "test").when(place < test_share + valid_share, "valid").otherwise("train")
    return rows.withColumn("split", split)


def without_repeats(rows: "DataFrame", text: str, key: str) -> "DataFrame":
    """Keep one row of each normalised text, that of train before valid before test, then the lowest key.

    The same review is posted for several items that are nearly the same; a test row that also trained measures memory.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    rank = F.call_function("array_position", F.array(*(F.lit(name) for name in SPLITS)), F.col("split"))
    same_text = Window.partitionBy(F.sha2(normalised(F.col(text)), 256)).orderBy(rank, key)
    return rows.withColumn("_repeat", F.row_number().over(same_text)).where("_repeat = 1").drop("_repeat")
