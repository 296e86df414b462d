"""Scores texts, reviews and items through Spark Connect, and prints what came out as JSON; see ``test_connect``.

Usage: connect_program.py FOLDER, which holds the models ``classifier``, ``pairs`` and ``embedder``
"""

import json
import sys
from pathlib import Path

from pyspark.sql import SparkSession

from attune import config
from attune.scoring.embeddings import embed_items
from attune.scoring.progress import read_done
from attune.scoring.sentiment import score_sentiment
from attune.scoring.texts import score_texts

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    settings = config.load([], ["score.precision=float32"], "2026-03-01")
    spark = (
        SparkSession.builder.remote("local[2]")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.ui.enabled", "false")
        .getOrCreate()
    )
    texts = spark.createDataFrame(
        [("a", "great mug", "red lamp"), ("b", "broken lamp", "the mug"), ("c", None, None), ("d", "great mug", "🦄")],
        "text_id string, text string, other_text string",
    )
    reviews = texts.selectExpr(
        "text_id review_id",
        "'i' item_id",
        "other_text title",
        "text body",
        "5.0D rating",
        "timestamp'2026-01-01' review_ts",
    )
    items = texts.selectExpr(
        "text_id item_id", "text title", "null description", "null category", "cast(null as string) brand"
    )
    found = {
        "labels": score_texts(texts, str(folder / "classifier"), "m", settings, str(folder / "told")),
        "pairs": score_texts(texts, str(folder / "pairs"), "m", settings),
        "sentiment": score_sentiment(reviews, str(folder / "classifier"), settings),
        "vectors": embed_items(items, str(folder / "embedder"), settings),
    }
    rows = {name: [row.asDict() for row in frame.collect()] for name, frame in found.items()}
    told = [read_done(folder / "told", stage).rows for stage in ("tokenised", "scored")]
    print(json.dumps({"rows": rows, "told": told, "module": type(texts).__module__}, default=str))
    spark.stop()
