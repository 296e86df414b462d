"""Speed of scoring through Spark: beside a bare loop with the same batching, and beside a pandas UDF of one row at a time.

Usage: python benchmarks/bench_score.py [--only PART] [--reviews N] [--bodies N] [--test N]
MiniLM with a layer for two labels scores Amazon reviews, 128 tokens at most. Each part writes a result of its own, printed as one
line:

speed      titles and bodies, each a text. All sides use the same cores and precision, run once before they are measured, and
           tokenise as part of their work. Then reviews of which one in a hundred is hostile. benchmarks/results/score.json
repeats    bodies of reviews, of which 60% repeat another, as they are, and as many that all differ, for a number stands in
           front of each. benchmarks/results/score_repeats.json
precision  a model that learned from 3,000 reviews scores others in float32, bfloat16 and int8, in one process, in turns, a few
           hundred at a time, so that whatever else runs slows all of them. benchmarks/results/score_precision.json
"""

import argparse
import gzip
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

HERE = Path(__file__).parent
DATA = HERE.parents[1] / "shared" / "data" / "amazon_reviews" / "reviews.jsonl.gz"
sys.path.insert(0, str(HERE.parent / "lib"))

import measured
import score_precision

from attune import config
from attune.models.encoder import load_encoder, load_tokenizer
from attune.models.networks import TOKENIZER, TextClassifier, write_network
from attune.models.store import ModelStore
from attune.models.tokens import TextEncoder, text_encoder
from attune.scoring.engine import load_scorer, score_batches
from attune.scoring.plan import Scoring
from attune.scoring.tokens import spread_by_text, token_bytes

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SEED, MAX_TOKENS, ENCODER = 7, 128, "minilm"
REPEATED, ROWS_PER_UDF = 0.6, 400
PACKAGES = ("torch", "transformers", "pyspark", "pyarrow")


