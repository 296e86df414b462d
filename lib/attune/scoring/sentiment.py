"""Score reviews with the sentiment model."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from attune.errors import InputError
from attune.models.networks import describe_network
from attune.models.store import verify
from attune.models.texts import review_text
from attune.scoring.engine import SCORED, Outputs, apply_to_tokens, score_batches
from attune.scoring.plan import scoring_of
from attune.scoring.tokens import spread_by_text
from attune.tables import conform

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from attune.config import Config

KEPT = ("review_id", "item_id", "review_ts", "rating")


def sentiment_columns(outputs: Outputs) -> pd.DataFrame:
    """label, probability (of positive) and status of each row, from outputs (N, 2)."""
    scored = outputs.status == SCORED
    probability = pd.Series(outputs.values[:, 1].astype("float64")).where(scored)
    label = pd.Series(probability >= 0.5).map({True: "positive", False: "negative"}).where(scored, None)
    return pd.DataFrame({"label": label, "probability": probability, "status": outputs.status})


def score_sentiment(
    reviews: "DataFrame", model_folder: str, settings: "Config", progress: str | None = None
) -> "DataFrame":
    """Table review_sentiment: each review once, with a status where it could not be scored; see ``Scoring``.

    Raises InputError where the folder holds no sound model of two labels.
    """
    from pyspark.sql import functions as F

    verify(model_folder)
    labels = describe_network(model_folder).get("labels")
    if labels != ["negative", "positive"]:
        raise InputError(f"{model_folder} is no sentiment model: its labels are {labels}")
    how = scoring_of(model_folder, settings, settings.score.max_tokens, progress)

    def apply(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for rows, outputs in score_batches(batches, how):
            columns = sentiment_columns(outputs)
            yield pd.concat([rows[list(KEPT)].reset_index(drop=True), columns], axis=1)

    rows = spread_by_text(reviews, how, review_text(F.col("title"), F.col("body"))).select(*KEPT, "tokens")
    kept_types = ", ".join(f"{f.name} {f.dataType.simpleString()}" for f in rows.schema.fields if f.name in KEPT)
    result = apply_to_tokens(rows, apply, f"{kept_types}, label string, probability double, status string", how)
    return conform(result.withColumn("model_version", F.lit(Path(model_folder).name)), "review_sentiment")
