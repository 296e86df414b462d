"""Dates are recognised as Spark reads them, so that a log in another form is told and a good one is not."""

import pytest

from attune.inputs.timestamps import reader_of, shape, suggest


@pytest.mark.parametrize(
    ("expression", "read", "unread"),
    [
        (
            "ts",
            ["2020-01-01", "2020-1-1 3:04", "2020-01-01T10:00:00.123Z", "2020-01-01 10:00:00 Europe/Berlin"],
            ["1.1.2020"],
        ),
        ("try_to_timestamp(ts)", ["2020-01-01T10:00:00+01:00", " 2020-01-01 "], ["20/01/2020", "1577872800000", "now"]),
        ("TRY_TO_TIMESTAMP(ts, 'M/d/yyyy H:mm')", ["1/31/2020 9:05"], ["2020-01-31 09:05", "1/31/20 9:05"]),
        ("to_timestamp(ts, 'dd/MMM/yyyy:HH:mm:ss Z')", ["10/Oct/2000:13:55:36 -0700"], ["10/10/2000:13:55:36 -0700"]),
        (
            r"try_to_timestamp(ts, 'yyyy-MM-dd\'T\'HH:mm[:ss]')",
            ["2020-01-01T10:00", "2020-01-01T10:00:01"],
            ["2020-01-01"],
        ),
        ("try_cast(ts AS timestamp)", ["2020-01-01 10:00"], ["yesterday"]),
        ("timestamp_seconds(ts)", ["1577872800"], ["1577872800000", "2020-01-01"]),
        ("timestamp_millis(ts)", ["1577872800000"], ["1577872800"]),
    ],
)
def test_a_text_is_read_or_not(expression: str, read: list[str], unread: list[str]) -> None:
    found = reader_of(expression)
    assert found is not None
    column, reads = found
    assert column == "ts"
    assert [text for text in read if not reads(text)] == []
    assert [text for text in unread if reads(text)] == []


@pytest.mark.parametrize(
    "expression", ["to_timestamp(concat(day, ' ', hour))", "coalesce(try_to_timestamp(a), try_to_timestamp(b))",
                   "try_to_timestamp(ts, 'GGG yyyy')", "CASE WHEN x THEN y END", "a + b"],
)  # fmt: skip
def test_expressions_that_are_not_understood_are_not_judged(expression: str) -> None:
    assert reader_of(expression) is None


@pytest.mark.parametrize(
    ("texts", "expression"),
    [
        (["13/01/2020 10:00", "02/01/2020 10:00"], "try_to_timestamp(ts, 'dd/MM/yyyy HH:mm')"),
        (["1/13/2020 10:00", "1/2/2020 9:00"], "try_to_timestamp(ts, 'M/d/yyyy H:mm')"),
        (["1577872800"], "timestamp_seconds(ts)"),
        (["2020-01-31 10:00:00"], "try_to_timestamp(ts)"),
        (["last week"], None),
    ],
)
def test_a_suggestion_reads_all_texts(texts: list[str], expression: str | None) -> None:
    assert suggest("ts", texts) == expression
    if expression is not None:
        _, reads = reader_of(expression) or ("", lambda _: False)
        assert all(reads(text) for text in texts)


def test_a_shape_holds_nothing_of_the_text() -> None:
    assert shape("Anna 12.05.1980") == "aaaa 99.99.9999"
