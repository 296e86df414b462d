"""Apply a model of one's own to the table of texts: labels, how well two texts match, or what follows a text."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from attune.errors import InputError
from attune.models.causal_language import NOT_WRITTEN
from attune.models.networks import TOKENIZER, describe_network
from attune.models.store import verify
from attune.models.tokens import TextEncoder, text_encoder
from attune.scoring.engine import SCORED, Outputs, apply_to_tokens, score_batches
from attune.scoring.plan import scoring_of
from attune.scoring.tokens import spread_by_text
from attune.tables import conform

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from attune.config import Config, Score

KINDS = ("classifier", "pair_scorer", "causal_language")
"""Networks that give labels or a probability, or write; the others give vectors, or need more than a text."""
LABEL_FROM = 0.5
"""Probability from which a text that may have several labels has one."""
_SCHEMA = "text_id string, text_hash bigint, probability double, label string, written string, status string"
_COLUMNS = [part.split()[0] for part in _SCHEMA.split(", ")]


def label_columns(outputs: Outputs, labels: list[str], several: bool) -> pd.DataFrame:
    """label, probability and status of each row, from outputs (N, C); without labels the output (N, 1) is the probability.

    Of several labels those from ``LABEL_FROM`` on are separated by |, and the probability is that of the surest.
    """
    scored = outputs.status == SCORED
    values = np.where(scored[:, None], outputs.values, 0.0)
    frame = pd.DataFrame({"probability": pd.Series(values.max(axis=1).astype("float64")).where(scored)})
    if several:
        found: list[str] = ["|".join(np.array(labels)[row >= LABEL_FROM]) for row in values]
    else:
        found = [labels[n] for n in values.argmax(axis=1)] if labels else [""] * len(values)
    told = pd.Series(found, dtype=object)
    return frame.assign(label=told.where(scored & (told != ""), None), status=outputs.status)


def written_column(outputs: Outputs, encoder: TextEncoder) -> pd.DataFrame:
    """written and status of each row, from the token ids that a model wrote (N, L)."""
    scored = outputs.status == SCORED
    texts = [encoder.decode(row[row != NOT_WRITTEN]) for row in np.where(scored[:, None], outputs.values, NOT_WRITTEN)]
    return pd.DataFrame({"written": pd.Series(texts, dtype=object).where(scored, None), "status": outputs.status})


def score_texts(
    texts: "DataFrame", model_folder: str, model: str, settings: "Config", progress: str | None = None
) -> "DataFrame":
    """Table text_scores of one model: each text once, with a status where it could not be scored.

    See ``Scoring``. Raises InputError where the folder holds no sound model of ``KINDS``.
    """
    from pyspark.sql import functions as F

    verify(model_folder)
    description = describe_network(model_folder)
    if description["kind"] not in KINDS:
        raise InputError(f"{model_folder} gives no labels and writes no text: it is of kind {description['kind']}")
    writes, tokenizer = description["kind"] == "causal_language", str(Path(model_folder) / TOKENIZER)
    labels, several = description.get("labels", []), bool(description.get("multi_label", False))
    how = scoring_of(model_folder, settings, settings.score.max_tokens, progress)

    def apply(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for rows, outputs in score_batches(batches, how):
            if writes:
                columns = written_column(outputs, text_encoder(tokenizer, how.max_tokens))
            else:
                columns = label_columns(outputs, labels, several)
            keyed = pd.concat([rows[["text_id", "text_hash"]].reset_index(drop=True), columns], axis=1)
            yield keyed.reindex(columns=_COLUMNS)

    other_text = F.col("other_text") if description["kind"] == "pair_scorer" else None
    rows = spread_by_text(
        texts.withColumn("text_hash", text_hash(settings.score, writes)), how, F.col("text"), other_text
    )
    result = apply_to_tokens(rows.select("text_id", "text_hash", "tokens"), apply, _SCHEMA, how)
    version = Path(model_folder).name
    return conform(result.withColumns({"model": F.lit(model), "model_version": F.lit(version)}), "text_scores")


def text_hash(score: "Score", writes: bool) -> "Column":
    """What a score depends on, besides the model: a text that stays the same is not scored again."""
    from pyspark.sql import functions as F

    limits = [F.lit(score.max_tokens), *([F.lit(score.max_new_tokens)] if writes else [])]
    return F.xxhash64("text", "other_text", *limits)
