"""Personal data leave texts and log lines alike; prices, dates, product codes and the like stay readable."""

import csv
import gzip
import io
import json
import logging
import random
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attune.clean.redact import redact
from attune.redaction import RULES, Redacting, is_ean13, is_iban, is_isbn10, luhn, redact_text

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PERSONAL = {
    "mail me at jo.do+x@mail.example.co.uk now": "mail me at <email> now",
    "jo%40example.com, jo&#64;example.com, jo (at) example (dot) com": "<email>, <email>, <email>",
    "jo@müller.example或者jo@x.com请联系": "<email>或者<email>请联系",
    "jo@[192.0.2.7]": "<email>",
    "call +44 20 7946 0958 today": "call <phone> today",
    "+44 (0)20 7946 0958 or 0044 20 7946 0958": "<phone> or <phone>",
    "call (020) 7946-0958": "call <phone>",
    "+442079460958": "<phone>",
    "1-800-555-0199, 555.010.9999 ext 12": "<phone>, <phone>",
    "020 7946 0958, 06 12 34 56 78, 030/12345678, 07700900123": "<phone>, <phone>, <phone>, <phone>",
    "请拨13800138000或010-12345678": "请拨<phone>或<phone>",
    "手机１３８００１３８０００": "手机<phone>",
    "call me on 5550123 or tel: 5551234567": "call me on <phone> or tel: <phone>",
    "card 4111 1111 1111 1111 12/25": "card <card> 12/25",
    "2024 4111-1111-1111-1111": "2024 <card>",
    "378282246310005, 3782 822463 10005, 3056 930902 5904": "<card>, <card>, <card>",
    "4222222222222 and 6304 0000 0000 0000 000": "<card> and <card>",
    "to GB82 WEST 1234 5698 7654 32 please": "to <iban> please",
    "de89370400440532013000,NO93 8601 1117 947": "<iban>,<iban>",
    "MT84 MALT 0110 0001 2345 MTLC AST0 01S": "<iban>",
    "from 192.0.2.7:8080": "from <ip>:8080",
    "2001:db8::1, fe80::1ff:fe23:4567:890a%eth0": "<ip>, <ip>",
    "2001:0db8:85a3:0000:0000:8a2e:0370:7334 ::ffff:192.0.2.128": "<ip> <ip>",
    "@jo_doe, thanks; https://social.example/@jo.doe": "<handle>, thanks; https://social.example/<handle>",
    "ask @jo_doe@ann.b now": "ask <handle> now",
    "谢谢@张三 和 @李四": "谢谢<handle> 和 <handle>",
    r'{"a": "jo\u0040example.com", "b": "\u006a\u006f@x.com"}': '{"a": "<email>", "b": "<email>"}',
    r'{"a": "\n4111111111111111", "b": "\t@jo_doe", "c": "030\/12345678"}': r'{"a": "\n<card>", "b": "\t<handle>", "c": "<phone>"}',
    '{"phone":"5551234567","homePhone":5551234567}': '{"phone":"<phone>","homePhone":<phone>}',
    "5,4111111111111111,07700900123,x": "5,<card>,<phone>,x",
}  # fmt: skip

HARMLESS = (
    "", "no digits at all", "paid 19.99 for 2 of 100 in 2021", "£1,234.56 or 1.234,56 € or 1 000 000 000",
    "order 123456 of 2021-03-04", "order 123-4567890-1234567", "invoice 536365, C536379", "size 10-12, 5 stars",
    "2010-12-01 08:26:00", "2020-01-01T10:00:00.123Z", "12/09/2011 and 09-12-2011", "call on 2019-01-02",
    "epoch 1600000000, 1600000000000, 1600000000000000", "3.4111111111111111 and 0.30000000000000004",
    "ISBN 0-306-40615-2, 0471958697, 978-0-306-40615-7, 9780306406157", "EAN 4006381333931", "UPC 036000291452",
    "ASIN B000F0UUHS, 0345471253", "85123A,WHITE HANGING HEART T-LIGHT HOLDER,6,2.55,17850.0,United Kingdom",
    "SET OF 6 3D KIT CARDS FOR KIDS @ 2.50", "@10 each @ home", "p@ssw0rd", "at 10:30::", "std::vector a::b",
    "version 1.2.3.4 on 127.0.0.1", "4111 1111 1111 1112", "GB82 WEST 1234 5698 7654 33", "1920x1080, 16:9", "第１２章",
    "iphone 15 pro max 256 gb", "0.1.2", "sha 4f2a9c0d11112222333344445555666677778888", r"\u4f60\u597d \u0022 \/ \u0026",
    "3f786850e387550fdab836ed7e6dc881de23001b", "C++ 17, 5+ stars, 2+2", "a (at) b",
)  # fmt: skip