def main() -> int:
    """Measure, write the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", choices=("speed", "repeats", "precision"))
    parser.add_argument("--reviews", type=int, default=8_000)
    parser.add_argument("--bodies", type=int, default=20_000)
    parser.add_argument("--test", type=int, default=2_000, help="reviews that the precisions are measured on, at most")
    given = parser.parse_args()
    if not DATA.is_file():
        print(f"skipped, no real data in {DATA}", file=sys.stderr)
        return 0
    if given.only != "precision":
        from attune.session import get_session

        settings = config.load(["demo"])
        spark = get_session("speed of scoring", settings.spark)
        with tempfile.TemporaryDirectory() as workspace:
            how = Scoring(store(workspace), MAX_TOKENS, settings.score.tokens_per_batch, "auto", 0.0, max_new_tokens=1)
            if given.only in (None, "speed"):
                _tell("score", speed(spark, how, given.reviews))
            if given.only in (None, "repeats"):
                _tell("score_repeats", repeats(spark, how, given.bodies))
    if given.only in (None, "precision"):
        _tell("score_precision", score_precision.measure(given.test, SEED))
    return 0


def _tell(name: str, figures: dict[str, Any]) -> None:
    print(json.dumps(measured.save(name, SEED, figures, PACKAGES)))


def speed(spark: "SparkSession", how: Scoring, num: int) -> dict[str, Any]:
    """Titles and bodies a second, and what becomes of hostile rows."""
    reviews = texts(num)
    bare, ours = compare(spark, reviews, how)
    few = frame_of(spark, reviews[:ROWS_PER_UDF])
    measured.compute(by_rows(few.limit(8), how))
    by_row = ROWS_PER_UDF / measured.seconds_of(lambda: measured.compute(by_rows(few, how)))
    statuses = statuses_of(scored(frame_of(spark, spoilt(reviews[:1000])), how))
    rate = len(reviews) / ours
    return {
        "reviews": num, "texts": len(reviews),
        "rows_per_second": {"spark": round(rate, 1), "bare_loop": round(len(reviews) / bare, 1), "udf_by_row": round(by_row, 1)},
        "of_bare_loop": round(bare / ours, 3), "times_udf_by_row": round(rate / by_row, 2),
        "seconds_for_a_million_reviews": round(2e6 / rate), "statuses_with_hostile_rows": statuses,
    }  # fmt: skip


def store(workspace: str) -> str:
    """A stored classifier; what its head has learned does not change its speed."""
    torch.manual_seed(SEED)
    network, tokenizer = TextClassifier(load_encoder(ENCODER), ["negative", "positive"]), load_tokenizer(ENCODER)
    save = ModelStore(workspace).save
    return str(save("sentiment", "v1", lambda hidden: write_network(network, tokenizer, MAX_TOKENS, hidden), {}))


def _rows() -> list[dict[str, str]]:
    with gzip.open(DATA, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def texts(num: int) -> list[str]:
    """Titles and bodies of so many reviews, shuffled."""
    rows, rng = _rows(), np.random.default_rng(SEED)
    both = [text for n in rng.permutation(len(rows))[:num] for text in (rows[n]["title"], rows[n]["review_text"])]
    return [both[n] or "" for n in rng.permutation(len(both))]


def compare(spark: "SparkSession", reviews: list[str], how: Scoring) -> tuple[float, float]:
    """Seconds of the bare loop, in one process with all cores, and of Spark with one task a core."""
    scorer = load_scorer(how)
    torch.set_num_threads(measured.machine()["cores"])
    series, encoder = pd.Series(reviews), _encoder(how)
    scorer.score(token_bytes(encoder, series[:200]))
    bare = measured.seconds_of(lambda: scorer.score(token_bytes(encoder, series)))
    frame = frame_of(spark, reviews)
    measured.compute(scored(frame.limit(200), how))
    return bare, measured.seconds_of(lambda: measured.compute(scored(frame, how)))


def _encoder(how: Scoring) -> TextEncoder:
    return text_encoder(str(Path(how.model_folder) / TOKENIZER), how.max_tokens)


def repeats(spark: "SparkSession", how: Scoring, num: int) -> dict[str, Any]:
    """Seconds for bodies of which ``REPEATED`` repeat another, and for as many that all differ."""
    bodies = sorted({row["review_text"].strip() for row in _rows() if (row["review_text"] or "").strip()})
    rng = np.random.default_rng(SEED)
    order, distinct = rng.permutation(len(bodies)), round(num * (1 - REPEATED))
    differ = [f"{n // len(bodies)} {bodies[order[n % len(bodies)]]}" for n in range(num)]
    some = [differ[n] for n in rng.permutation(np.r_[np.arange(distinct), rng.integers(0, distinct, num - distinct)])]
    seconds = {}
    for name, rows in (("with_repeats", some), ("all_differ", differ)):
        frame = frame_of(spark, rows)
        measured.compute(scored(frame.limit(200), how))
        seconds[name] = measured.seconds_of(lambda frame=frame: measured.compute(scored(frame, how)))  # type: ignore[misc]
        frame.unpersist()
    return {
        "bodies": num, "share_repeated": REPEATED, "mean_words": round(float(np.mean([len(b.split()) for b in differ])), 1),
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
        "with_repeats_of_all_differ": round(seconds["with_repeats"] / seconds["all_differ"], 3),
    }  # fmt: skip


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


def scored(frame: "DataFrame", how: Scoring) -> "DataFrame":
    """Probability of each text by the engine, as the job score applies it."""
    from pyspark.sql import functions as F

    def apply(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for _, outputs in score_batches(batches, how):
            yield pd.DataFrame({"probability": outputs.values[:, 1].astype("float64"), "status": outputs.status})

    rows = spread_by_text(frame, how, F.col("body")).select("tokens")
    return rows.mapInPandas(apply, "probability double, status string")  # type: ignore[arg-type]


def by_rows(frame: "DataFrame", how: Scoring) -> "DataFrame":
    """Probability of each text, one at a time, padded to the limit: the pandas UDF that comes to mind first."""
    from pyspark.sql import functions as F

    @F.pandas_udf("double")  # type: ignore[attr-defined]
    def probability(texts: pd.Series) -> pd.Series:
        scorer = load_scorer(how)
        found = []
        for text in texts:
            ids = _encoder(how).encode([text])[0]
            padded, mask = (np.zeros((1, MAX_TOKENS), np.int64) for _ in range(2))
            padded[0, : len(ids)], mask[0, : len(ids)] = ids, 1
            with torch.inference_mode():
                found.append(float(scorer._predict(torch.from_numpy(padded), torch.from_numpy(mask))[0, 1]))
        return pd.Series(found)

    return frame.select(probability("body").alias("probability"))


if __name__ == "__main__":
    sys.exit(main())
