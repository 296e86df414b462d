"""User ids replaced with keyed hashes (HMAC-SHA-256, RFC 2104): joinable among our tables, to nobody else's."""

import hashlib
import hmac
from typing import TYPE_CHECKING

import pandas as pd

from attune.errors import SettingsError
from attune.secrets import read_secret

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_MIN_BYTES = 16


def read_key(reference: str | None) -> bytes | None:
    """The key that ``clean.pseudonym_key`` refers to. Raises SettingsError where it is absent or too short to be one."""
    if reference is None:
        return None
    text = read_secret(reference, "clean.pseudonym_key", "put a random key of 32 bytes there")
    if len(text.encode()) < _MIN_BYTES:
        raise SettingsError(f"setting clean.pseudonym_key: {reference} holds fewer than {_MIN_BYTES} bytes; take 32")
    return text.encode()


def key_id(key: bytes | None) -> str | None:
    """Short name of a key, to tell which one made a table: the start of its SHA-256."""
    return hashlib.sha256(key).hexdigest()[:8] if key else None


def pseudonym(user_id: str, key: bytes) -> str:
    """HMAC-SHA-256 of an id without the spaces around it, in 32 hexadecimal digits (128 bits).

    >>> pseudonym("u1", b"k" * 32) == pseudonym(" u1 ", b"k" * 32) != pseudonym("u2", b"k" * 32)
    True
    """
    return hmac.digest(key, user_id.strip().encode("utf-8", "replace"), "sha256").hex()[:32]


def pseudonymise(mapped: "DataFrame", key: bytes | None) -> "DataFrame":
    """Replace ``user_id``; the key travels to the tasks inside the function, never in a plan that Spark logs."""
    if key is None or "user_id" not in mapped.columns:
        return mapped
    from pyspark.sql import functions as F
    from pyspark.sql.pandas.functions import pandas_udf

    @pandas_udf("string")  # type: ignore[call-overload]
    def hashed(ids: pd.Series) -> pd.Series:
        known = {name: pseudonym(name, key) for name in ids.dropna().unique()}
        return ids.map(known)

    present = F.nullif(F.trim(F.decode(F.encode("user_id", "UTF-8"), "UTF-8")), F.lit(""))
    return mapped.withColumn("user_id", hashed(present))
