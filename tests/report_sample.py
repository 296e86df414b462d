"""A made-up report for tests: small, plausible, and hostile in its texts."""

import datetime as dt
import math
import random
from typing import Any

from attune.report.data import ReportData

HOSTILE = "<script>alert('x')</script>\u202e & \"quotes\" \ud800 "
TITLES = (
    "Cast-iron pan, 26 cm", "不锈钢保温杯 500 毫升 黑色", "White hanging heart T-light holder", "Noise-cancelling headphones",
    "手工编织羊毛围巾", "Trail running shoes", "Ceramic pour-over set with 40 paper filters, walnut stand and thermometer", "Desk lamp",
)  # fmt: skip


def sample_report(num_days: int = 90, seed: int = 7) -> ReportData:
    """A report with every section filled."""
    draw = random.Random(seed)
    days = [dt.date(2025, 12, 1) + dt.timedelta(days=n) for n in range(num_days)]
    data = ReportData("2026-03-01", "workspace", 7, "0123456789abcdef", "20260301T000000-report-abc123")
    data.totals = {
        "users": 1612, "items": 988, "actions": 41873, "purchases": 2041, "value": 61234.5, "first_day": days[0], "last_day": days[-1],
        "visits": 9120, "converted": 0.1432, "reached": 1560,
    }  # fmt: skip
    data.funnel, data.volume = _daily(days, draw)
    data.accounting = {
        "events": {"rows_read": 102345, "rows_kept": 99120, "rows_quarantined": 2101, "duplicates_dropped": 1124},
        "reviews": {"rows_read": 4010, "rows_kept": 3950, "rows_quarantined": 20, "duplicates_dropped": 40},
        "items": {"rows_read": 1000, "rows_kept": 1000, "rows_quarantined": 0, "duplicates_dropped": 0},
    }
    data.refusals = [
        {
            "source": "events",
            "reason": "user acts like a bot",
            "num": 1500,
            "example": '{"user":"bot-7","ts":"2026-01-03"}',
        },
        {
            "source": "events",
            "reason": "line cannot be parsed",
            "num": 601,
            "example": '{"user": "u1", "ts": ' + HOSTILE,
        },
        {"source": "reviews", "reason": "rating is not between 1 and 5", "num": 20, "example": "x" * 900},
    ]
    data.histogram = [{"bin": n, "status": "scored", "num": int(40 + 900 * abs(n - 8) ** 2 / 120)} for n in range(20)]
    data.histogram.append({"bin": None, "status": "empty", "num": 12})
    data.months = [{"month": dt.date(2025, m, 1), "num": 200 + 9 * m, "positive": 120 + 8 * m} for m in range(3, 13)]
    data.satisfaction = [_satisfaction(end, place) for end in ("best", "worst") for place in range(1, 6)]
    data.segments = [
        {"segment_id": n, "name": name, "num_users": 520 - 60 * n, "share_users": 0.3 - 0.04 * n, "value_per_user": 41.2 + n,
         "top_items": list(TITLES[n : n + 4])}
        for n, name in enumerate(("Kitchen, coffee, cast iron", "Running, trail", "围巾 手工 保暖", "Audio, headphones"))
    ]  # fmt: skip
    data.recommended, data.history = _people()
    data.evaluation = _evaluation(draw)
    metrics = {"test": {"accuracy": 0.912, "f1": 0.93, "num": 812}, "rows_per_rank": [1400, 1402], "loss": 0.2341}
    data.models = [{"task": "sentiment", "version": "20260301T000000-train-1a2b3c", "metrics": metrics}]
    data.steps = [{"job": job, "status": "done", "seconds": s, "run_id": job, "skipped": {}} for job, s in
                  (("clean", 41.2), ("train", 130.0), ("recommend", 71.9))]  # fmt: skip
    data.tables = [
        {"table": t, "version": 0, "rows": r} for t, r in (("events", 41873), ("items", 1000), ("reviews", 3950))
    ]
    return data


