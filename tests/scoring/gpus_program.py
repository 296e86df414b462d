"""Tells as JSON which GPUs the tasks of both stages of scoring get, on executors that pretend to have one.

Usage: gpus_program.py FOLDER, which holds ``model/tokenizer.json`` and the script ``gpus`` that names the GPU
"""

import json
import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyspark
from pyspark import TaskContext
from pyspark.sql import functions as F
from pyspark.sql.types import StringType

from attune.scoring.engine import apply_to_tokens
from attune.scoring.plan import Scoring
from attune.scoring.tokens import spread_by_text
from attune.session import get_session


def gpus() -> str:
    """Addresses of the GPUs of this task."""
    context = TaskContext.get()
    assert context is not None
    return ",".join(address for found in context.resources().values() for address in found.addresses)


def tell(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """The network's part."""
    for batch in batches:
        yield batch[["before"]].assign(after=gpus())


@F.pandas_udf(StringType())
def of_stage(texts: pd.Series) -> pd.Series:
    """The tokeniser's part."""
    return pd.Series([gpus()] * len(texts))


if __name__ == "__main__":
    folder, has = Path(sys.argv[1]), {"amount": 1, "discoveryScript": str(Path(sys.argv[1]) / "gpus")}
    options = {f"spark.{of}.resource.gpu.{key}": value for of in ("executor", "worker") for key, value in has.items()}
    spark = get_session("gpus", {**options, "spark.sql.shuffle.partitions": 2, "spark.ui.enabled": False})
    how = Scoring(str(folder / "model"), 16, 64, "auto", 0.0, max_new_tokens=1, gpus_per_task=1)
    texts = spark.createDataFrame([("great mug",), ("red lamp",)], "text string").withColumn("before", of_stage("text"))
    rows = spread_by_text(texts, how, F.col("text"))
    first, second = (apply_to_tokens(rows, tell, "before string, after string", one) for one in (how, replace(how)))
    print(json.dumps([row.asDict() for row in first.unionByName(second).collect()]))
    of_application = Path(pyspark.__file__).parent / "work" / str(spark.sparkContext.applicationId)
    spark.stop()
    shutil.rmtree(of_application, ignore_errors=True)  # what executors wrote in the folder of Spark
