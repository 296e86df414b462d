"""The pages tell the results that were measured last."""

import json

import pytest
import results_table
import sizing


def test_the_pages_show_the_latest_results() -> None:
    assert results_table.read_results()
    for name in results_table.TABLES:
        text = (results_table.ROOT / name).read_text(encoding="utf-8")
        assert results_table.with_tables(name, text) == text, "run: python benchmarks/results_table.py"


def test_twice_the_load_takes_twice_the_core_hours() -> None:
    once = sizing.Load()
    twice = sizing.Load(
        *(2 * value for value in (once.events_per_day, once.reviews_per_day, once.training_tokens, once.users))
    )
    for small, large in zip(sizing.costs(once), sizing.costs(twice), strict=True):
        assert large.core_hours == 2 * small.core_hours > 0
        assert large.core_seconds == small.core_seconds


def test_core_seconds_of_cleaning_are_the_slope_of_what_was_measured() -> None:
    first, *_, last = json.loads((sizing.RESULTS / "clean.json").read_text(encoding="utf-8"))["sizes"]
    cleaning = sizing.costs(sizing.Load())[0].core_seconds
    predicted = first["seconds_clean"][0] + (last["rows_read"] - first["rows_read"]) / 1e6 * cleaning / 2
    assert predicted == pytest.approx(last["seconds_clean"][0])
