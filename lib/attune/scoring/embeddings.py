"""Vectors of items from their text."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from attune.errors import InputError
from attune.models.networks import describe_network
from attune.models.store import verify
from attune.models.texts import item_text
from attune.scoring.engine import SCORED, score_batches, spread_by_text
from attune.tables import conform

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from attune.config import Config


def embed_items(items: "DataFrame", model_folder: str, settings: "Config") -> "DataFrame":
    """Table embeddings of the items: one vector of length 1 each; items without a text that can be read have none.

    The folder must be readable under the same path on all executors. Raises InputError where it is no sound text match
    model.
    """
    from pyspark.sql import functions as F

    verify(model_folder)
    if describe_network(model_folder)["kind"] != "embedder":
        raise InputError(f"{model_folder} is no text match model: it gives labels, not vectors")
    tokens_per_batch, precision = settings.score.tokens_per_batch, settings.train.precision

    def apply(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for rows, outputs in score_batches(batches, model_folder, None, tokens_per_batch, precision):
            scored = outputs.status == SCORED
            vectors = pd.Series(list(outputs.values[scored]), dtype=object)
            yield pd.DataFrame({"id": rows["item_id"].to_numpy()[scored], "vector": vectors})

    text = item_text(*(F.col(name) for name in ("title", "description", "category", "brand")))
    rows = spread_by_text(items, text).select("item_id", "text")
    result = rows.mapInPandas(apply, "id string, vector array<float>")
    result = result.withColumns({"kind": F.lit("item"), "model_version": F.lit(Path(model_folder).name)})
    return conform(result, "embeddings")
