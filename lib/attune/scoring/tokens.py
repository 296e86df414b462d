"""Texts to token ids, a stage of its own before the network's: all cores tokenise, and feed whatever few GPUs there are."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from attune.models.networks import TOKENIZER
from attune.models.tokens import TextEncoder, text_encoder
from attune.scoring.plan import Scoring
from attune.scoring.progress import Tally

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_BETWEEN = "\x1f"
"""The unit separator stands between the texts of a pair."""


def token_bytes(encoder: TextEncoder, texts: pd.Series, others: pd.Series | None = None) -> pd.Series:
    """Token ids of each text, or of each pair of texts, as little-endian int32 bytes.

    Null where a text is null or blank, no bytes where the tokenizer knows nothing in it.
    """
    stripped = _stripped(texts)
    if others is not None:
        stripped = stripped + _BETWEEN + _stripped(others)
    codes, distinct = pd.factorize(stripped)
    encoded = np.array([ids.astype("<i4").tobytes() for ids in _encode(encoder, distinct, others is not None)], object)
    found = np.full(len(texts), None, object)
    found[codes >= 0] = encoded[codes[codes >= 0]]
    return pd.Series(found, index=texts.index, dtype=object)


def spread_by_text(df: "DataFrame", how: Scoring, text: "Column", other_text: "Column | None" = None) -> "DataFrame":
    """Add ``tokens``, and lay rows out so that equal texts are neighbours and all task slots have work."""
    from pyspark.sql import functions as F

    partitions = int(df.sparkSession.conf.get("spark.sql.shuffle.partitions", "8") or 8)
    hashed = df.withColumn("tokens", _token_column(how, text, other_text)).withColumn("_hash", F.xxhash64("tokens"))
    return hashed.repartition(partitions, "_hash").sortWithinPartitions("_hash").drop("_hash")


def _token_column(how: Scoring, text: "Column", other_text: "Column | None") -> "Column":
    from pyspark.sql import functions as F

    tokenizer = str(Path(how.model_folder) / TOKENIZER)

    @F.pandas_udf("binary")  # type: ignore[attr-defined]
    def tokens(batches: Iterator[tuple[pd.Series, ...]]) -> Iterator[pd.Series]:
        encoder = text_encoder(tokenizer, how.max_tokens)
        with Tally(how.progress, "tokenised") as tally:
            for columns in batches:  # of one column Spark makes no tuple
                found = token_bytes(encoder, *(columns if isinstance(columns, tuple) else (columns,)))
                tally.add(len(found), sum(map(len, found.dropna())) // 4)
                yield found

    return tokens(text) if other_text is None else tokens(text, other_text)


def _encode(encoder: TextEncoder, texts: np.ndarray, are_pairs: bool) -> list[np.ndarray]:
    if not are_pairs:
        return encoder.encode([str(text) for text in texts])
    parts = [str(text).split(_BETWEEN) for text in texts]
    return encoder.encode_pairs([part[0] for part in parts], [part[-1] for part in parts])


def _stripped(texts: pd.Series) -> pd.Series:
    """Texts without blanks around them, null where nothing is left."""
    return texts.str.replace(_BETWEEN, " ", regex=False).str.strip().replace("", None)
