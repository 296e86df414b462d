"""Text as people wrote it: markup, control characters and invisible ones out, letters composed, emoji and scripts intact."""

import html
import re
import unicodedata
from functools import cache
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from pyspark.sql import Column

_MAX_MARKUP = 8
"""A text may be this many times longer than what is kept of it before its markup is taken out; the rest is not read."""
_MAX_MARKS = 30
"""Combining marks in a row that are kept, as in Unicode's stream-safe format (UAX 15): composing more takes too long."""

_HIDDEN = {"!--": re.compile("-->"), "script": re.compile("</script[^<>]{0,100}>", re.IGNORECASE | re.ASCII),
           "style": re.compile("</style[^<>]{0,100}>", re.IGNORECASE | re.ASCII)}  # fmt: skip
_HIDDEN_START = re.compile(r"<(!--|(?:script|style)\b)", re.IGNORECASE | re.ASCII)
_NAMES = (
    "a|abbr|address|article|aside|audio|b|big|blockquote|body|br|button|caption|center|cite|code|col|dd|del|details|div|dl|dt"
    "|em|fieldset|figcaption|figure|font|footer|form|h[1-6r]|head|header|html|i|iframe|img|input|ins|kbd|label|legend|li|link"
    "|main|map|mark|meta|nav|noscript|object|ol|option|p|picture|pre|q|s|samp|script|section|select|small|source|span|strike"
    r"|strong|style|sub|summary|sup|svg|table|tbody|td|textarea|tfoot|th|thead|time|title|tr|tt|u|ul|var|video|[a-z]\w*:\w+"
)
_TAG = re.compile(
    rf"<(?:/?(?:{_NAMES})(?=[\s/>])[^<>]{{0,4000}}|![a-z][^<>]{{0,200}}|\?xml[^<>]{{0,200}})>", re.IGNORECASE | re.ASCII
)

_LINE = re.compile("\r\n?|[\v\f\u0085\u2028\u2029]")
# Control characters; soft hyphen; marks and overrides of direction; spaces and operators without width; noncharacters.
_INVISIBLE = re.compile(
    "[\u0000-\u0008\u000e-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufdd0-\ufdef"
    "\ufeff\ufff9-\ufffb\ufffe\uffff]"
)
_NONCHARACTERS = "".join(chr(plane << 16 | end) for plane in range(1, 17) for end in (0xFFFE, 0xFFFF))
_TAG_CHARACTERS = re.compile(
    rf"(\U0001f3f4[\U000e0020-\U000e007e]{{1,10}}\U000e007f)|[\U000e0000-\U000e007f{_NONCHARACTERS}]"
)
"""Letters without a shape, kept only in the flags that they spell."""
_ASTRAL = re.compile("[\U00010000-\U0010ffff]")
_JOINERS = re.compile("[\u200c\u200d]+")
_SPACE = re.compile(r"[^\S\n]+")
_LINES = re.compile(r" ?\n[ \n]*")

# Scripts whose spelling needs joiners: Arabic to Syriac, those of India and South-East Asia, Mongolian.
_JOINED_SCRIPTS = re.compile(
    "[\u0600-\u07ff\u08a0-\u0dff\u0f00-\u109f\u1780-\u18af\ua840-\uaaff\ufb50-\ufdcf\ufe70-\ufefc]"
)
_EMOJI = re.compile("[#*0-9\u203c-\u3299\ufe0f\U0001f000-\U0001faff\U000e007f]")


def plain_text(texts: pd.Series, max_chars: int) -> pd.Series:
    """Unescape entities, drop markup and invisible characters, compose (NFC), fold spaces, cut; empty becomes null.

    >>> plain_text(pd.Series(["Caf&eacute;<br/>is&nbsp;open", " "]), 100).tolist()
    ['Café is open', None]
    """
    return texts.map(lambda text: _plain(text, max_chars), na_action="ignore")


