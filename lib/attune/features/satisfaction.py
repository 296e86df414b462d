"""How satisfied reviewers are with each item, and what they praise and complain of."""

import datetime as dt
from typing import TYPE_CHECKING

from attune.config import Score
from attune.features.words import distinct_words
from attune.tables import conform

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_MIN_MENTIONS = 2
"""Reviews of an item that must hold a word before it is told."""


def item_satisfaction(sentiment: "DataFrame", reviews: "DataFrame", settings: Score, as_of: dt.date) -> "DataFrame":
    """Table item_satisfaction, from reviews scored and written before a date. Grain: one item with such a review.

    Satisfaction is the mean probability of a positive review, shrunk towards the mean over all items by
    ``satisfaction_prior`` reviews, so that one enthusiast does not make a favourite.
    """
    from pyspark.sql import functions as F

    day = F.to_date("review_ts")
    scored = sentiment.where((F.col("status") == "scored") & (day < F.lit(as_of)))
    figures = satisfaction_figures(scored, settings.satisfaction_prior)
    words = _telling_words(scored, reviews, settings.num_words)
    found = figures.join(words, "item_id", "left").withColumns(
        {
            "as_of": F.lit(as_of),
            "praise": F.coalesce("praise", F.array().cast("array<string>")),
            "complaints": F.coalesce("complaints", F.array().cast("array<string>")),
        }
    )
    return conform(found, "item_satisfaction")


def satisfaction_figures(scored: "DataFrame", prior: float) -> "DataFrame":
    """Number, mean stars, shrunk mean probability and negative share of the scored reviews. Grain: one item."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    everything = Window.partitionBy(F.lit(0))
    by_item = scored.groupBy("item_id").agg(
        F.count("*").cast("int").alias("num_reviews"),
        F.avg("rating").alias("mean_rating"),
        F.sum("probability").alias("_sum"),
        F.avg((F.col("label") == "negative").cast("double")).alias("share_negative"),
    )
    overall = F.sum("_sum").over(everything) / F.sum("num_reviews").over(everything)
    shrunk = (F.col("_sum") + overall * prior) / (F.col("num_reviews") + prior)
    return by_item.withColumn("satisfaction", shrunk).drop("_sum")


def _telling_words(scored: "DataFrame", reviews: "DataFrame", num_words: int) -> "DataFrame":
    """Words of praise and complaint by item.

    A word must stand more often in reviews of its kind than in those of the other kind, over all items and within the
    item. It then counts by the item's reviews that hold it, times the log of how much more often it stands in them than
    in all reviews.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    texts = reviews.select("review_id", distinct_words(F.concat_ws(" ", "title", "body")).alias("words"))
    labelled = scored.select("review_id", "item_id", "label").join(texts, "review_id")
    words = labelled.select("item_id", "label", F.explode("words").alias("word"))
    by_label = labelled.groupBy("label").agg(F.count("*").alias("num_label"))
    by_item = labelled.groupBy("item_id", "label").agg(F.count("*").alias("num_item"))
    by_item = by_item.withColumn("num_both", F.sum("num_item").over(Window.partitionBy("item_id")))
    mentions = words.groupBy("item_id", "label", "word").agg(F.count("*").alias("n"))
    same_item = Window.partitionBy("item_id", "word")
    same_word, same_kind = Window.partitionBy("word"), Window.partitionBy("word", "label")
    counted = (
        mentions.withColumns(
            {
                "n_label": F.sum("n").over(same_kind),
                "n_all": F.sum("n").over(same_word),
                "n_item": F.sum("n").over(same_item),
            }
        )
        .where(F.col("n") >= _MIN_MENTIONS)
        .join(F.broadcast(by_label), "label")
        .join(by_item, ["item_id", "label"])
        .crossJoin(F.broadcast(by_label.agg(F.sum("num_label").alias("num_all"))))
    )
    share_item, share_label = F.col("n") / F.col("num_item"), (F.col("n_label") + 0.5) / (F.col("num_label") + 1)
    share_all = (F.col("n_all") + 0.5) / (F.col("num_all") + 1)
    share_other = (F.col("n_all") - F.col("n_label") + 0.5) / (F.col("num_all") - F.col("num_label") + 1)
    within = F.col("num_both") * F.col("n") - F.col("n_item") * F.col("num_item")
    telling = (
        (share_item > share_all)
        & (share_label > share_other)
        & ((within > 0) | (F.col("num_both") == F.col("num_item")))
    )
    scored_words = counted.withColumn("own", F.log(share_item / share_all)).where(telling)
    rank = Window.partitionBy("item_id", "label").orderBy(F.desc(F.expr("n * own")), "word")
    best = scored_words.withColumn("rank", F.row_number().over(rank)).where(F.col("rank") <= num_words)

    def told(label: str) -> "Column":
        return F.transform(
            F.array_sort(F.collect_list(F.when(F.col("label") == label, F.struct("rank", "word")))), lambda w: w["word"]
        )

    return best.groupBy("item_id").agg(told("positive").alias("praise"), told("negative").alias("complaints"))
