"""Users that were erased on request: kept out of what is cleaned later, without a list of their ids.

Table ``forgotten`` holds HMAC-SHA-256 (RFC 2104) of each id, keyed with a random salt of the workspace that stands beside
it. It protects against reading an id out of the table, against tables of hashes made beforehand, and against joining the
lists of two workspaces. It does not protect against someone who has the table and tries ids one by one: such a person can
learn whether an id that he knows was erased here, and nothing else about it. The key of ``clean.pseudonym_key`` takes no
part, for with a new one the erased would come back.
"""

import hmac
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from attune.run import Run

FORGOTTEN = "_forgotten"
_FIELDS = re.compile(r"""["',;|\t{}\[\]]+""")
_WORDS = re.compile(r"""[\s"',;|{}\[\]()<>:=/&?\\]+""")


def hash_id(user_id: str, salt: str) -> str:
    """HMAC-SHA-256 of an id as the source has it, without the spaces around it, in 32 hexadecimal digits (128 bits).

    >>> hash_id("u1", "s") == hash_id(" u1 ", "s") != hash_id("u1", "t")
    True
    """
    return hmac.digest(salt.encode(), user_id.strip().encode("utf-8", "replace"), "sha256").hex()[:32]


@dataclass(frozen=True)
class Forgotten:
    """The erased users of a workspace, as hashes; plain values, so that it travels to tasks."""

    salt: str
    hashes: frozenset[str]

    def __contains__(self, user_id: str) -> bool:
        return hash_id(user_id, self.salt) in self.hashes

    def named_in(self, raw: str) -> bool:
        """Whether a row as it was read has the id of an erased user for a field or a word, however damaged it is."""
        parts = {part.strip() for part in (*_FIELDS.split(raw), *_WORDS.split(raw), *_json_texts(raw))}
        return any(part in self for part in parts if part)


def read_forgotten(run: "Run") -> Forgotten | None:
    """The erased users of the workspace; None where there is none."""
    if not run.has("forgotten"):
        return None
    rows = run.read("forgotten").select("salt", "hash").collect()
    return Forgotten(rows[0]["salt"], frozenset(row["hash"] for row in rows))


def mark_forgotten(mapped: "DataFrame", forgotten: Forgotten | None) -> "DataFrame":
    """Add column FORGOTTEN: whether a row is of an erased user. To be called before ids become pseudonyms."""
    if forgotten is None or "user_id" not in mapped.columns:
        return mapped
    import pandas as pd
    from pyspark.sql.pandas.functions import pandas_udf

    @pandas_udf("boolean")  # type: ignore[call-overload]
    def is_forgotten(ids: pd.Series) -> pd.Series:
        return ids.isin({name for name in ids.dropna().unique() if name in forgotten})

    return mapped.withColumn(FORGOTTEN, is_forgotten(_well_formed("user_id")))


def mark_named(judged: "DataFrame", forgotten: Forgotten | None, raw: "Column", refused: "Column") -> "DataFrame":
    """Column FORGOTTEN also for refused rows whose raw text names an erased user."""
    if forgotten is None:
        return judged
    import pandas as pd
    from pyspark.sql import functions as F
    from pyspark.sql.pandas.functions import pandas_udf

    @pandas_udf("boolean")  # type: ignore[call-overload]
    def is_named(texts: pd.Series) -> pd.Series:
        return texts.map(lambda text: text is not None and forgotten.named_in(text)).astype(bool)

    before = F.col(FORGOTTEN) if FORGOTTEN in judged.columns else F.lit(False)
    text = F.when(refused, F.decode(F.encode(raw, "UTF-8"), "UTF-8"))
    return judged.withColumn(FORGOTTEN, before | is_named(text))


def _well_formed(name: str) -> "Column":
    """A text column without lone surrogates, which would fail a pandas UDF."""
    from pyspark.sql import functions as F

    return F.decode(F.encode(name, "UTF-8"), "UTF-8")


def _json_texts(raw: str) -> Iterable[str]:
    """Texts among the values of a row that is a JSON object."""
    try:
        row = json.loads(raw)
    except (ValueError, RecursionError):
        return []
    return [str(value) for value in row.values()] if isinstance(row, dict) else []
