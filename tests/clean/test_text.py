"""Texts lose markup and what cannot be seen, and nothing that a reader would miss; their language is told."""

import gzip
import json
import time
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attune.clean.language import language, language_of
from attune.clean.text import plain_text, plain_text_column, tidy

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
ENGLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"


def plain(text: str | None, max_chars: int = 100) -> str | None:
    return plain_text(pd.Series([text], dtype=object), max_chars).tolist()[0]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Caf&eacute; &amp; bar<br />open", "Café & bar open"),
        ("Tom &amp;amp; Jerry say &amp;quot;hi&amp;quot;", 'Tom & Jerry say "hi"'),
        ("<p class='x'>5 < 6 and 7 > 3</p>", "5 < 6 and 7 > 3"),
        ("good<!-- no <b>show</b> -->bye <script>alert('x < y')</script>now<STYLE a=b>p{}</style >.", "good bye now ."),
        ("I <3 it <jo> <o:p></o:p>x <!-- open", "I <3 it <jo> x <!-- open"),
        ("&lt;b&gt;bold&lt;/b&gt; &#0; &#xD800;", "bold \ufffd \ufffd"),
        ("nul\x00 and \x1b bell\x07\x85next", "nul and bell\nnext"),
        ("e\u0301", "é"),
        ("很好😀 用", "很好😀 用"),
        ("\ufeff很好\ufeff", "很好"),
        ("line\r\nbreak\t tab\u2028 end \n\n\n x", "line\nbreak tab\nend\nx"),
        ("a\u202eevil\u202c \u2066b\u2069 c\u200f\u200e", "aevil b c"),
        ("zero\u200bwidth \u2060s\u00adhy\u180e", "zerowidth shy"),
        (f"{FAMILY} {ENGLAND} \U0001f44d\U0001f3fd ❤\ufe0f\u200d🔥 1\ufe0f\u20e3", f"{FAMILY} {ENGLAND} \U0001f44d\U0001f3fd ❤\ufe0f\u200d🔥 1\ufe0f\u20e3"),
        ("hid\U000e0068\U000e0069den s\u200de\u200cam\u200d", "hidden seam"),
        ("क्\u200dष می\u200cخواهم ന്\u200d", "क्\u200dष می\u200cخواهم ന്\u200d"),
        ("lone \ud800 and \udc00 halves \ud83d\ude00", "lone \ufffd and \ufffd halves 😀"),
        ("\ufffe\U0001ffff\ufdd0non", "non"),
        ("   ", None),
        ("\u200b\ufeff\x00", None),
        (None, None),
    ],
)  # fmt: skip
def test_plain_text(raw: str | None, expected: str | None) -> None:
    assert plain(raw) == expected


def test_a_text_is_not_cut_within_a_letter_or_an_emoji() -> None:
    assert plain("abcde\u0301f" + "x" * 9, 5) == "abcdé"
    assert plain("ab" + FAMILY * 3, 8) == "ab" + FAMILY
    assert plain("ab \U0001f44d\U0001f3fd", 4) == "ab"
    assert plain("नमस्ते दुनिया", 3) == "नम"
    assert plain("abc def", 4) == "abc"
    assert plain("q" + "\u0301" * 500, 100) == "q" + "\u0301" * 30


@given(st.text(max_size=200))
def test_plain_text_is_short_composed_and_visible(text: str) -> None:
    once = plain(text, 50)
    if once is not None:
        assert 0 < len(once) <= 50
        assert once == once.strip()
        assert not any(unicodedata.category(c) in ("Cc", "Cs") and c != "\n" for c in once)
        assert unicodedata.is_normalized("NFC", once)
        assert not set(once) & set("\u200b\ufeff\u202e\u2066\ufffe")


@pytest.mark.parametrize(
    "piece",
    [
        "<",
        "<a ",
        "<!--",
        "<script>",
        "</style",
        "&",
        "&#x",
        "&amp;",
        "\u0301",
        "\u0301\u0316",
        "\u200d",
        "\n ",
        "<b",
        "a\u0338",
    ],
)
def test_no_text_takes_more_than_its_length_in_time(piece: str) -> None:
    """One crafted review would else hold up a whole run."""
    began = time.process_time()
    plain(piece * (1_000_000 // len(piece)), 20_000)
    assert time.process_time() - began < 3


LANGUAGES = {
    "works very well": "en",
    "很好用 very good": "zh",
    "用了一周，质量不错": "zh",
    "очень хорошо, рекомендую": "ru",
    "Sehr gute Qualität, würde ich wieder kaufen.": "de",
    "Très bon produit, je recommande vivement": "fr",
    "Muy buena calidad y llegó rápido": "es",
    "Ottimo prodotto, consegna veloce": "it",
    "Adorei, chegou antes do prazo, recomendo": "pt",
    "Goede kwaliteit en snel geleverd": "nl",
    "とても良い商品でした": "ja",
    "품질이 아주 좋아요": "ko",
    "EXCELLENT QUALITY AND FAST DELIVERY": "en",
    "ok": "und",
    "12345 !! 😀": "und",
    "<email> <phone>": "und",
    "": "und",
}


def test_language_is_an_iso_code_and_und_where_it_cannot_be_told() -> None:
    assert {text: language_of(text) for text in LANGUAGES} == LANGUAGES


def test_columns_are_cleaned_and_judged_as_texts_are(spark: "SparkSession") -> None:
    rows = [(text,) for text in LANGUAGES] + [(None,)]
    frame = spark.createDataFrame(rows, "text string")
    found = frame.select(language(frame["text"]), plain_text_column(frame["text"], 9)).collect()
    assert [(a, b) for a, b in found] == [(language_of(t or ""), plain(t, 9)) for (t,) in rows]
    broken = spark.sql("SELECT CAST(X'61EDA08062FF' AS STRING) AS text")
    cleaned = broken.select(plain_text_column(broken["text"], 9)).first()
    assert cleaned is not None
    assert cleaned[0].strip("\ufffd").startswith("a")


def test_short_texts_are_tidied_in_the_jvm(spark: "SparkSession") -> None:
    texts = {
        " red\t\u00a0 lamp\x00 ": "red lamp",
        "a\u202eb\u200b\ufeff": "ab",
        "\u200b ": None,
        "很好😀": "很好😀",
        "abcdefghijk": "abcdefgh",
    }
    frame = spark.createDataFrame([(t,) for t in texts], "text string")
    assert [row[0] for row in frame.select(tidy(frame["text"], 8)).collect()] == list(texts.values())


@pytest.mark.slow
def test_language_of_real_reviews(shared_data: Path) -> None:
    with gzip.open(shared_data / "amazon_reviews" / "reviews.jsonl.gz", "rt", encoding="utf-8") as lines:
        english = [language_of(json.loads(line)["review_text"]) for line in list(lines)[::8]]
    with gzip.open(shared_data / "chnsenticorp" / "dev.tsv.gz", "rt", encoding="utf-8") as lines:
        chinese = [language_of(line.partition("\t")[2]) for line in lines][1:]
    assert english.count("en") / len(english) > 0.995
    assert chinese.count("zh") / len(chinese) > 0.99