@pytest.mark.parametrize(("text", "redacted"), PERSONAL.items())
def test_personal_data_are_replaced_by_their_kind(text: str, redacted: str) -> None:
    assert redact_text(text) == redacted


@pytest.mark.parametrize("text", HARMLESS)
def test_other_numbers_stay(text: str) -> None:
    assert redact_text(text) == text


def _with_check_digit(digits: str) -> str:
    return next(digits + d for d in "0123456789" if luhn(digits + d))


def _iban(country: str, account: str) -> str:
    number = int("".join(str(int(c, 36)) for c in account + country + "00"))
    return f"{country}{98 - number % 97:02d}{account}"


def _planted(dice: random.Random) -> tuple[str, str]:
    """A datum and its kind."""
    digits = "".join(dice.choices("0123456789", k=30))
    name = "".join(dice.choices("abcdefghijklmnopqrstuvwxyz", k=dice.randint(2, 12)))
    gap = dice.choice(" -")
    card = _with_check_digit(dice.choice(["4", "51", "6221"]) + digits[:11]).ljust(16, "0")[:16]
    card = card if luhn(card) else _with_check_digit(card[:15])
    account = digits[:18]
    octets = [dice.randint(1, 223) for _ in range(4)]
    octets[0] = octets[0] if octets[0] != 127 else 10
    return dice.choice(
        [
            (f"{name}.{digits[:3]}@{name}.example.com", "email"),
            (f"+{dice.randint(1, 9)}{digits[:2]} {digits[2:5]} {digits[5:9]}", "phone"),
            (f"({digits[:3]}) {digits[3:6]}-{digits[6:10]}", "phone"),
            (card, "card"),
            (gap.join(card[i : i + 4] for i in range(0, 16, 4)), "card"),
            (_iban("DE", account), "iban"),
            (" ".join(re.findall(".{1,4}", _iban("DE", account))), "iban"),
            (".".join(map(str, octets)), "ip"),
            ("2001:db8:" + ":".join(f"{dice.randint(0, 65535):x}" for _ in range(6)), "ip"),
            (f"@{name}_{digits[:2]}", "handle"),
        ]
    )


WORDS = (
    "great",
    "lamp,",
    "12.50",
    "很好",
    "😀",
    "2021-03-04",
    "x2",
    "of",
    "(5)",
    "order 123456;",
    "<b>",
    "é",
    "£9",
    "\n",
    "—",
)


def _texts(number: int) -> list[tuple[str, str, str]]:
    """Texts with a datum planted, the datum, its kind."""
    dice = random.Random(20)
    texts = []
    for _ in range(number):
        datum, kind = _planted(dice)
        before, after = (" ".join(dice.choices(WORDS, k=dice.randint(0, 4))) for _ in range(2))
        texts.append((f"{before} {datum} {after}", datum, kind))
    return texts


def test_planted_data_are_found_among_other_words() -> None:
    for text, datum, kind in _texts(400):
        assert f"<{kind}>" in redact_text(text), text
        assert datum not in redact_text(text)


@given(st.text(max_size=60), st.sampled_from([datum for _, datum, _ in _texts(30)]), st.text(max_size=60))
def test_what_is_redacted_once_stays_as_it_is(before: str, datum: str, after: str) -> None:
    once = redact_text(f"{before} {datum} {after}")
    assert redact_text(once) == once


def _noise(number: int) -> list[str]:
    """Texts made of the characters that the rules look at, so that edges meet."""
    dice = random.Random(21)
    pieces = ["4111111111111111", "0", "1", "55", "020", "@", ".", "-", " ", ":", "::", "+", "(", ")", "a", "Z", "_", "/", "\\",
              "\\n", "\\u0040", "\\u003", "%40", "GB82", "WEST", "12345698765432", "example.com", "192.0.2.7", "db8", "fe80",
              "tel ", "电话", "张", "é", "，", "\ufffd", "😀", "\u00a0", "(at)", "[dot]", "0471958697", "07700900123"]  # fmt: skip
    return ["".join(dice.choices(pieces, k=dice.randint(1, 14))) for _ in range(number)]


