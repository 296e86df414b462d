"""Speed of scoring through Spark: beside a bare loop with the same batching, and beside a pandas UDF of one row at a time.

Usage: python benchmarks/bench_score.py [--reviews N] [--titles N]
MiniLM with a layer for two labels scores titles and bodies of Amazon reviews, each a text, 128 tokens at most. All sides use the same
cores and precision, run once before they are measured, and tokenise as part of their work. Then titles, of which 60% repeat
another, are scored as they are and with a number in front of each that makes all of them differ. Last come reviews of which
one in a hundred is hostile. Writes benchmarks/results/score.json, printed as one line.
"""

import argparse
import gzip
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

HERE = Path(__file__).parent
DATA = HERE.parents[1] / "shared" / "data" / "amazon_reviews" / "reviews.jsonl.gz"
sys.path.insert(0, str(HERE.parent / "lib"))

import measured

from attune import config
from attune.models.encoder import load_encoder, load_tokenizer
from attune.models.networks import TextClassifier, write_network
from attune.models.store import ModelStore
from attune.scoring.engine import Scorer, load_scorer, score_batches, spread_by_text

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SEED, MAX_TOKENS, ENCODER = 7, 128, "minilm"
REPEATED, ROWS_PER_UDF = 0.6, 400
PACKAGES = ("torch", "transformers", "pyspark", "pyarrow")


