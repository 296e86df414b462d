"""Speed of the search for each user's best items, beside Spark's ALSModel.recommendForAllUsers.

Usage: python benchmarks/bench_nearest.py [--users N] [--items N]
Factors are drawn by chance, 64 a user and item. Both sides start from the same Parquet files and compute every list of 100, for
100,000 users and 50,000 items by default, which takes Spark minutes. Then ours at fractions of the users; and exact and approximate among 400,000 items of length 1 around 2,000 centres, as texts of a large shop lie. Writes
benchmarks/results/nearest.json, printed as one line.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "lib"))

import measured

from attune import config
from attune.recommend.nearest import Index, approximate_index, exact_index, nearest

if TYPE_CHECKING:
    from pyspark.ml.recommendation import ALSModel
    from pyspark.sql import DataFrame, SparkSession

SEED, RANK, K = 7, 64, 100
FULL_USERS, FULL_ITEMS = 100_000, 50_000
LARGE_USERS, LARGE_ITEMS, CENTRES, SPREAD = 20_000, 400_000, 2_000, 0.1
COMPARED, SAMPLE = 2_000, 500
"""Users whose lists of both sides are compared, and users that recall is measured on."""
PACKAGES = ("pyspark", "faiss-cpu", "pyarrow", "numpy")


def main() -> int:
    """Measure, write the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--users", type=int, default=FULL_USERS)
    parser.add_argument("--items", type=int, default=FULL_ITEMS)
    given = parser.parse_args()
    from attune.session import get_session

    spark = get_session("speed of search", config.load(["demo"]).spark)
    rng = np.random.default_rng(SEED)
    users, items = (rng.normal(size=(num, RANK)).astype(np.float32) / 8 for num in (FULL_USERS, FULL_ITEMS))
    with tempfile.TemporaryDirectory() as folder:
        model = als_model(spark, Path(folder) / "als", users[: given.users], items[: given.items])
        small, some = frame_of(spark, Path(folder) / "some", users[: given.users]), exact_index(items[: given.items])
        measured.compute(nearest(small.limit(1000), some, K))  # workers started, libraries loaded
        ours = measured.seconds_of(lambda: measured.compute(nearest(small, some, K)))
        theirs = measured.seconds_of(lambda: measured.compute(model.recommendForAllUsers(K)))
        same = same_lists(model, small, some)
        index = exact_index(items)
        growth = {}
        for num in (FULL_USERS // 4, FULL_USERS // 2, FULL_USERS):
            frame = frame_of(spark, Path(folder) / f"users-{num}", users[:num])
            with measured.peak_memory() as peak:
                growth[num] = measured.seconds_of(lambda frame=frame: measured.compute(nearest(frame, index, K)))  # type: ignore[misc]
        askers, large = around_centres(rng, LARGE_USERS), around_centres(rng, LARGE_ITEMS)
        frame = frame_of(spark, Path(folder) / "askers", askers)
        whole = exact_index(large)
        exactly = measured.seconds_of(lambda: measured.compute(nearest(frame, whole, K)))
        began = time.perf_counter()
        quick = approximate_index(large, askers[:SAMPLE], K)
        built = time.perf_counter() - began
        approximate = measured.seconds_of(lambda: measured.compute(nearest(frame, quick, K)))
    figures = {
        "rank": RANK, "k": K, "beside_spark": {
            "users": given.users, "items": given.items, "seconds_spark": round(theirs, 1), "seconds": round(ours, 1),
            "times": round(theirs / ours, 1), "lists_compared": COMPARED, "lists_same": same,
        },
        "exact": {
            "items": FULL_ITEMS, "seconds_by_users": {num: round(seconds, 1) for num, seconds in growth.items()},
            "peak_memory_gib": round(peak.bytes / 2**30, 2), "index_mb": round(index.data.nbytes / 1e6, 1),
        },
        "approximate": {
            "users": LARGE_USERS, "items": LARGE_ITEMS, "recall": round(quick.recall, 4), "seconds_to_build": round(built, 1),
            "seconds": round(approximate, 1), "seconds_exact": round(exactly, 1), "times": round(exactly / approximate, 1),
        },
    }  # fmt: skip
    print(json.dumps(measured.save("nearest", SEED, figures, PACKAGES)))
    return 0


def around_centres(rng: np.random.Generator, num: int) -> np.ndarray:
    """Vectors of length 1 around centres that are the same at every call."""
    centres = np.random.default_rng(SEED).normal(size=(CENTRES, RANK))
    found = centres[rng.integers(0, CENTRES, num)] + SPREAD * np.sqrt(RANK) * rng.normal(size=(num, RANK))
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), np.float32)


def als_model(spark: "SparkSession", folder: Path, users: np.ndarray, items: np.ndarray) -> "ALSModel":
    """Spark's model with these factors: that of a training on two ratings, its factors replaced where it is stored."""
    from pyspark.ml.recommendation import ALS, ALSModel

    ratings = spark.createDataFrame([(0, 0, 1.0), (1, 1, 1.0)], "user int, item int, rating float")
    ALS(rank=RANK, maxIter=1, seed=SEED).fit(ratings).write().overwrite().save(str(folder))
    for name, factors in (("userFactors", users), ("itemFactors", items)):
        frame_of(spark, folder / name, factors)
    return ALSModel.load(str(folder))


def frame_of(spark: "SparkSession", folder: Path, factors: np.ndarray) -> "DataFrame":
    """Factors as a table of ``id`` and ``features``, in eight files."""
    for file in folder.glob("*"):
        file.unlink()
    for file in folder.glob(".*"):
        file.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    for number, part in enumerate(np.array_split(np.arange(len(factors)), 8)):
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(factors[part].ravel()), RANK).cast(pa.list_(pa.float32()))
        pq.write_table(
            pa.table({"id": pa.array(part, pa.int32()), "features": vectors}), folder / f"part-{number}.parquet"
        )
    return spark.read.parquet(str(folder))


def same_lists(model: "ALSModel", users: "DataFrame", index: Index) -> int:
    """Of how many users both sides give the same items, those that tie aside: the scores are the same at every place."""
    some = users.limit(COMPARED)
    theirs = {
        row["id"]: [r["rating"] for r in row["recommendations"]]
        for row in model.recommendForUserSubset(some.select("id").withColumnRenamed("id", "user"), K)
        .withColumnRenamed("user", "id")
        .collect()
    }
    ours = {row["id"]: row["scores"] for row in nearest(some, index, K).collect()}
    return sum(np.allclose(scores, theirs[user], rtol=1e-5, atol=1e-6) for user, scores in ours.items())


if __name__ == "__main__":
    sys.exit(main())
