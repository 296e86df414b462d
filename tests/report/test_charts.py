"""Positions in plots: a point in the wrong place is a wrong number on the page."""

import datetime as dt
import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attune.report.charts import by_period, intervals, line_chart, shares, ticks

DAY = dt.date(2026, 1, 1)


def days(count: int) -> list[dt.date]:
    return [DAY + dt.timedelta(days=n) for n in range(count)]


@given(st.floats(1e-6, 1e12), st.integers(2, 6))
def test_ticks_are_few_round_and_hold_the_value(high: float, count: int) -> None:
    marks = ticks(high, count=count)
    assert marks[0] == 0
    assert marks[-1] >= high * 0.999
    assert len(marks) <= count + 2
    steps = {round(b - a, 12) for a, b in itertools.pairwise(marks)}
    assert max(steps) == pytest.approx(min(steps))


def test_ticks_of_nothing() -> None:
    assert ticks(0.0) == [0.0, 1.0]
    assert ticks(math.nan) == [0.0, 1.0]


def test_a_line_goes_through_its_values() -> None:
    chart = line_chart(days(3), [0.0, 50.0, 100.0], lambda v: f"{v:g}")
    assert [(p.x, p.y) for p in chart.points] == [(0, 0), (50, 50), (100, 100)]
    assert chart.path == "M0,100 L50,50 L100,0"
    assert chart.points[1].title == "2026-01-02: 50"
    assert [t.label for t in chart.y_ticks] == ["0", "50", "100"]
    assert [t.label for t in chart.x_ticks] == ["01 Jan", "02 Jan", "03 Jan"]


def test_a_missing_value_breaks_the_line_instead_of_drawing_zero() -> None:
    chart = line_chart(days(4), [1.0, None, math.nan, 2.0], str)
    assert chart.path.count("M") == 2
    assert len(chart.points) == 2


@pytest.mark.parametrize("values", [[], [5.0], [0.0, 0.0]])
def test_short_and_flat_lines_are_drawn(values: list[float]) -> None:
    chart = line_chart(days(len(values)), values, str)
    assert len(chart.points) == len(values)
    assert "nan" not in chart.path + chart.area


@given(st.dictionaries(st.dates(dt.date(2000, 1, 1), dt.date(2012, 1, 1)), st.integers(0, 1000), max_size=30))
def test_summing_by_period_loses_nothing(counts: dict[dt.date, int]) -> None:
    period, sums = by_period({day: {"num": float(num)} for day, num in counts.items()})
    assert sum(count["num"] for count in sums.values()) == sum(counts.values())
    assert len(sums) <= 160
    assert period in ("day", "week", "month", "year")
    assert list(sums) == sorted(sums)


def test_days_without_rows_are_zero_not_skipped() -> None:
    _, sums = by_period({DAY: {"num": 1.0}, DAY + dt.timedelta(days=3): {"num": 2.0}})
    assert [count["num"] for count in sums.values()] == [1, 0, 0, 2]


def test_intervals_share_one_scale() -> None:
    placed, marks = intervals([(0.1, 0.05, 0.2), (0.2, None, None)])
    assert (marks[0].label, marks[-1].label) == ("0", "0.2")
    assert placed[0].at == pytest.approx(50)
    assert (placed[0].left, placed[0].width) == (pytest.approx(25), pytest.approx(75))
    assert (placed[1].at, placed[1].width) == (pytest.approx(100), 0)


def test_scale_of_differences_holds_zero_and_that_of_high_values_does_not() -> None:
    _, below = intervals([(-0.02, -0.03, -0.01)])
    assert "0" in [mark.label for mark in below]
    _, high = intervals([(0.91, 0.9, 0.92), (0.95, 0.94, 0.96)])
    assert float(high[0].label) >= 0.85


@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1)), max_size=8))
def test_intervals_lie_inside_the_plot(rows: list[tuple[float, float, float]]) -> None:
    ordered = [(sorted(row)[1], min(row), max(row)) for row in rows]
    for place in intervals(ordered)[0]:
        assert -0.1 <= place.left <= place.at + 0.1
        assert place.at <= place.left + place.width + 0.1 <= 100.3


def test_shares_of_the_largest() -> None:
    assert shares([50, 100, 0]) == [50, 100, 0]
    assert shares([0, 0]) == [0, 0]
    assert shares([]) == []
