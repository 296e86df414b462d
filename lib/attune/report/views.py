"""What each section of the page shows, worked out from the collected rows: plain values, ready to draw."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from attune.report.aggregates import NUM_BINS, STAGES
from attune.report.charts import LineChart, by_period, line_chart, shares
from attune.report.data import ReportData, Rows
from attune.report.measured import accuracy, is_number

_PARTS = ("rows_kept", "rows_quarantined", "duplicates_dropped", "rows_forgotten")
"""What becomes of rows that are read."""

STAGE_NAMES = {"impression": "Shown", "click": "Clicked", "cart": "Put in the cart", "purchase": "Bought"}


@dataclass(frozen=True)
class Tile:
    """One figure at the top of the page."""

    label: str
    value: Any
    kind: str = "number"
    note: str = ""


@dataclass(frozen=True)
class Step:
    """One stage of the funnel: actions in it, the share of the stage before that goes on, and the length of its bar."""

    name: str
    num: float
    bar: float
    rate: float | None


@dataclass(frozen=True)
class Panel:
    """One small line plot under its name."""

    name: str
    note: str
    chart: LineChart


def headline(data: ReportData) -> list[Tile]:
    """The figures at the top; only those that are known."""
    totals = data.totals
    tiles = [
        Tile("customers", totals.get("users")),
        Tile("items acted on", totals.get("items")),
        Tile("actions", totals.get("actions")),
        Tile("purchases", totals.get("purchases")),
        Tile("sales less refunds", totals.get("value"), note="in the shop's currency"),
        Tile("visits with a purchase", totals.get("converted"), "percent", f"of {totals.get('visits') or 0:,} visits"),
        Tile("positive reviews", _positive_share(data), "percent", f"of {_scored(data):,} scored"),
        Tile("customers with recommendations", totals.get("reached")),
    ]
    return [tile for tile in tiles if tile.value]


def _scored(data: ReportData) -> int:
    return sum(int(row["num"]) for row in data.months)


def _positive_share(data: ReportData) -> float | None:
    scored = _scored(data)
    return sum(int(row["positive"]) for row in data.months) / scored if scored else None


def funnel(data: ReportData) -> dict[str, Any]:
    """Stages with their rates, and each rate over time."""
    days: dict[dt.date, dict[str, float]] = defaultdict(dict)
    for row in data.funnel:
        days[row["ds"]][row["stage"]] = float(row["num"])
    totals = {stage: sum(counts.get(stage, 0) for counts in days.values()) for stage in STAGES}
    present = [stage for stage in STAGES if totals[stage]]
    bars = shares([totals[stage] for stage in present])
    steps = []
    for number, stage in enumerate(present):
        rate = totals[stage] / totals[present[number - 1]] if number else None
        steps.append(Step(STAGE_NAMES[stage], totals[stage], bars[number], rate))
    period, sums = by_period(days)
    panels = []
    for before, after in pairwise(present):
        rates = [c[after] / c[before] if c.get(before) and after in c else None for c in sums.values()]
        name = f"{STAGE_NAMES[after]}, of {STAGE_NAMES[before].lower()}"
        panels.append(Panel(name, f"by {period}", line_chart(list(sums), rates, lambda v: f"{100 * v:.3g}%")))
    return {"steps": steps, "panels": panels}


def opinion(data: ReportData) -> dict[str, Any]:
    """Distribution and trend of sentiment, accuracy by category, and the items at both ends."""
    columns = [0.0] * NUM_BINS
    unscored: dict[str, int] = defaultdict(int)
    for row in data.histogram:
        if row["bin"] is None:
            unscored[str(row["status"])] += int(row["num"])
        else:
            columns[int(row["bin"])] += float(row["num"])
    heights = shares(columns)
    months = _every_month(data.months)
    positive = [row["positive"] / row["num"] if row else None for row in months.values()]
    written = [float(row["num"]) if row else 0.0 for row in months.values()]
    panels = [
        Panel("Positive reviews", "share by month", line_chart(list(months), positive, lambda v: f"{100 * v:.3g}%")),
        Panel("Reviews", "number by month", line_chart(list(months), written, lambda v: f"{v:,.0f}")),
    ]
    ends = {end: [row for row in data.satisfaction if row["end"] == end] for end in ("best", "worst")}
    # Where items are few, each stands at one end only.
    most = (len({row["item_id"] for row in data.satisfaction}) + 1) // 2
    best = {row["item_id"] for row in ends["best"][:most]}
    ends = {"best": ends["best"][:most], "worst": [row for row in ends["worst"] if row["item_id"] not in best]}
    return {
        "columns": [
            {"height": h, "num": n, "low": i / NUM_BINS, "high": (i + 1) / NUM_BINS}
            for i, (h, n) in enumerate(zip(heights, columns, strict=True))
        ],
        "unscored": dict(unscored),
        "panels": panels if len(months) > 1 else [],
        "accuracy": accuracy(data),
        "ends": ends,
    }


def _every_month(rows: Rows) -> dict[dt.date, dict[str, Any] | None]:
    """Rows by month, None in months without reviews."""
    by_month: dict[dt.date, dict[str, Any] | None] = {row["month"]: row for row in rows}
    month = min(by_month, default=None)
    while month is not None and month < max(by_month):
        month = (month + dt.timedelta(days=31)).replace(day=1)
        by_month.setdefault(month, None)
    return dict(sorted(by_month.items()))


def segments(data: ReportData) -> Rows:
    """Segments, largest first, with the length of their bars."""
    ordered = sorted(data.segments, key=lambda row: row["segment_id"])
    return [{**row, "bar": 100 * min(max(float(row["share_users"] or 0), 0.0), 1.0)} for row in ordered]


def people(data: ReportData) -> list[dict[str, Any]]:
    """Sample users with what they did and what they are offered; the list for anyone comes last."""
    ids = sorted({row["user_id"] for row in data.recommended}, key=lambda user: (user.startswith("*"), user))
    return [
        {
            "user_id": user,
            "anyone": user.startswith("*"),
            "history": sorted((r for r in data.history if r["user_id"] == user), key=lambda r: r["place"]),
            "offers": sorted((r for r in data.recommended if r["user_id"] == user), key=lambda r: r["rank"]),
        }
        for user in ids
    ]


def quality(data: ReportData) -> dict[str, Any]:
    """Accounts of the inputs as shares of the rows read, refusals by source, and volume over time."""
    accounts = []
    for source, account in data.accounting.items():
        read = account.get("rows_read") or 0
        parts = {name: account.get(name) or 0 for name in _PARTS}
        accounts.append(
            {"source": source, "read": read, **parts, "balanced": sum(parts.values()) == read,
             "bars": {name: 100 * part / read if read else 0.0 for name, part in parts.items()}}
        )  # fmt: skip
    refusals: dict[str, Rows] = defaultdict(list)
    for row in data.refusals:
        refusals[row["source"]].append(row)
    panels = []
    for table in dict.fromkeys(row["table"] for row in data.volume):
        counts = {row["ds"]: {"num": float(row["num"])} for row in data.volume if row["table"] == table}
        period, sums = by_period(counts)
        chart = line_chart(list(sums), [count["num"] for count in sums.values()], lambda v: f"{v:,.0f}")
        panels.append(Panel(table.capitalize(), f"rows by {period}", chart))
    return {"accounts": accounts, "refusals": dict(refusals), "panels": panels}


def model_scores(data: ReportData) -> Rows:
    """Each model's figures that are single numbers."""
    return [
        {"task": model["task"], "version": model["version"], "metrics": list(_numbers(model["metrics"]))[:12]}
        for model in data.models
    ]


def _numbers(metrics: Mapping[str, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, float]]:
    for name, value in metrics.items():
        if isinstance(value, Mapping) and depth < 1:
            yield from _numbers(value, f"{prefix}{name} ", depth + 1)
        elif is_number(value):
            yield f"{prefix}{name}".replace("_", " "), value