def main() -> int:
    """Measure, write the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--reviews", type=int, default=8_000)
    parser.add_argument("--titles", type=int, default=100_000)
    given = parser.parse_args()
    if not DATA.is_file():
        print(f"skipped, no real data in {DATA}", file=sys.stderr)
        return 0
    from attune.session import get_session

    settings = config.load(["demo"])
    spark = get_session("speed of scoring", settings.spark)
    with tempfile.TemporaryDirectory() as workspace:
        folder, tokens = store(workspace), settings.score.tokens_per_batch
        reviews, titles = texts(given.reviews)
        bare, ours = compare(spark, reviews, folder, tokens)
        few = frame_of(spark, reviews[:ROWS_PER_UDF])
        measured.compute(by_rows(few.limit(8), folder))
        one_by_one = measured.seconds_of(lambda: measured.compute(by_rows(few, folder)))
        by_row = ROWS_PER_UDF / one_by_one
        with_repeats, all_differ = repeats(spark, titles, folder, tokens, given.titles)
        statuses = statuses_of(scored(frame_of(spark, spoilt(reviews[:1000])), folder, tokens))
    rate = len(reviews) / ours
    figures = {
        "reviews": given.reviews, "texts": len(reviews), "rows_per_second": {"spark": round(rate, 1), "bare_loop": round(len(reviews) / bare, 1), "udf_by_row": round(by_row, 1)},
        "of_bare_loop": round(bare / ours, 3), "times_udf_by_row": round(rate / by_row, 2),
        "seconds_for_a_million_reviews": round(2e6 / rate), "titles": given.titles, "share_repeated": REPEATED,
        "seconds_titles": {"with_repeats": round(with_repeats, 1), "all_differ": round(all_differ, 1)},
        "with_repeats_of_all_differ": round(with_repeats / all_differ, 3), "statuses_with_hostile_rows": statuses,
    }  # fmt: skip
    print(json.dumps(measured.save("score", SEED, figures, PACKAGES)))
    return 0


def store(workspace: str) -> str:
    """A stored classifier; what its head has learned does not change its speed."""
    torch.manual_seed(SEED)
    network, tokenizer = TextClassifier(load_encoder(ENCODER), ["negative", "positive"]), load_tokenizer(ENCODER)
    save = ModelStore(workspace).save
    return str(save("sentiment", "v1", lambda hidden: write_network(network, tokenizer, MAX_TOKENS, hidden), {}))


def texts(num: int) -> tuple[list[str], list[str]]:
    """Titles and bodies of so many reviews, shuffled, and all distinct titles."""
    with gzip.open(DATA, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    rng = np.random.default_rng(SEED)
    chosen = rng.permutation(len(rows))[:num]
    titles = sorted({row["title"].strip() for row in rows if row["title"] and row["title"].strip()})
    both = [text for n in chosen for text in (rows[n]["title"], rows[n]["review_text"])]
    return [both[n] or "" for n in rng.permutation(len(both))], titles


def compare(spark: "SparkSession", reviews: list[str], folder: str, tokens: int) -> tuple[float, float]:
    """Seconds of the bare loop, in one process with all cores, and of Spark with one task a core."""
    scorer: Scorer = load_scorer(folder, None, tokens, "auto")
    torch.set_num_threads(measured.machine()["cores"])
    series = pd.Series(reviews)
    scorer.score(series[:200])
    bare = measured.seconds_of(lambda: scorer.score(series))
    frame = frame_of(spark, reviews)
    measured.compute(scored(frame.limit(200), folder, tokens))
    return bare, measured.seconds_of(lambda: measured.compute(scored(frame, folder, tokens)))


def repeats(spark: "SparkSession", titles: list[str], folder: str, tokens: int, num: int) -> tuple[float, float]:
    """Seconds for titles of which ``REPEATED`` repeat another, and for as many that all differ."""
    rng = np.random.default_rng(SEED)
    distinct = round(num * (1 - REPEATED))
    first = [f"{n // len(titles)} {titles[n % len(titles)]}" for n in range(distinct)]
    some = [first[n] for n in rng.permutation(np.r_[np.arange(distinct), rng.integers(0, distinct, num - distinct)])]
    differ = [f"{n // len(titles)} {titles[n % len(titles)]}" for n in range(num)]
    found = []
    for rows in (some, differ):
        frame = frame_of(spark, rows)
        measured.compute(scored(frame.limit(200), folder, tokens))
        found.append(measured.seconds_of(lambda frame=frame: measured.compute(scored(frame, folder, tokens))))  # type: ignore[misc]
    return found[0], found[1]


def spoilt(rows: list[str]) -> list[str | None]:
    """One row in a hundred replaced by what no one should send."""
    hostile: list[str | None] = [
        None,
        "",
        " \t\n",
        "\x00\x01\x1f",
        "a" * 1_000_000,
        "\u202e\ufeff",
        "\U0001f4a9" * 50_000,
        "\ud83d",
    ]
    kept: list[str | None] = list(rows)
    kept[::100] = [hostile[n % len(hostile)] for n in range(len(kept[::100]))]
    return kept


def statuses_of(frame: "DataFrame") -> dict[str, int]:
    """Rows by status."""
    return {row["status"]: row["count"] for row in frame.groupBy("status").count().orderBy("status").collect()}


def frame_of(spark: "SparkSession", rows: Sequence[str | None]) -> "DataFrame":
    """Texts as a frame that is held in memory."""
    frame = spark.createDataFrame(pd.DataFrame({"body": rows})).repartition(8).cache()
    frame.count()
    return frame


def scored(frame: "DataFrame", folder: str, tokens: int) -> "DataFrame":
    """Probability of each text by the engine, as the job score applies it."""
    from pyspark.sql import functions as F

    def apply(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for _, outputs in score_batches(batches, folder, None, tokens, "auto"):
            yield pd.DataFrame({"probability": outputs.values[:, 1].astype("float64"), "status": outputs.status})

    texts = spread_by_text(frame, F.col("body")).select("text")
    return texts.mapInPandas(apply, "probability double, status string")  # type: ignore[arg-type]


def by_rows(frame: "DataFrame", folder: str) -> "DataFrame":
    """Probability of each text, one at a time, padded to the limit: the pandas UDF that comes to mind first."""
    from pyspark.sql import functions as F

    @F.pandas_udf("double")  # type: ignore[attr-defined]
    def probability(texts: pd.Series) -> pd.Series:
        scorer = load_scorer(folder, None, 8192, "auto")
        found = []
        for text in texts:
            ids = scorer._encoder.encode([text])[0]
            padded, mask = (np.zeros((1, MAX_TOKENS), np.int64) for _ in range(2))
            padded[0, : len(ids)], mask[0, : len(ids)] = ids, 1
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=scorer._bfloat16):
                logits = scorer.network(torch.from_numpy(padded), torch.from_numpy(mask))
            found.append(float(logits.softmax(-1)[0, 1]))
        return pd.Series(found)

    return frame.select(probability("body").alias("probability"))


if __name__ == "__main__":
    sys.exit(main())
