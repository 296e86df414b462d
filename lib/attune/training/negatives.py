"""Pairs of items that nobody made, drawn for pairs that somebody did."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_DRAWS_FOR_EACH = 2
"""Items drawn for each negative that is wanted: some were taken after the anchor, and some are drawn twice."""
_ANCHOR, _TARGET = "anchor_item", "target_item"

# Shape legend: N items, M draws.


@dataclass(frozen=True)
class Pool:
    """Items to draw from by their frequency, among all or among those of a category, which lie side by side."""

    item_ids: NDArray[np.object_]  # [N]
    ends: NDArray[np.float64]  # [N]; sum of the frequencies up to and with the item
    spans: Mapping[str, tuple[float, float]]  # category -> sums before its first and with its last item

    @classmethod
    def of(cls, frequencies: pd.DataFrame) -> Self:
        """From columns item_id, category (null where unknown) and frequency."""
        ordered = frequencies.assign(category=frequencies["category"].fillna("")).sort_values(["category", "item_id"])
        ends = ordered["frequency"].to_numpy(np.float64).cumsum()
        last = ordered.assign(end=ends).groupby("category")["end"].max()
        starts = [0.0, *last.tolist()][:-1]
        spans = {name: span for name, span in zip(last.index, zip(starts, last, strict=True), strict=True) if name}
        return cls(ordered["item_id"].to_numpy(object), ends, spans)

    def draw(self, uniform: NDArray[np.float64], categories: pd.Series) -> NDArray[np.object_]:
        """An item for each number from 0 up to 1 [M], of the category given, of all where that is null or has no items."""
        everything = (0.0, float(self.ends[-1]))
        spans = np.array([self.spans.get(name, everything) for name in categories]).reshape(-1, 2)
        places = np.searchsorted(self.ends, spans[:, 0] + uniform * (spans[:, 1] - spans[:, 0]), side="right")
        # Rounding may lead past the end.
        return self.item_ids[np.minimum(places, len(self.item_ids) - 1)]


def drawn_negatives(positives: "DataFrame", taken: "DataFrame", pool: Pool, num: int, seed: int) -> "DataFrame":
    """At most ``num`` items for each pair that nobody took after its anchor: the same for the same pairs and seed.

    Grain: anchor_item and target_item; other columns: label 0, weight and split. Every other draw is from the anchor's own
    category: what is alike is hard to tell apart.

    Args:
        positives: anchor_item, target_item, category (of the anchor), weight, split.
        taken: anchor_item, target_item of all pairs that somebody made.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    draws = F.explode(F.sequence(F.lit(0), F.lit(_DRAWS_FOR_EACH * num - 1)))
    each = positives.withColumn("nth", draws)
    own = F.when(F.col("nth") % 2 == 0, F.col("category"))
    item = _drawn_column(F.xxhash64(F.lit(seed), _ANCHOR, _TARGET, "nth"), own, pool)
    drawn = each.select(_ANCHOR, F.col(_TARGET).alias("positive"), "weight", "split", "nth", item.alias(_TARGET))
    distinct = drawn.groupBy(_ANCHOR, "positive", _TARGET, "weight", "split").agg(F.min("nth").alias("nth"))
    fitting = distinct.where(F.col(_ANCHOR) != F.col(_TARGET)).join(
        taken.select(_ANCHOR, _TARGET), [_ANCHOR, _TARGET], "left_anti"
    )
    place = F.row_number().over(Window.partitionBy(_ANCHOR, "positive").orderBy("nth"))
    kept = fitting.withColumn("place", place).where(F.col("place") <= num)
    # Of train and valid the latter is the greater word.
    return kept.groupBy(_ANCHOR, _TARGET).agg(
        F.lit(0.0).alias("label"), F.sum("weight").alias("weight"), F.max("split").alias("split")
    )


def _drawn_column(hashes: "Column", categories: "Column", pool: Pool) -> "Column":
    """``Pool.draw`` as a Spark column, by hashes of 64 bits."""
    from pyspark.sql import functions as F

    @F.pandas_udf("string")  # type: ignore[attr-defined]
    def udf(batches: Iterator[tuple[pd.Series, pd.Series]]) -> Iterator[pd.Series]:
        for numbers, names in batches:
            uniform = (numbers.to_numpy(np.int64).view(np.uint64) >> np.uint64(11)) * 2.0**-53
            yield pd.Series(pool.draw(uniform, names), index=numbers.index, dtype=object)

    return udf(hashes, categories)
