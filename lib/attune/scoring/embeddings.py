"""Vectors of items from their texts, from their pictures, and from both."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from attune.errors import InputError
from attune.models.networks import describe_network
from attune.models.store import verify
from attune.models.texts import item_text
from attune.scoring.engine import SCORED, apply_to_tokens, score_batches
from attune.scoring.fusion import Floats, learn_fusion
from attune.scoring.plan import scoring_of
from attune.scoring.tokens import spread_by_text
from attune.tables import conform

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from attune.config import Config

_LEARNED_FROM = 20_000
"""Items that the fusion is learned on: their vectors come to the driver, some 100 MB."""


def embed_items(items: "DataFrame", model_folder: str, settings: "Config", progress: str | None = None) -> "DataFrame":
    """Table embeddings of the items: one vector of length 1 each; items without a text that can be read have none.

    See ``Scoring``. Raises InputError where the folder holds no sound text match model.
    """
    from pyspark.sql import functions as F

    verify(model_folder)
    if describe_network(model_folder)["kind"] != "embedder":
        raise InputError(f"{model_folder} is no text match model: it gives labels, not vectors")
    how = scoring_of(model_folder, settings, progress=progress)

    def apply(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for rows, outputs in score_batches(batches, how):
            scored = outputs.status == SCORED
            vectors = pd.Series(list(outputs.values[scored]), dtype=object)
            yield pd.DataFrame({"id": rows["item_id"].to_numpy()[scored], "vector": vectors})

    text = item_text(*(F.col(name) for name in ("title", "description", "category", "brand")))
    rows = spread_by_text(items, how, text).select("item_id", "tokens")
    result = apply_to_tokens(rows, apply, "id string, vector array<float>", how)
    result = result.withColumns({"kind": F.lit("item"), "model_version": F.lit(Path(model_folder).name)})
    return conform(result, "embeddings")


def image_vectors(item_images: "DataFrame") -> "DataFrame":
    """Table embeddings of kind item_image, from table item_images."""
    from pyspark.sql import functions as F

    scored = item_images.where(F.col("status") == SCORED).withColumnRenamed("item_id", "id")
    return conform(scored.withColumn("kind", F.lit("item_image")), "embeddings")


def fuse_items(texts: "DataFrame", images: "DataFrame", weight: float) -> "DataFrame":
    """Table embeddings of kind item_fused, from those of kinds item and item_image: one row for an item that has either.

    Runs Spark jobs: the fusion is learned on the driver, from the items that have both and as many others as needed.
    """
    from pyspark.sql import functions as F

    sides = [
        frame.select("id", F.col("vector").alias(name), F.col("model_version").alias(f"{name}_version"))
        for frame, name in ((texts, "text"), (images, "image"))
    ]
    both = sides[0].join(sides[1], "id", "full")
    complete = F.col("text").isNotNull() & F.col("image").isNotNull()
    some: pd.DataFrame = both.orderBy(complete.desc(), F.xxhash64("id")).limit(_LEARNED_FROM).toPandas()  # type: ignore[assignment]
    widths = tuple(max((len(v) for v in some[name] if v is not None), default=0) for name in ("text", "image"))
    fusion = learn_fusion(*_matrices(some, widths), weight)
    versions = [next(iter(some[f"{name}_version"].dropna()), "none") for name in ("text", "image")]

    def apply(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for rows in batches:
            fused = fusion(*_matrices(rows, widths))
            yield pd.DataFrame({"id": rows["id"].to_numpy(), "vector": pd.Series(list(fused), dtype=object)})

    result = both.select("id", "text", "image").mapInPandas(apply, "id string, vector array<float>")
    version = f"{versions[0]}+{versions[1]}@{weight:g}"
    return conform(result.withColumns({"kind": F.lit("item_fused"), "model_version": F.lit(version)}), "embeddings")


def _matrices(rows: pd.DataFrame, widths: tuple[int, ...]) -> tuple[Floats, Floats]:
    """Columns text and image as (N, T) and (N, V); zeros where there is no vector."""
    text, image = (np.zeros((len(rows), width), np.float32) for width in widths)
    for name, matrix in (("text", text), ("image", image)):
        known = rows[name].notna().to_numpy()
        if known.any():
            matrix[known] = np.stack(rows[name].to_numpy()[known])
    return text, image
