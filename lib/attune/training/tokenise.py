"""Examples to pre-tokenised rows."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from attune.models.tokens import text_encoder
from attune.training.reader import ROW_KEY

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def token_bytes(texts: pd.Series, tokenizer_file: str, max_tokens: int) -> pd.Series:
    """Token ids of each text as little-endian int32 bytes: a column that petastorm reads at any length."""
    encoded = text_encoder(tokenizer_file, max_tokens).encode(texts.tolist())
    return pd.Series([ids.astype("<i4").tobytes() for ids in encoded], index=texts.index, dtype=object)


def token_column(text: "Column", tokenizer_file: str, max_tokens: int) -> "Column":
    """``token_bytes`` as a Spark column."""
    from pyspark.sql import functions as F

    @F.pandas_udf("binary")  # type: ignore[attr-defined]
    def udf(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        for texts in batches:
            yield token_bytes(texts, tokenizer_file, max_tokens)

    return udf(text)


def pair_column(text: "Column", other_text: "Column", tokenizer_file: str, max_tokens: int) -> "Column":
    """Token ids of two texts in one sequence, as ``token_bytes``."""
    from pyspark.sql import functions as F

    @F.pandas_udf("binary")  # type: ignore[attr-defined]
    def udf(batches: Iterator[tuple[pd.Series, pd.Series]]) -> Iterator[pd.Series]:
        for firsts, seconds in batches:
            encoded = text_encoder(tokenizer_file, max_tokens).encode_pairs(firsts.tolist(), seconds.tolist())
            yield pd.Series([ids.astype("<i4").tobytes() for ids in encoded], index=firsts.index, dtype=object)

    return udf(text, other_text)


def number_column(numbers: "Column") -> "Column":
    """Lists of numbers as ``token_bytes`` gives token ids."""
    from pyspark.sql import functions as F

    @F.pandas_udf("binary")  # type: ignore[attr-defined]
    def udf(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        for lists in batches:
            yield pd.Series([np.asarray(one, "<i4").tobytes() for one in lists], index=lists.index, dtype=object)

    return udf(numbers)


def training_rows(examples: "DataFrame", key: str, tokens: "Column", values: "Mapping[str, Column]") -> "DataFrame":
    """Rows for training: ``tokens``, columns of numbers, ``split`` and ``row_key``; no text.

    Texts in which the tokenizer knows nothing are left out.
    """
    from pyspark.sql import functions as F

    numbers = [column.alias(name) for name, column in values.items()]
    rows = examples.select(F.xxhash64(key).alias(ROW_KEY), "split", *numbers, tokens.alias("tokens"))
    return rows.where(F.length("tokens") > 0)
