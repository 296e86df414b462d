"""Time of recommendations as users and items grow: the demo shop with each of them several times.

Usage: python benchmarks/bench_recommend.py [--workspace FOLDER]
FOLDER must hold the demo shop after the pipeline; without it the pipeline runs first, in a temporary one. A copy of a user is
another user with the same features and actions, on items of the same names or, where items are copied too, on those of his own
copy of the catalogue. All of the job but its writing is measured: ALS and EASE, candidates of every source, trees, rules and
reasons. The first time warms Spark up and does not count. Writes benchmarks/results/recommend.json, printed as one line.
"""

import argparse
import functools
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "lib"), str(HERE)]

import measured

from attune import config
from attune.jobs.pipeline import pipeline
from attune.recommend.recommend import recommend
from attune.recommend.tables import read_inputs
from attune.run import start

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from attune.recommend.inputs import Inputs

SEED = 7
OF_USERS = ("events", "users", "user_features")
OF_ITEMS = {
    "events": "item_id",
    "items": "item_id",
    "item_features": "item_id",
    "review_sentiment": "item_id",
    "embeddings": "id",
}
COPIES = ((1, 1), (4, 1), (12, 1), (12, 12))
"""Of the users and of the items."""
PACKAGES = ("pyspark", "lightgbm", "faiss-cpu", "pyarrow", "numpy")


def main() -> int:
    """Measure, write the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--workspace", help="folder with the demo shop after the pipeline")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.workspace or temporary
        if not given.workspace and (status := pipeline.main(["--set", f"workspace={folder}", "--set", f"seed={SEED}"])):
            return status
        print(json.dumps(measured.save("recommend", SEED, measure(folder), PACKAGES)))
    return 0


def measure(folder: str) -> dict[str, Any]:
    """Seconds and memory by number of users and items, and what more users take with the fewest and the most items."""
    settings = config.load(["demo"], [f"workspace={folder}", f"seed={SEED}"])
    run = start("recommend", settings)
    inputs = read_inputs(run)

    def once(of_users: int, of_items: int) -> dict[str, Any]:
        grown = multiplied(inputs, of_users, of_items)
        assert grown.items is not None
        with measured.peak_memory() as peak:
            seconds = measured.seconds_of(lambda: _recommend(grown, run))
        users = grown.events.select("user_id").distinct().count()
        size = {"users": users, "items": grown.items.count()}
        return {**size, "seconds": round(seconds, 1), "peak_memory_gib": round(peak.bytes / 2**30, 2)}

    once(1, 1)
    sizes = [once(*copies) for copies in COPIES]
    first, many, larger = sizes[0], sizes[-2], sizes[-1]
    more_users = (many["users"] - first["users"]) / 1000
    return {
        "top_n": settings.recommend.top_n,
        "sizes": sizes,
        "seconds_for_a_thousand_users": {
            str(many["items"]): round((many["seconds"] - first["seconds"]) / more_users, 3),
            str(larger["items"]): round((larger["seconds"] - first["seconds"]) / more_users, 3),
        },
    }


def _recommend(inputs: "Inputs", run: Any) -> None:
    with recommend(inputs, run.settings, run.models, run.settings.as_of) as frame:
        measured.compute(frame)


def multiplied(inputs: "Inputs", of_users: int, of_items: int) -> "Inputs":
    """The tables with each user and each item so many times, under other ids."""
    from pyspark.sql import functions as F

    def copy(frame: "DataFrame", column: str, number: int) -> "DataFrame":
        return frame.withColumn(column, F.concat(column, F.lit(f"~{number}")))

    def copies(name: str, table: "DataFrame") -> list["DataFrame"]:
        users = range(of_users if name in OF_USERS else 1)
        if name not in OF_ITEMS:
            return [copy(table, "user_id", user) for user in users]
        if name not in OF_USERS:
            return [copy(table, OF_ITEMS[name], item) for item in range(of_items)]
        return [copy(copy(table, "user_id", user), OF_ITEMS[name], user % of_items) for user in users]

    tables = {name: getattr(inputs, name) for name in {*OF_USERS, *OF_ITEMS}}
    grown = {
        name: functools.reduce(lambda a, b: a.unionByName(b), copies(name, table))
        for name, table in tables.items()
        if table is not None
    }
    return replace(inputs, **grown)


if __name__ == "__main__":
    sys.exit(main())
