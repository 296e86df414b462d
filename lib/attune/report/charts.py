"""Geometry of the plots: numbers to positions. Positions are percentages of the plot, from the left or from the bottom."""

import datetime as dt
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Tick:
    """A mark on an axis."""

    at: float
    label: str


@dataclass(frozen=True)
class Point:
    """A value on a line, with the words shown when it is pointed at."""

    x: float
    y: float
    title: str


@dataclass(frozen=True)
class LineChart:
    """One line over time. ``path`` and ``area`` are SVG paths in a box of 100 by 100, y downwards."""

    path: str
    area: str
    points: tuple[Point, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


@dataclass(frozen=True)
class Interval:
    """A value with its 95% interval on a common scale; without an interval ``left`` and ``width`` are those of the value."""

    at: float
    left: float
    width: float


def ticks(high: float, low: float = 0.0, count: int = 4) -> list[float]:
    """Round numbers from at most ``low`` to at least ``high``, in about ``count`` steps of 1, 2 or 5 times a power of ten.

    >>> ticks(97)
    [0.0, 50.0, 100.0]
    >>> ticks(0.034)
    [0.0, 0.01, 0.02, 0.03, 0.04]
    """
    span = high - low
    if not math.isfinite(span) or span < 1e-9:
        return [low, low + 1.0]
    rough = span / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(f * power for f in (1, 2, 5, 10) if f * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(n * step, 12) for n in range(first, last + 1)]


def line_chart(days: Sequence[dt.date], values: Sequence[float | None], show: Callable[[float], str]) -> LineChart:
    """A line over days, broken where a value is missing. Raises ValueError for lengths that differ."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    marks = ticks(max(known, default=0.0), min(0.0, *known) if known else 0.0)
    low, high = marks[0], marks[-1]
    first, span = (days[0], max((days[-1] - days[0]).days, 1)) if days else (dt.date.min, 1)
    points: list[Point] = []
    pieces: list[list[Point]] = [[]]
    for day, value in zip(days, values, strict=True):
        if value is None or not math.isfinite(value):
            pieces.append([])
            continue
        x = 50.0 if len(days) == 1 else 100 * (day - first).days / span
        point = Point(round(x, 2), round(100 * (value - low) / (high - low), 2), f"{day}: {show(value)}")
        points.append(point)
        pieces[-1].append(point)
    pieces = [piece for piece in pieces if piece]
    base = 100 - 100 * (0 - low) / (high - low)
    return LineChart(
        " ".join(_path(piece) for piece in pieces),
        " ".join(f"{_path(piece)} L{piece[-1].x:g},{base:g} L{piece[0].x:g},{base:g} Z" for piece in pieces),
        tuple(points),
        _date_ticks(days),
        tuple(Tick(100 * (mark - low) / (high - low), show(mark)) for mark in marks),
    )


def _path(points: Sequence[Point]) -> str:
    return " ".join(f"{'ML'[n > 0]}{p.x:g},{100 - p.y:g}" for n, p in enumerate(points))


def _date_ticks(days: Sequence[dt.date], count: int = 3) -> tuple[Tick, ...]:
    if not days:
        return ()
    if len(days) == 1:
        return (Tick(50.0, str(days[0])),)
    span = (days[-1] - days[0]).days
    form = "%d %b" if span < 200 else "%b %Y"
    chosen = [days[0] + dt.timedelta(days=round(span * n / (count - 1))) for n in range(count)]
    return tuple(Tick(100 * (day - days[0]).days / span, day.strftime(form)) for day in dict.fromkeys(chosen))


def by_period(
    rows: Mapping[dt.date, Mapping[str, float]], most: int = 120
) -> tuple[str, dict[dt.date, dict[str, float]]]:
    """Sum counts by day, week or month, so that at most about ``most`` points are left, gaps filled with zero.

    Returns the period's name and the sums by its first day, in order. Part weeks at either end are kept.
    """
    if not rows:
        return "day", {}
    first, last = min(rows), max(rows)
    span = (last - first).days + 1
    period, start = next(
        (name, start)
        for name, start, days in (
            ("day", _same, 1),
            ("week", _monday, 7),
            ("month", _month, 30),
            ("year", _year, 10**9),
        )
        if span / days <= most
    )
    keys = sorted({key for counts in rows.values() for key in counts})
    every = dict.fromkeys(start(first + dt.timedelta(days=n)) for n in range(span))
    sums = {day: dict.fromkeys(keys, 0.0) for day in every}
    for day, counts in rows.items():
        for key, count in counts.items():
            sums[start(day)][key] += count
    return period, sums


def _same(day: dt.date) -> dt.date:
    return day


def _monday(day: dt.date) -> dt.date:
    return day - dt.timedelta(days=day.weekday())


def _month(day: dt.date) -> dt.date:
    return day.replace(day=1)


def _year(day: dt.date) -> dt.date:
    return day.replace(month=1, day=1)


def intervals(rows: Sequence[tuple[float, float | None, float | None]]) -> tuple[list[Interval], list[Tick]]:
    """Values with the ends of their intervals, placed on one scale, and the marks of that scale.

    The scale starts at zero, unless all values lie in its upper half, where their differences could not be seen.
    """
    bounds = [bound for row in rows for bound in row if bound is not None and math.isfinite(bound)] or [0.0]
    bottom, top = min(bounds), max(bounds)
    marks = ticks(max(top, 0.0), bottom if bottom > top / 2 > 0 else min(bottom, 0.0), 3)
    low, high = marks[0], marks[-1]

    def at(value: float) -> float:
        return 100 * (value - low) / (high - low)

    placed = []
    for value, start, end in rows:
        left, right = (at(value if end is None or not math.isfinite(end) else end) for end in (start, end))
        placed.append(Interval(at(value), left, right - left))
    return placed, [Tick(at(mark), f"{mark:g}") for mark in marks]


def shares(counts: Sequence[float]) -> list[float]:
    """Percentage of each of the largest count, for bars; zeros where all are zero."""
    top = max(counts, default=0)
    return [100 * count / top if top > 0 else 0.0 for count in counts]
