"""The page: every section drawn or its absence explained, hostile texts harmless, nothing loaded from anywhere."""

import datetime as dt
import math
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from attune.report.data import ReportData
from attune.report.measured import accuracy, evaluation
from attune.report.page import build_report, number, percent, plain, short
from attune.report.views import funnel, headline, opinion, people, quality
from report_sample import HOSTILE, sample_report

SECTIONS = ("funnel", "opinion", "segments", "recommendations", "evaluation", "quality", "run")
VOID = {"meta", "line", "path", "br"}


class Structure(HTMLParser):
    """Elements that are opened and not closed, and all attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.names: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.addresses += [value for name, value in attrs if name in ("src", "href") and value]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parse(page: str) -> Structure:
    structure = Structure()
    structure.feed(page)
    structure.close()
    assert structure.open == []
    return structure


def empty_report() -> ReportData:
    data = ReportData("2026-03-01", "workspace", 7, "abc")
    data.omitted = {name: f"no {name} here" for name in SECTIONS[:-1]}
    return data


@pytest.fixture(scope="module")
def page() -> str:
    return build_report(sample_report())


def test_every_section_is_drawn_from_well_formed_html(page: str) -> None:
    structure = parse(page)
    assert tuple(structure.ids) == SECTIONS


def test_nothing_is_loaded_and_nothing_runs(page: str) -> None:
    """The page is sent by mail and opened without a network."""
    structure = parse(page)
    assert all(address.startswith("#") for address in structure.addresses)
    assert not {"script", "link", "img", "iframe", "object"} & set(structure.names)
    assert "url(" not in page
    assert "@import" not in page
    assert "default-src 'none'" in page


def test_hostile_texts_stay_text(page: str) -> None:
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "\u202e" not in page
    page.encode("utf-8")


def test_figures_are_those_of_the_data(page: str) -> None:
    for figure in ("1,612", "41,873", "102,345", "2,101", "1,124", "14%"):
        assert figure in page, figure
    assert "手工编织羊毛围巾" in page
    assert "Bought together with Cast-iron pan, 26 cm" in page


def test_sections_without_data_say_why() -> None:
    page = build_report(empty_report())
    parse(page)
    for name in SECTIONS[:-1]:
        assert f"no {name} here" in page
    assert "nan" not in page.lower().replace("nant", "")


def test_nulls_and_odd_numbers_do_not_break_the_page() -> None:
    data = sample_report(num_days=1)
    data.totals |= {"value": math.nan, "converted": None, "first_day": None}
    for rows in (data.satisfaction, data.segments, data.recommended, data.history, data.refusals):
        for row in rows:
            for key in row:
                if key not in ("user_id", "rank", "place", "end", "item_id", "segment_id", "source", "num"):
                    row[key] = None
    for row in data.evaluation:
        row["low"] = row["high"] = math.nan
    data.months = data.months[:1]
    page = build_report(data)
    parse(page)
    assert "nan" not in page
    assert ">None<" not in page


def test_huge_values_and_a_long_log_keep_the_page_small() -> None:
    data = sample_report(num_days=3000)
    data.totals["value"] = 1.5e15
    for row in data.recommended:
        row["title"] = "long title " * 5000
    page = build_report(data)
    parse(page)
    assert "1,500,000,000,000,000" in page
    assert len(page) < 5_000_000
    assert "by month" in page


def test_the_same_data_make_the_same_page(page: str) -> None:
    assert build_report(sample_report()) == page


def test_funnel_rates_are_shares_of_the_stage_before() -> None:
    data = ReportData("2026-03-01", "w", 7, "abc")
    counts = {"impression": 200, "click": 50, "purchase": 10}
    data.funnel = [{"ds": dt.date(2026, 1, 1), "stage": s, "num": n} for s, n in counts.items()]
    steps = funnel(data)["steps"]
    assert [(step.name, step.num, step.rate) for step in steps] == [
        ("Shown", 200, None), ("Clicked", 50, 0.25), ("Bought", 10, 0.2),
    ]  # fmt: skip


def test_a_day_without_clicks_has_no_rate() -> None:
    data = ReportData("2026-03-01", "w", 7, "abc")
    first, second = dt.date(2026, 1, 1), dt.date(2026, 1, 2)
    data.funnel = [{"ds": first, "stage": "impression", "num": 10}, {"ds": first, "stage": "click", "num": 5}]
    data.funnel += [{"ds": second, "stage": "click", "num": 5}]
    assert len(funnel(data)["panels"][0].chart.points) == 1


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.01, 0.03, "Blend is better than"),
        (-0.01, 0.03, "cannot be told apart"),
        (-0.03, -0.01, "Blend is worse than"),
    ],
)
def test_the_verdict_follows_the_interval(low: float, high: float, words: str) -> None:
    """A difference within the noise must not be sold as a gain."""
    data = sample_report()
    for row in data.evaluation:
        if row["against"]:
            row.update(value=(low + high) / 2, low=low, high=high)
    assert words in evaluation(data)["verdict"]


def test_the_verdict_is_against_the_best_baseline() -> None:
    data = sample_report()
    ndcg = next(row for row in data.evaluation if row["against"] and row["metric"] == "ndcg" and row["k"] == 10)
    data.evaluation.append({**ndcg, "against": "text", "value": ndcg["value"] - 0.01})
    assert "Text match, the best baseline" in evaluation(data)["verdict"]


def test_models_stand_in_the_order_of_their_figures() -> None:
    found = evaluation(sample_report())
    assert found["k"] == 10
    assert [group.name for group in found["groups"]][:2] == ["nDCG@10", "Recall@10"]
    values = [bar.value for bar in found["groups"][0].bars]
    assert values == sorted(values, reverse=True)
    assert found["groups"][0].bars[0].own


def test_what_sources_find_has_bars_of_its_own_and_rules_are_no_rivals() -> None:
    data = sample_report()
    before = evaluation(data)
    like = next(row for row in data.evaluation if row["task"] == "recommend" and row["slice"] == "all")
    found = [("text", 50, 0.2), ("candidates", 400, 0.7)]
    data.evaluation += [
        {**like, "model": model, "metric": "candidate_recall", "k": k, "value": value, "low": None, "high": None, "against": None}
        for model, k, value in found
    ]  # fmt: skip
    data.evaluation.append(
        {**like, "model": "blend", "metric": "ndcg", "k": 10, "value": -0.2, "low": -0.3, "high": -0.1,
         "against": "blend without diversity"}
    )  # fmt: skip
    after = evaluation(data)
    assert after["k"] == before["k"]
    group = after["groups"][-1]
    assert group.name == "Candidates of each source"
    assert [(bar.name, bar.value) for bar in group.bars] == [("All sources", 0.7), ("Text match", 0.2)]
    assert after["verdict"] == before["verdict"]
    assert "nDCG, to blend without diversity" in [bar.name for bar in after["differences"].bars]


def test_what_each_rule_costs_and_who_gets_the_exposure_is_on_the_page() -> None:
    data = sample_report()
    like = {"task": "recommend", "k": 10, "slice": "all", "low": -0.03, "high": -0.01, "num": 10, "against": None}
    rules = ("diversity", "novelty", "max_per_category", "max_per_brand", "boosts", "min_exposure", "frequency_cap")
    data.evaluation += [
        {**like, "model": "blend", "metric": "ndcg", "value": -0.02, "against": f"blend without {rule}"}
        for rule in rules
    ]
    shares = {"blend": 0.1, "blend without min_exposure": 0.01, "popular": 0.0}
    data.evaluation += [{**like, "model": m, "metric": "exposure:new", "value": share} for m, share in shares.items()]
    gaps = {"blend": 0.05, "random_groups": 0.01}
    data.evaluation += [{**like, "model": m, "metric": "ndcg_gap:age_band", "value": gap} for m, gap in gaps.items()]
    data.evaluation.append({**like, "model": "blend", "metric": "ndcg", "value": 0.3, "slice": "age_band: 18-24"})
    found = evaluation(data)
    costs = [bar.name for bar in found["differences"].bars if "without" in bar.name]
    assert sorted(costs) == sorted(f"nDCG, to blend without {rule.replace('_', ' ')}" for rule in rules)
    by_name = {group.name: group for group in found["groups"]}
    exposure = by_name["Exposure: new@10"]
    assert [(bar.name, bar.value) for bar in exposure.bars] == [
        ("Blend", 0.1), ("blend without min exposure", 0.01), ("Popularity", 0.0)
    ]  # fmt: skip
    assert "these items" in exposure.note
    assert [bar.name for bar in by_name["nDCG gap: age_band@10"].bars] == ["Blend", "Blend, users grouped by lot"]
    assert 0.3 not in [bar.value for bar in by_name["nDCG@10"].bars], "a group of users is not all of them"
    page = build_report(data)
    parse(page)
    assert "age_band: 18-24" in page


def test_accuracy_comes_from_the_evaluation_or_else_from_the_model() -> None:
    data = sample_report()
    group = accuracy(data)
    assert group is not None
    assert [bar.name for bar in group.bars] == ["All", "Books", "Kitchen & housewares", "手机"]
    data.evaluation = []
    by_category = {"books": {"accuracy": 0.9, "num": 10}, "dvd": {"accuracy": 0.8, "num": 5}}
    for metrics in (
        {"accuracy": 0.85, "by_category": by_category},
        {"test": {"accuracy": 0.85, "by_category": by_category}, "valid": {"accuracy": 0.1}},
        {"test": {"accuracy": 0.85}, "categories": by_category},
    ):
        data.models = [{"task": "sentiment", "version": "1", "metrics": metrics}]
        group = accuracy(data)
        assert group is not None
        assert [(bar.name, bar.value) for bar in group.bars] == [("All", 0.85), ("books", 0.9), ("dvd", 0.8)]


def test_an_account_that_does_not_balance_is_flagged() -> None:
    data = sample_report()
    data.accounting["events"]["rows_kept"] -= 1
    accounts = {account["source"]: account["balanced"] for account in quality(data)["accounts"]}
    assert accounts == {"events": False, "reviews": True, "items": True}
    assert "does not add up" in build_report(data)


def test_figures_that_are_not_known_get_no_tile() -> None:
    assert headline(ReportData("2026-03-01", "w", 7, "abc")) == []


@pytest.mark.parametrize(
    ("count", "best", "worst"), [(1, ["0"], []), (3, ["0", "1"], ["2"]), (40, list("01234"), list("56789"))]
)
def test_an_item_is_not_praised_and_blamed_at_once(count: int, best: list[str], worst: list[str]) -> None:
    data = sample_report()
    ids = [str(n) for n in range(min(count, 10))]
    ends = {"best": ids[:5], "worst": ids[-5:]}
    data.satisfaction = [{"end": end, "item_id": i} for end, found in ends.items() for i in found]
    shown = {end: [row["item_id"] for row in rows] for end, rows in opinion(data)["ends"].items()}
    assert shown == {"best": best, "worst": worst}


def test_people_come_with_their_own_rows_and_strangers_last() -> None:
    found = people(sample_report())
    assert [person["user_id"] for person in found] == ["9f8e7d6c5b4a39281706f5e4d3c2b1a0", "u-00042", "*"]
    assert all(row["user_id"] == person["user_id"] for person in found for row in person["offers"] + person["history"])
    assert [row["rank"] for row in found[0]["offers"]] == [1, 2, 3, 4, 5]


def test_filters() -> None:
    assert (number(1234567), number(0.12345, 4), number(None), number(math.inf)) == ("1,234,567", "0.1235", "–", "–")
    assert (percent(0.5), percent(0.051), percent(0.0012), percent(0), percent(None)) == (
        "50%",
        "5.1%",
        "0.12%",
        "0%",
        "–",
    )
    assert plain(HOSTILE + "\x00\x1b[31m") == "<script>alert('x')</script> & \"quotes\" \ud800 [31m"
    assert short("abc " * 100, 9) == "abc abc…"
    assert plain(None) == ""


def test_the_page_can_be_drawn_from_the_packed_library(tmp_path: Path) -> None:
    """Under spark-submit the library is a zip."""
    root = Path(__file__).parents[2]
    packed = tmp_path / "attune.zip"
    subprocess.run([sys.executable, str(root / "tools" / "pack.py"), str(packed)], check=True)
    code = (
        "from attune.report import page; from attune.report.data import ReportData;"
        "print(page.__file__); print(page.build_report(ReportData('2026-03-01', 'w', 7, 'abc')))"
    )
    environment = {"PYTHONPATH": str(packed), "PATH": os.environ["PATH"]}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.startswith(str(packed))
    assert re.search(r"<style>\s*:root \{", done.stdout)