def _daily(days: list[dt.date], draw: random.Random) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    funnel, volume = [], []
    for n, day in enumerate(days):
        shown = int(700 + 200 * math.sin(n / 7 * 2 * math.pi) + draw.randint(-60, 60))
        counts = {"impression": shown, "click": int(shown * draw.uniform(0.17, 0.21)), "cart": int(shown * 0.05)}
        counts["purchase"] = int(counts["cart"] * draw.uniform(0.4, 0.6))
        funnel += [{"ds": day, "stage": stage, "num": num} for stage, num in counts.items()]
        volume += [{"table": "events", "ds": day, "num": sum(counts.values()) - shown}]
        volume += [
            {"table": "impressions", "ds": day, "num": shown},
            {"table": "reviews", "ds": day, "num": draw.randint(20, 60)},
        ]
    return funnel, volume


def _satisfaction(end: str, place: int) -> dict[str, Any]:
    good = end == "best"
    return {
        "end": end, "place": place, "item_id": f"{end}-{place}", "num_reviews": 40 - place, "mean_rating": 4.6 if good else 1.9,
        "satisfaction": (0.97 if good else 0.3) - place / 100, "share_negative": 0.02 if good else 0.7,
        "praise": ["sturdy", "well made", "保暖"], "complaints": ["arrived broken", "too small", HOSTILE],
        "title": TITLES[(place + 3 * good) % len(TITLES)] if place < 5 else HOSTILE, "category": "Home > Kitchen > Cookware",
    }  # fmt: skip


def _people() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    recommended, history = [], []
    for user in ("u-00042", "9f8e7d6c5b4a39281706f5e4d3c2b1a0", "*"):
        for place in range(1, 6):
            title = TITLES[(place + len(user)) % len(TITLES)] if place != 4 else None
            recommended.append(
                {"user_id": user, "rank": place, "item_id": f"i{place}", "score": 1 / place, "title": title, "category": "Home > Kitchen",
                 "sources": ["als", "covisit", "text"][: place % 3 + 1],
                 "reasons": [f"Bought together with {TITLES[0]}", "Rated 92% positive", "Popular in France this week"][: place % 3 + 1]}
            )  # fmt: skip
            if user != "*":
                stamp = dt.datetime(2026, 2, 20 - place, 9, 30)
                history.append({"user_id": user, "item_id": f"h{place}", "title": TITLES[-place], "category": None,
                                "event_type": ("purchase", "cart", "click")[place % 3], "last_ts": stamp, "place": place})  # fmt: skip
    return recommended, history


def _evaluation(draw: random.Random) -> list[dict[str, Any]]:
    rows = []
    models = {"blend": 0.142, "als": 0.121, "covisit": 0.118, "text": 0.06, "popularity": 0.052}
    for metric, scale in (("ndcg", 1.0), ("recall", 1.4), ("precision", 0.5), ("map", 0.6), ("coverage", 3.0)):
        for k in (5, 10, 20):
            for model, value in models.items():
                own = value * scale * (1 + k / 100)
                ends = (None, None) if metric == "coverage" else (own * 0.93, own * 1.07)
                rows.append(_figure("recommend", model, metric, k, own, *ends, num=1201))
            if metric != "coverage":
                gain = 0.021 * scale * draw.uniform(0.7, 1.3)
                rows.append(
                    _figure("recommend", "blend", metric, k, gain, gain - 0.008, gain + 0.008, 1201, against="als")
                )
    for name, value in (("all", 0.912), ("Books", 0.93), ("手机", 0.88), ("Kitchen & housewares", 0.9)):
        rows.append(_figure("sentiment", "sentiment", "accuracy", None, value, value - 0.02, value + 0.015, 300, name))
    return rows


def _figure(
    task: str, model: str, metric: str, k: int | None, value: float, low: float | None, high: float | None,
    num: int, slice_: str = "all", against: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    return {"task": task, "model": model, "metric": metric, "k": k, "slice": slice_, "value": value, "low": low, "high": high,
            "num": num, "against": against, "as_of": dt.date(2026, 3, 1)}  # fmt: skip
