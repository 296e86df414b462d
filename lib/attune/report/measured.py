"""Models measured against each other: values with their intervals on one scale, and a verdict in words."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from attune.report.charts import Interval, Tick, intervals
from attune.report.data import ReportData, Rows

METRICS = {
    "ndcg": ("nDCG", "how high the right items stand in the list"),
    "recall": ("Recall", "share of what a user went on to choose that is in the list"),
    "precision": ("Precision", "share of the list that the user went on to choose"),
    "map": ("MAP", "precision averaged over the ranks of the right items"),
    "mrr": ("MRR", "one over the rank of the first right item"),
    "coverage": ("Coverage", "share of the catalogue that is recommended to anyone"),
    "diversity": ("Diversity", "mean distance between the texts of two items of a list, 0 to 2"),
    "novelty": ("Novelty", "mean surprise of an item of a list, in bits: 1 more is half as popular"),
    "popularity": ("Popularity of the lists", "mean number of users who acted on an item of a list"),
    "exposure": ("Exposure", "share of the lists' places, each weighted by its discount, that goes to these items"),
    "ndcg_gap": ("nDCG gap", "best served group of users less the worst; lower: more even"),
}
"""Name and note by metric, or by what stands before the colon: a group of items, or what groups the users, follows it."""
MODELS = {
    "blend": "Blend",
    "als": "Implicit ALS",
    "ease": "EASE",
    "covisit": "Co-visits",
    "next_item": "Next item",
    "popularity": "Popularity",
    "popular": "Popularity",
    "text": "Text match",
    "region": "Popular in the region",
    "category": "Popular in the categories",
    "latest_visit": "Co-visits of the latest visit",
    "again": "Own history",
    "candidates": "All sources",
    "random_groups": "Blend, users grouped by lot",
}
_WITHOUT = "blend without "
"""Start of the name of the blend without one of its rules: what that rule costs, and no rival."""
_RECALL = "candidate_recall"
"""Of sources, not of models; each has a length of its own."""

_Measured = tuple[str, float, float | None, float | None, int | None]
"""Name, value, ends of the interval, and the number of rows."""


@dataclass(frozen=True)
class Bar:
    """A named value with its interval, placed on the scale of its group."""

    name: str
    value: float
    low: float | None
    high: float | None
    place: Interval
    num: int | None = None
    own: bool = False


@dataclass(frozen=True)
class Group:
    """Bars on one scale under a name."""

    name: str
    note: str
    bars: tuple[Bar, ...]
    marks: tuple[Tick, ...]


def evaluation(data: ReportData) -> dict[str, Any]:
    """Recommendation models beside each other at one list length, the differences, and the figures in full."""
    rows = [row for row in _figures(data) if row["task"] == "recommend"]
    lengths = sorted({row["k"] for row in rows if row["k"] is not None and row["metric"] != _RECALL})
    if not lengths:
        return {"k": None, "groups": [], "differences": None, "verdict": "", "rows": []}
    k = 10 if 10 in lengths else lengths[len(lengths) // 2]
    of_all = [row for row in rows if row["slice"] == "all"]
    here = [row for row in of_all if row["k"] == k and row["metric"] != _RECALL]
    plain = [row for row in here if not row["against"]]
    metrics = [*(m for m in METRICS if any(row["metric"] == m for row in plain)), *_others(plain)]
    groups = [_group(metric, k, [row for row in plain if row["metric"] == metric]) for metric in metrics]
    # A source without a candidate for anyone, such as a model that is not enabled, is not measured.
    if recall := [row for row in of_all if row["metric"] == _RECALL and row["k"]]:
        note = "share of what users went on to choose; higher: more for the ranking model to find"
        groups.append(replace(_group(_RECALL, k, recall), name="Candidates of each source", note=note))
    differences = sorted((row for row in here if row["against"]), key=lambda r: (_rank(r["metric"]), r["against"]))
    table = sorted(
        rows, key=lambda r: (bool(r["against"]), r["slice"] != "all", r["slice"], _rank(r["metric"]), r["k"] or 0)
    )
    return {
        "k": k,
        "groups": groups,
        "differences": _differences(differences),
        "verdict": _verdict([row for row in differences if not row["against"].startswith(_WITHOUT)], k),
        "rows": [{**row, "metric": metric_name(row["metric"]), "model": model_name(row["model"])} for row in table],
    }


def _figures(data: ReportData) -> Rows:
    """Rows of the evaluation that hold a number; an interval with an end that is no number is none."""
    rows = []
    for row in data.evaluation:
        whole = is_number(row["low"]) and is_number(row["high"])
        if is_number(row["value"]):
            rows.append(row if whole else {**row, "low": None, "high": None})
    return rows


def _others(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    return sorted({row["metric"] for row in rows} - set(METRICS))


def _rank(metric: str) -> int:
    return [*METRICS, metric].index(metric)


def _group(metric: str, k: int, rows: Sequence[Mapping[str, Any]]) -> Group:
    ordered = sorted(rows, key=lambda row: -row["value"])
    placed, marks = intervals([(row["value"], row["low"], row["high"]) for row in ordered])
    bars = tuple(
        Bar(model_name(r["model"]), r["value"], r["low"], r["high"], place, r["num"], r["model"] == "blend")
        for r, place in zip(ordered, placed, strict=True)
    )
    return Group(f"{metric_name(metric)}@{k}", METRICS.get(metric.partition(":")[0], ("", ""))[1], bars, tuple(marks))


def _differences(rows: Sequence[Mapping[str, Any]]) -> Group | None:
    if not rows:
        return None
    placed, marks = intervals([(row["value"], row["low"], row["high"]) for row in rows])
    bars = tuple(
        Bar(f"{metric_name(r['metric'])}, to {model_name(r['against'])}",
            r["value"], r["low"], r["high"], place, r["num"], _sure(r) > 0)
        for r, place in zip(rows, placed, strict=True)
    )  # fmt: skip
    own = " and ".join(dict.fromkeys(model_name(row["model"]) for row in rows))
    return Group(f"{own}: difference to each baseline", "right of zero: better", bars, tuple(marks))


def _sure(row: Mapping[str, Any]) -> int:
    """1 or -1 where the whole interval lies on one side of zero, else 0."""
    if row["low"] is None:
        return 0
    return 1 if row["low"] > 0 else -1 if row["high"] < 0 else 0


def _verdict(rows: Sequence[Mapping[str, Any]], k: int) -> str:
    """One honest sentence on the main metric, against the baseline that is hardest to beat."""
    row = min((row for row in rows if row["metric"] == "ndcg"), key=lambda row: float(row["value"]), default=None)
    if row is None:
        return ""
    who, other = model_name(row["model"]), model_name(row["against"])
    said = {
        1: f"{who} is better than {other}, the best baseline",
        -1: f"{who} is worse than {other}, the best baseline",
    }
    lead = said.get(_sure(row), f"{who} and {other}, the best baseline, cannot be told apart")
    span = "" if row["low"] is None else f" (95% interval {row['low']:+.4f} to {row['high']:+.4f})"
    return f"{lead}: nDCG@{k} differs by {row['value']:+.4f}{span}."


def accuracy(data: ReportData) -> Group | None:
    """Accuracy of the sentiment model, overall and by category, on items it has not seen."""
    rows: list[_Measured] = [
        (str(row["slice"]), row["value"], row["low"], row["high"], row["num"])
        for row in _figures(data)
        if row["task"] == "sentiment" and row["metric"] == "accuracy"
    ]
    metrics: Mapping[str, Any] = next((model["metrics"] for model in data.models if model["task"] == "sentiment"), {})
    rows = rows or _accuracy_of_card(metrics)
    rows.sort(key=lambda row: (row[0] != "all", -row[1]))
    if not rows:
        return None
    placed, marks = intervals([row[1:4] for row in rows])
    names = ("All" if row[0] == "all" else row[0] for row in rows)
    bars = tuple(
        Bar(name, row[1], row[2], row[3], place, row[4], row[0] == "all")
        for name, row, place in zip(names, rows, placed, strict=True)
    )
    return Group(
        "Accuracy", "of the sentiment model, on reviews of items that it has not learned from", bars, tuple(marks)
    )


def _accuracy_of_card(metrics: Mapping[str, Any]) -> list[_Measured]:
    """Accuracy as a model's card gives it: overall, and in any group of metrics by category."""
    found: dict[str, _Measured] = {}

    def look(own: Mapping[str, Any], name: str, depth: int) -> None:
        if is_number(own.get("accuracy")):
            found.setdefault(name, (name, own["accuracy"], *_ends(own), _count(own)))
        for key, inner in own.items():
            if isinstance(inner, Mapping) and depth < 3:
                whole = key == "test" or any(isinstance(value, Mapping) for value in inner.values())
                look(inner, "all" if whole else str(key), depth + 1)

    look({k: v for k, v in metrics.items() if k not in ("train", "valid")}, "all", 0)
    return list(found.values())


def _ends(found: Mapping[str, Any]) -> tuple[float | None, float | None]:
    for low, high in (("accuracy_low", "accuracy_high"), ("low", "high")):
        if is_number(found.get(low)) and is_number(found.get(high)):
            return found[low], found[high]
    return None, None


def _count(found: Mapping[str, Any]) -> int | None:
    return next((int(found[key]) for key in ("num", "num_rows", "count", "rows") if is_number(found.get(key))), None)


def model_name(model: str) -> str:
    """A model's name for people."""
    return MODELS.get(model, model.replace("_", " "))


def metric_name(metric: str) -> str:
    """A metric's name for people."""
    base, colon, of = metric.partition(":")
    name = METRICS.get(base, (base.replace("_", " "), ""))[0]
    return f"{name}: {of}" if colon else name


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
