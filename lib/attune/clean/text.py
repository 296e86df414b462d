"""Text as people wrote it: markup and control characters out, personal data redacted, language by script."""

import html
import re
import unicodedata
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from pyspark.sql import Column

_TAG = re.compile(r"<(?:/?[a-zA-Z][^<>]{0,200}|!--.*?--)>", re.DOTALL)
_CONTROL = re.compile(r"[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u200b\ufeff\ufffe\uffff]")
_SPACE = re.compile(r"[^\S\n]+")

EMAIL = r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}"
_GROUPS = r"\d{2,5}(?:[ .-]\d{2,5})"
PHONE = "|".join(
    (
        rf"(?<![\w.-])(?:\+\d{{1,3}}[ .-]?)?\(\d{{2,5}}\)[ .-]?{_GROUPS}{{1,3}}(?![\w-])",  # (020) 7946-0958
        rf"(?<![\w.-])\+\d{{1,3}}[ .-]{_GROUPS}{{1,4}}(?![\w-])",  # +44 20 7946 0958
        r"(?<![\w.-])\d{3,5}[ .-]\d{3,4}[ .-]\d{3,4}(?![\w-])",  # 555-010-9999
        r"\+\d{9,14}(?!\d)",
    )
)


def plain_text(texts: pd.Series, max_chars: int) -> pd.Series:
    """Unescape entities, drop tags and control characters, compose (NFC), fold spaces, cut; empty becomes null.

    >>> plain_text(pd.Series(["Caf&eacute;<br/>is&nbsp;open", " "]), 100).tolist()
    ['Café is open', None]
    """
    return texts.map(lambda text: _plain(text, max_chars), na_action="ignore")


def _plain(text: str, max_chars: int) -> str | None:
    text = html.unescape(html.unescape(text))  # logs that passed two web forms are escaped twice
    text = _TAG.sub(" ", text)
    text = _CONTROL.sub("", unicodedata.normalize("NFC", text))
    return _SPACE.sub(" ", text).strip()[:max_chars] or None


def plain_text_column(column: "Column", max_chars: int) -> "Column":
    """``plain_text`` as a Spark column; halves of surrogate pairs, which would stop Arrow, become question marks."""
    from pyspark.sql import functions as F
    from pyspark.sql.pandas.functions import pandas_udf

    @pandas_udf("string")  # type: ignore[call-overload]
    def udf(texts: pd.Series) -> pd.Series:
        return plain_text(texts, max_chars)

    return udf(F.decode(F.encode(column, "UTF-8"), "UTF-8"))


def redact(column: "Column") -> "Column":
    """Replace e-mail addresses and phone numbers with ``<email>`` and ``<phone>``."""
    from pyspark.sql import functions as F

    return F.regexp_replace(F.regexp_replace(column, EMAIL, "<email>"), PHONE, "<phone>")


def language(text: "Column") -> "Column":
    """``zh`` where a fifth of the letters are Chinese characters, ``en`` where most are Latin, else ``und``."""
    from pyspark.sql import functions as F

    han = F.length(F.regexp_replace(text, r"[^\p{IsHan}]", ""))
    letters = F.length(F.regexp_replace(text, r"\P{L}", ""))
    latin = F.length(F.regexp_replace(text, r"[^\p{IsLatin}]", ""))
    return F.when(letters == 0, "und").when(han * 5 >= letters, "zh").when(latin * 2 > letters, "en").otherwise("und")
