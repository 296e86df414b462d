"""Texts lose markup and personal data, and nothing that a reader would miss."""

from typing import TYPE_CHECKING

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attune.clean.text import language, plain_text, redact

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("Caf&eacute; &amp; bar<br />open", "Café & bar open"),
        ("Tom &amp;amp; Jerry say &amp;quot;hi&amp;quot;", 'Tom & Jerry say "hi"'),
        ("<p class='x'>5 < 6 and 7 > 3</p>", "5 < 6 and 7 > 3"),
        ("nul\x00 and \x1b bell\x07", "nul and bell"),
        ("e\u0301", "é"),
        ("很好😀 用", "很好😀 用"),
        ("line\nbreak\t tab", "line\nbreak tab"),
        ("   ", None),
        (None, None),
    ],
)
def test_plain_text(raw: str | None, plain: str | None) -> None:
    assert plain_text(pd.Series([raw], dtype=object), 100).tolist() == [plain]


@given(st.text(max_size=200))
def test_plain_text_is_short_and_stays_as_it_is(text: str) -> None:
    once = plain_text(pd.Series([text]), 50)[0]
    assert once is None or 0 < len(once) <= 50
    assert once is None or not any(ord(c) < 32 and c not in "\n" for c in once)


def test_personal_data_are_redacted_and_numbers_are_not(spark: "SparkSession") -> None:
    texts = {
        "mail me at jo.do+x@mail.example.co.uk now": "mail me at <email> now",
        "call +44 20 7946 0958 today": "call <phone> today",
        "call (020) 7946-0958": "call <phone>",
        "+442079460958": "<phone>",
        "paid 19.99 for 2 of 100 in 2021": "paid 19.99 for 2 of 100 in 2021",
        "order 123456 of 2021-03-04": "order 123456 of 2021-03-04",
        "size 10-12, 5 stars": "size 10-12, 5 stars",
    }
    frame = spark.createDataFrame([(t,) for t in texts], "text string")
    assert [row[0] for row in frame.select(redact(frame["text"])).collect()] == list(texts.values())


def test_language_by_script(spark: "SparkSession") -> None:
    texts = {"works very well": "en", "很好用 very good": "zh", "очень хорошо": "und", "12345 !!": "und", "": "und"}
    frame = spark.createDataFrame([(t,) for t in texts], "text string")
    assert [row[0] for row in frame.select(language(frame["text"])).collect()] == list(texts.values())
