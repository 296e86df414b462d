"""Language of a text: by its script where one language has it to itself, else by a model of letter sequences.

The model is py3langid's (BSD-3-Clause; pure Python on NumPy, 97 languages, its weights in the package, so nothing is
fetched at run time). fastText's is faster but needs a compiled extension and a downloader; lingua is 96 MB. Versions from
0.3 on need NumPy 2.
"""

import re
from functools import cache
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from pyspark.sql import Column

UNDETERMINED = "und"
_MIN_LETTERS = 8
"""Shorter texts in a shared script fit too many languages."""
_MIN_PROBABILITY = 0.6
_MAX_CHARS = 240
"""Longer texts are judged by their beginning: it says as much, and the time is that of the length."""

_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f]")
_SCRIPTS = {
    "ja": re.compile("[\u3041-\u30fa\u31f0-\u31ff\uff66-\uff9d]"), "ko": re.compile("[\u1100-\u11ff\uac00-\ud7a3]"),
    "th": re.compile("[\u0e01-\u0e4e]"), "el": re.compile("[\u0370-\u03ff\u1f00-\u1fff]"),
    "he": re.compile("[\u05d0-\u05ea]"), "hy": re.compile("[\u0531-\u0587]"), "ka": re.compile("[\u10a0-\u10ff]"),
    "ta": re.compile("[\u0b80-\u0bff]"), "te": re.compile("[\u0c00-\u0c7f]"), "km": re.compile("[\u1780-\u17ff]"),
}  # fmt: skip
_LETTER = re.compile(r"[^\W\d_]")
_NO_LANGUAGE = re.compile(r"<(?:email|phone|card|iban|ip|handle)>|https?://\S+|www\.\S+")


def language_of(text: str) -> str:
    """ISO 639-1 code of a text's language; ``und`` for texts with few or no letters and for those that fit none well.

    >>> [language_of(t) for t in ("works very well", "很好用 very good", "sehr gut verarbeitet", "ok!", "12345")]
    ['en', 'zh', 'de', 'und', 'und']
    """
    text = _NO_LANGUAGE.sub(" ", text)[:_MAX_CHARS]
    letters = len(_LETTER.findall(text))
    if letters == 0:
        return UNDETERMINED
    if not text.isascii() and (code := _by_script(text, letters)):
        return code
    if letters < _MIN_LETTERS:
        return UNDETERMINED
    code, probability = _model().classify(text.lower() if text.isupper() else text)
    return str(code) if probability >= _MIN_PROBABILITY else UNDETERMINED


def _by_script(text: str, letters: int) -> str | None:
    """The language that has most letters of a text to itself."""
    han = len(_HAN.findall(text))
    for code, script in _SCRIPTS.items():
        of_script = len(script.findall(text))
        if of_script * 2 > letters or (code == "ja" and han > 0 and of_script * 5 > letters):
            return code
    return "zh" if han * 5 >= letters else None


@cache
def _model() -> Any:
    """The model, once per Python worker."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # type: ignore[import-untyped]

    return LanguageIdentifier.from_pickled_model(MODEL_FILE, norm_probs=True)


def language(text: "Column") -> "Column":
    """``language_of`` as a Spark column; ``und`` where there is no text."""
    from pyspark.sql import functions as F
    from pyspark.sql.pandas.functions import pandas_udf

    @pandas_udf("string")  # type: ignore[call-overload]
    def udf(texts: pd.Series) -> pd.Series:
        return texts.fillna("").map(language_of)

    return udf(F.left(text, F.lit(4 * _MAX_CHARS)))