def _plain(text: str, max_chars: int) -> str | None:
    text = text[: max_chars * _MAX_MARKUP].encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if "&" in text:
        text = html.unescape(html.unescape(text))  # logs that passed two web forms are escaped twice
    if "<" in text:
        text = _TAG.sub(" ", _visible(text))
    text = _INVISIBLE.sub("", _LINE.sub("\n", text))
    if not text.isascii():
        if _ASTRAL.search(text):
            text = _TAG_CHARACTERS.sub(r"\1", text)
        text = unicodedata.normalize("NFC", _too_many_marks().sub(r"\1", text))
        text = _JOINERS.sub(_needed_joiner, text)
    text = _LINES.sub("\n", _SPACE.sub(" ", text)).strip()
    return _cut(text, max_chars) or None


def _visible(text: str) -> str:
    """A text without comments, scripts and styles; what is never closed stays."""
    kept, position = [], 0
    unclosed: set[str] = set()
    for start in _HIDDEN_START.finditer(text):
        kind = start[1].lower()
        if start.start() < position or kind in unclosed:
            continue
        end = _HIDDEN[kind].search(text, start.end())
        if end is None:
            unclosed.add(kind)
            continue
        kept.append(text[position : start.start()])
        position = end.end()
    return " ".join([*kept, text[position:]])


@cache
def _too_many_marks() -> re.Pattern[str]:
    marks = [chr(code) for code in range(0x300, 0x1E94B) if unicodedata.combining(chr(code))]
    # Apart, for Python looks up sets of characters quickly only where all are below U+10000.
    low, high = ("".join(m for m in marks if (m > "\uffff") == astral) for astral in (False, True))
    mark = f"(?:[{low}]|(?=[\U00010000-\U0010ffff])[{high}])"
    return re.compile(f"({mark}{{{_MAX_MARKS}}}){mark}+")


def _needed_joiner(joiners: re.Match[str]) -> str:
    """A joiner stays where it shapes what stands around it: in emoji, and after letters of scripts that need it."""
    before = joiners.string[joiners.start() - 1 : joiners.start()]
    after = joiners.string[joiners.end() : joiners.end() + 1]
    joiner = joiners[0][0]
    if _JOINED_SCRIPTS.match(before):
        return joiner
    return joiner if joiner == "\u200d" and _EMOJI.match(before) and _EMOJI.match(after) else ""


def _cut(text: str, max_chars: int) -> str:
    """The beginning of a text, not ending within a letter and its marks or within an emoji."""
    if len(text) <= max_chars:
        return text
    end = max_chars
    while end > max_chars - _MAX_MARKS and end > 0 and (_continues(text[end]) or text[end - 1] == "\u200d"):
        end -= 1
    return (text[:end] if end > max(0, max_chars - _MAX_MARKS) else text[:max_chars]).rstrip()


def _continues(character: str) -> bool:
    return (
        unicodedata.category(character).startswith("M")
        or character in "\u200c\u200d"
        or "\U0001f3fb" <= character <= "\U0001f3ff"
        or "\U000e0020" <= character <= "\U000e007f"
    )


def plain_text_column(column: "Column", max_chars: int) -> "Column":
    """``plain_text`` as a Spark column; bytes that are no UTF-8, which would stop Arrow, become U+FFFD."""
    from pyspark.sql import functions as F
    from pyspark.sql.pandas.functions import pandas_udf

    @pandas_udf("string")  # type: ignore[call-overload]
    def udf(texts: pd.Series) -> pd.Series:
        return plain_text(texts, max_chars)

    return udf(F.decode(F.encode(column, "UTF-8"), "UTF-8"))


def tidy(column: "Column", max_chars: int) -> "Column":
    """Short text without invisible characters, spaces folded, cut; empty becomes null. In the JVM, for what is too many rows
    for Python workers; entities, markup and joiners stay as they are."""
    from pyspark.sql import functions as F

    spaced = F.regexp_replace(column, r"[\p{Cc}\p{Z}]+", " ")
    visible = F.regexp_replace(
        spaced, r"[\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufffe\uffff]", ""
    )
    return F.nullif(F.trim(F.left(F.trim(visible), F.lit(max_chars))), F.lit(""))
