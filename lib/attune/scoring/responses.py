"""Apply a response model to a table: what is shown and what was known before, to the probability of a response."""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from attune.errors import InputError
from attune.models.networks import describe_network, read_network
from attune.models.response import ResponseModel, signed_log
from attune.models.store import verify
from attune.scoring.engine import apply_to_tokens, score_batches
from attune.scoring.plan import scoring_of
from attune.scoring.tokens import spread_by_text

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from attune.config import Config

# Shapes: N rows, F features of a row, D features of the encoder.


def score_responses(
    rows: "DataFrame", keys: Sequence[str], model_folder: str, settings: "Config", progress: str | None = None
) -> "DataFrame":
    """``keys`` of each row with ``probability`` (calibrated, 0 to 1), ``status`` of its text, and ``model_version``.

    Each distinct text is read once. Where there is none that can be read, the probability rests on the features alone; where a
    feature is unknown, on the others.

    Args:
        rows: keys, ``text`` of what is shown, and the features that the model learned from, as ``response_examples`` makes
            them.

    See ``Scoring``. Raises InputError where the folder holds no sound response model, or a feature is no column.
    """
    from pyspark.sql import functions as F

    verify(model_folder)
    description = describe_network(model_folder)
    if description["kind"] != ResponseModel.kind:
        raise InputError(f"{model_folder} is no response model: it is of kind {description['kind']}")
    features = list(description["features"])
    missing = [name for name in (*keys, "text", *features) if name not in rows.columns]
    if missing:
        raise InputError(f"rows to score responses of have no column {', '.join(missing)}: add it, null where unknown")
    how = scoring_of(model_folder, settings, progress=progress)

    def apply(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        model = load_response(model_folder)
        for batch, outputs in score_batches(batches, how):
            found = response_probabilities(model, outputs.values, batch[features].to_numpy(np.float64))
            yield batch[list(keys)].assign(probability=found, status=outputs.status)

    numbers = [F.col(name).cast("double").alias(name) for name in features]
    spread = spread_by_text(rows, how, F.col("text")).select(*keys, *numbers, "tokens")
    types = {field.name: field.dataType.simpleString() for field in rows.schema.fields}
    schema = ", ".join(f"{key} {types[key]}" for key in keys) + ", probability double, status string"
    result = apply_to_tokens(spread, apply, schema, how)
    return result.withColumn("model_version", F.lit(Path(model_folder).name))


def response_probabilities(model: ResponseModel, vectors: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Calibrated probability of each row, float64 (N,).

    Args:
        vectors: of the texts, float (N, D); nan where there is none.
        features: as they are, float (N, F); nan where unknown.
    """
    with torch.inference_mode():
        texts = torch.from_numpy(vectors.astype(np.float32))
        texts = torch.where(texts.isnan().any(1, keepdim=True), model.no_text, texts)
        logits = model.of_vectors(texts, torch.from_numpy(signed_log(features)))
        probabilities: np.ndarray = model.calibrated(logits.double()).numpy()
    return probabilities


@lru_cache(maxsize=1)
def load_response(model_folder: str) -> ResponseModel:
    """A stored response model on the CPU, once per Python worker, after its files have been verified."""
    verify(model_folder)
    model = read_network(model_folder).eval()
    assert isinstance(model, ResponseModel)
    return model