def test_columns_and_log_lines_are_redacted_alike(spark: "SparkSession") -> None:
    """One rule set, two faces: a quarantine that hides what a log line shows would be worthless."""
    texts = [*PERSONAL, *HARMLESS, *(text for text, _, _ in _texts(300)), *_noise(600)]
    frame = spark.createDataFrame(list(enumerate(texts)), "n int, text string")
    found = {row["n"]: row["text"] for row in frame.select("n", redact(frame["text"]).alias("text")).collect()}
    expected = {n: redact_text(text) for n, text in enumerate(texts)}
    assert {n: (texts[n], text) for n, text in found.items() if text != expected[n]} == {}
    assert sum(text != texts[n] for n, text in found.items()) > 400
    null = spark.createDataFrame([(None,)], "text string")
    assert null.select(redact(null["text"])).first() == (None,)


def test_bytes_that_are_no_text_become_readable(spark: "SparkSession") -> None:
    """Other programs refuse a Parquet file whose strings are not UTF-8."""
    frame = spark.sql("SELECT CAST(X'61FF62' AS STRING) AS text UNION ALL SELECT CAST(X'FF31' AS STRING)")
    rows = frame.select(redact(frame["text"]).cast("binary")).collect()
    assert sorted(bytes(row[0]).decode() for row in rows) == ["a\ufffdb", "\ufffd1"]


@pytest.mark.parametrize(
    "piece", ["a", "1", "1 ", "a:", "@", "GB82", "a.", "(at)", "4111 ", "01 ", "+1", "::", "call ", "1.", "\\u0031"]
)
def test_no_text_takes_more_than_its_length_in_time(piece: str) -> None:
    """A crafted query would else hold up a whole run."""
    began = time.process_time()
    redact_text("@" + piece * (100_000 // len(piece)))
    assert time.process_time() - began < 5


def test_log_lines_and_tracebacks_are_redacted() -> None:
    stream, logger = io.StringIO(), logging.getLogger("of this test")
    logger.setLevel("INFO")
    logger.propagate = False
    logger.addHandler(logging.StreamHandler(stream))
    logger.addFilter(Redacting())
    logger.info("%s wrote to %d people", "jo@example.com", 3)
    try:
        int("jo@example.com")
    except ValueError:
        logger.exception("failed for @jo_doe")
    assert stream.getvalue().startswith("<email> wrote to 3 people\nfailed for <handle>\nTraceback")
    assert "invalid literal for int() with base 10: '<email>'" in stream.getvalue()
    assert "jo@" not in stream.getvalue()


def test_check_digits() -> None:
    assert luhn("4111111111111111")
    assert not luhn("4111111111111112")
    assert is_iban("gb82 west 1234 5698 7654 32")
    assert not is_iban("GB82WEST12345698765433")
    assert is_ean13("4006381333931")
    assert not is_ean13("4006381333932")
    assert is_isbn10("0471958697")
    assert not is_isbn10("0471958698")


def test_every_rule_is_used_by_some_text() -> None:
    kinds = {kind for text in PERSONAL for kind in re.findall("<(.+?)>", redact_text(text))}
    assert kinds == {rule.kind for rule in RULES}


@pytest.mark.slow
def test_real_descriptions_and_reviews_keep_their_numbers(shared_data: Path) -> None:
    """Of 4,000 product descriptions none is touched; of 8,000 reviews those 20 that hold such data."""
    described: set[str] = set()
    for file in sorted((shared_data / "online_retail").glob("*.csv.gz"))[::10]:
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            described |= {",".join(row) for row in csv.reader(lines)}
    changed = [text for text in described if redact_text(text) != text]
    assert len(described) > 10_000
    assert changed == []
    with gzip.open(shared_data / "amazon_reviews" / "reviews.jsonl.gz", "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["review_text"] for line in lines]
    assert 10 <= sum(redact_text(text) != text for text in texts) <= 30
