"""Personal data in a column replaced by their kinds: the rules of ``attune.redaction`` applied to a table."""

from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

from attune.redaction import GUARD, redact_text

if TYPE_CHECKING:
    from pyspark.sql import Column


def redact_texts(texts: pa.Array) -> pa.Array:
    """``attune.redaction.redact_text`` of each text, equal texts once; bytes that are not UTF-8 become U+FFFD."""
    encoded = texts.dictionary_encode()
    distinct = encoded.dictionary.cast(pa.binary()).to_pylist()
    redacted = [redact_text(text.decode("utf-8", "replace")) for text in distinct]
    return pa.array(redacted, pa.string()).take(encoded.indices)


def redact(column: "Column") -> "Column":
    """``attune.redaction.redact_text`` of a column.

    Only texts that hold one of the rules' guards go to Python; nearly all texts cost one scan in the JVM. In those that
    go, bytes that are not UTF-8 become U+FFFD, since halves of surrogate pairs would stop Arrow.
    """
    from pyspark.sql import functions as F
    from pyspark.sql.pandas.functions import pandas_udf

    @pandas_udf("string")  # type: ignore[call-overload]
    def redacted(texts: pd.Series) -> pd.Series:
        return texts.map(redact_text, na_action="ignore")

    suspect = F.when(column.rlike(GUARD), F.decode(F.encode(column, "UTF-8"), "UTF-8"))
    return F.coalesce(redacted(suspect), column)
