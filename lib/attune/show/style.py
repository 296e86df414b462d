"""The look of all figures: colours that colour-blind people tell apart, readable text, nothing that carries no number."""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import pandas as pd

from attune.errors import MissingError

try:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
except ImportError as error:
    raise MissingError("figures need the package matplotlib: pip install 'attune[notebooks]'") from error

# Okabe and Ito 2008, "Color Universal Design".
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE, GREY = "#56B4E9", "#CC79A7", "#8A94A3"
INK, SOFT, LINE = "#1A2230", "#5D6778", "#E3E7EE"

_TITLE, _TEXT = 12.5, 10.5
"""Sizes of letters, points."""
_DPI = 110
_MOST_LETTERS = 44
"""Of a name beside a bar."""


class Picture(Figure):
    """A figure that a notebook shows where it is the value of a cell, whatever it knows of matplotlib."""

    def _repr_png_(self) -> bytes:
        stored = io.BytesIO()
        self.savefig(stored, format="png")
        return stored.getvalue()


def canvas(height: float, width: float = 8.5, rows: int = 1, columns: int = 1) -> tuple[Picture, list[Axes]]:
    """A figure of so many inches with empty plots, in reading order."""
    figure = Picture(figsize=(width, height), dpi=_DPI, layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1))
    found: list[Axes] = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for axes in found:
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(SOFT)
        axes.tick_params(labelsize=_TEXT, colors=SOFT, labelcolor=INK, length=3)
        axes.set_axisbelow(True)
    return figure, found


def entitle(axes: Axes, title: str, x: str = "", y: str = "") -> None:
    """Say what a plot tells, and what its axes are, with the unit."""
    axes.set_title(title, loc="left", fontsize=_TITLE, color=INK, pad=10)
    axes.set_xlabel(x, fontsize=_TEXT, color=SOFT)
    axes.set_ylabel(y, fontsize=_TEXT, color=SOFT)


def grid(axes: Axes, along: Literal["x", "y", "both"]) -> None:
    """Thin lines across one axis, x or y, or both."""
    axes.grid(axis=along, color=LINE, linewidth=1)


def note(axes: Axes, x: float, y: float, text: str, **options: Any) -> None:
    """Words inside a plot, at a place of its axes."""
    axes.annotate(text, (x, y), **{"fontsize": _TEXT, "color": INK, **options})


def legend(axes: Axes, **options: Any) -> None:
    """Names of the colours, without a frame."""
    axes.legend(**{"frameon": False, "fontsize": _TEXT, "labelcolor": INK, **options})


def percent_axis(axes: Axes, along: str) -> None:
    """Show the shares of an axis as percentages."""
    from matplotlib.ticker import FuncFormatter

    axis = axes.xaxis if along == "x" else axes.yaxis
    axis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.3g}%"))


def thousands_axis(axes: Axes, along: str) -> None:
    """Show the numbers of an axis with thousands separators, and whole ones only."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis = axes.xaxis if along == "x" else axes.yaxis
    axis.set_major_locator(MaxNLocator(5, integer=True))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def date_axis(axes: Axes, most: int = 6) -> None:
    """Few dates along the x axis, in words."""
    from matplotlib.dates import AutoDateLocator, DateFormatter, num2date

    first, last = (num2date(end) for end in axes.get_xlim())
    axes.xaxis.set_major_locator(AutoDateLocator(minticks=4, maxticks=most))
    axes.xaxis.set_major_formatter(DateFormatter("%d %b\n%Y" if (last - first).days < 200 else "%b %Y"))


def shorten(text: object, most: int = _MOST_LETTERS) -> str:
    """A name for a plot: cut where it is long, and free of the sign that starts a formula."""
    whole = " ".join(str(text).split()).replace("$", r"\$")
    return whole if len(whole) <= most else whole[: most - 1].rstrip() + "…"


def bars(
    axes: Axes, names: Sequence[object], values: Sequence[float], told: Callable[[int], str],
    colours: Sequence[str] | str = BLUE,
) -> None:  # fmt: skip
    """Horizontal bars, the first on top, each with its number in words at its end: ``told`` of its place."""
    places = range(len(names))
    axes.barh(places, values, color=colours, height=0.66)
    name_rows(axes, names)
    # Numbers stand at the ends of the bars; an axis would say them again.
    axes.spines["bottom"].set_visible(False)
    axes.set_xticks([])
    for place, value in zip(places, values, strict=True):
        note(axes, value, place, told(place), xytext=(5, 0), textcoords="offset points", va="center")
    axes.set_xlim(0, max([*values, 1e-9]) * 1.25)


def intervals(axes: Axes, names: Sequence[object], rows: pd.DataFrame, colours: Sequence[str]) -> None:
    """A dot (column value) with its interval (low, high) for each name, the first on top; without an interval the dot."""
    ends = (rows[name] for name in ("value", "low", "high"))
    for place, (value, low, high, colour) in enumerate(zip(*ends, colours, strict=True)):
        axes.plot([low, high], [place, place], color=colour, linewidth=3, alpha=0.45, solid_capstyle="round")
        axes.plot([value], [place], "o", color=colour, markersize=8, clip_on=False)
    name_rows(axes, names)
    grid(axes, "x")


def pairs(axes: Axes, names: Sequence[object], values: Mapping[str, Sequence[float]]) -> None:
    """Two dots for each name, the first on top, with a line between; the second is the one that matters.

    ``values``: two series by what they are.
    """
    (grey, before), (blue, after) = values.items()
    places = range(len(names))
    axes.hlines(places, before, after, color=LINE, linewidth=4)
    axes.plot(before, places, "o", color=GREY, markersize=8, label=grey)
    axes.plot(after, places, "o", color=BLUE, markersize=9, label=blue)
    # A dot at zero keeps off the names.
    most = max([*before, *after, 1e-9])
    axes.set_xlim(-0.03 * most, 1.06 * most)
    name_rows(axes, names)
    grid(axes, "x")
    legend(axes, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2)


def name_rows(axes: Axes, names: Sequence[object]) -> None:
    """Put names on the left of rows 0, 1, ..., the first on top."""
    axes.set_yticks(range(len(names)), [shorten(name) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
