"""The report as one HTML page that needs no network: no scripts, styles inside, every text from data escaped."""

import math
import re
from collections.abc import Mapping
from importlib import resources
from typing import Any

from attune.report import measured, views
from attune.report.data import ReportData

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def build_report(data: ReportData) -> str:
    """Draw the page. Sections that have nothing to show say why."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("attune.report"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"number": number, "percent": percent, "short": short, "plain": plain}
    style = (resources.files("attune.report") / "templates" / "report.css").read_text(encoding="utf-8")
    page = environment.get_template("report.html").render(style=style, data=data, **_sections(data))
    # A text that was cut inside a character must not keep the page from being written.
    return page.encode("utf-8", "replace").decode("utf-8")


def _sections(data: ReportData) -> Mapping[str, Any]:
    return {
        "headline": views.headline(data),
        "funnel": views.funnel(data),
        "opinion": views.opinion(data),
        "segments": views.segments(data),
        "people": views.people(data),
        "evaluation": measured.evaluation(data),
        "quality": views.quality(data),
        "scores": views.model_scores(data),
    }


def number(value: object, digits: int = 0) -> str:
    """A number with thousands separators; a dash where there is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return "–"
    return f"{value:,.{digits}f}"


def percent(value: object, digits: int | None = None) -> str:
    """A share as a percentage, with more digits where it is small; a dash where there is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return "–"
    if digits is None:
        digits = 0 if value == 0 or abs(value) >= 0.1 else 1 if abs(value) >= 0.01 else 2
    return f"{100 * value:.{digits}f}%"


def plain(text: object) -> str:
    """A text from data without control and direction characters, which could garble what stands around it."""
    return " ".join(_CONTROL.sub(" ", str(text or "")).split())


def short(text: object, most: int = 110) -> str:
    """A text from data, cut where it is long."""
    whole = plain(text)
    return whole if len(whole) <= most else whole[: most - 1].rstrip() + "…"
