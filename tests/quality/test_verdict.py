"""A reader of a refusal learns what failed, by how much, and what to mend; and nothing of any person."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from attune.config import Check
from attune.quality.verdict import Outcome, limits, refusal, tally, volume

_check = TypeAdapter(Check)


def outcome(given: dict[str, object], value: float | None, earlier: Sequence[float] = (), number: int = 2) -> Outcome:
    check = _check.validate_python(given)
    return Outcome("events", check, number, 1000, value, *limits(check, earlier))


@pytest.mark.parametrize(
    ("given", "good", "bad", "told"),
    [
        (
            {"check": "nulls", "column": "user_id"}, 0.0, 0.013,
            "events, nulls of user_id: 1.3% of rows have no value, over 0% (quality.events[2].max_share)",
        ),
        (
            {"check": "range", "column": "quantity", "min": -10000, "max": 2.5, "max_share": 0.001}, 0.001, 0.00101,
            (
                "events, range of quantity: 0.101% of values are below -10000 or above 2.5, over 0.1% "
                "(quality.events[2].max_share)"
            ),
        ),
        (
            {"check": "range", "column": "position", "min": 1}, 0.0, 1.0,
            "events, range of position: 100% of values are below 1, over 0% (quality.events[2].max_share)",
        ),
        (
            {"check": "values", "column": "event_type", "allowed": ["click"], "max_share": 0.5}, 0.5, 0.75,
            (
                "events, values of event_type: 75% of values are not among those allowed, over 50% "
                "(quality.events[2].max_share)"
            ),
        ),
        (
            {"check": "unique", "columns": ["event_id", "ds"]}, 0.0, 1e-7,
            "events, unique of event_id, ds: 1e-05% of rows repeat another's, over 0% (quality.events[2])",
        ),
        (
            {"check": "references", "column": "item_id", "table": "items", "max_share": 0.05}, 0.05, 0.06,
            "events, references of item_id: 6% of values are not in items, over 5% (quality.events[2].max_share)",
        ),
        (
            {"check": "fresh", "column": "event_ts", "max_days": 2}, 2.0, 12.25,
            "events, fresh of event_ts: the latest is 12.2 days old, over 2 (quality.events[2].max_days)",
        ),
        (
            {"check": "fresh", "column": "event_ts", "max_days": 2}, 0.1, None,
            "events, fresh of event_ts: no row has a value, over 2",
        ),
        (
            {"check": "drift", "column": "value"}, 0.25, 0.4142,
            (
                "events, drift of value: population stability index 0.414 to what is published, over 0.25 "
                "(quality.events[2].max_psi)"
            ),
        ),
    ],
)  # fmt: skip
def test_a_failure_names_column_value_limit_and_setting(
    given: dict[str, object], good: float, bad: float | None, told: str
) -> None:
    assert outcome(given, good).passed is True
    failed = outcome(given, bad)
    assert failed.passed is False
    assert failed.failure() == (told if bad is not None else told.split(", over")[0] + " (quality.events[2].max_days)")


def test_volume_is_held_against_the_median_of_the_last_runs() -> None:
    given = {"check": "volume", "min_ratio": 0.5, "max_ratio": 2, "runs": 3}
    earlier = [90.0, 100.0, 5000.0, 1.0, 1.0]  # latest first: the last two are too long ago
    assert [outcome(given, value, earlier).passed for value in (49, 50, 200, 201)] == [False, True, True, False]
    assert outcome(given, 49, earlier).failure() == (
        "events, volume: 49 rows a run or day, outside 50 to 200, going by the last 3 runs (quality.events[2].min_ratio)"
    )
    assert outcome(given, 201, earlier).setting == "quality.events[2].max_ratio"
    only_lost = outcome({"check": "volume", "min_ratio": 0.5}, 1, earlier)
    assert "outside 45 to any number" in only_lost.failure()
    assert outcome({"check": "volume", "min_ratio": 0.5}, 1e9, earlier).passed is True


@pytest.mark.parametrize("earlier", [[], [0.0, 0.0]])
def test_the_first_volume_is_kept_but_not_judged(earlier: list[float]) -> None:
    first = outcome({"check": "volume", "min_ratio": 0.5, "max_ratio": 2}, 10, earlier)
    assert (first.value, first.passed, first.stops) == (10, None, False)


@given(st.dictionaries(st.dates().map(str), st.integers(1, 1000), min_size=1), st.integers(1, 40))
def test_a_day_without_rows_lowers_the_volume(by_day: dict[str, int], interval_days: int) -> None:
    days = max(len(by_day), interval_days)
    assert volume(by_day, interval_days) * days == pytest.approx(sum(by_day.values()))
    assert volume(by_day, None) * len(by_day) == pytest.approx(sum(by_day.values()))


def test_volume_of_no_rows_is_zero() -> None:
    assert volume({}, None) == volume({}, 3) == volume(0, None) == 0


def test_all_failures_are_told_at_once_and_warnings_do_not_stop() -> None:
    nulls = {"check": "nulls", "column": "user_id"}
    outcomes = [
        outcome(nulls, 0.5, number=0),
        outcome({**nulls, "severity": "warn"}, 0.5, number=1),
        outcome({"check": "drift", "column": "value"}, None),
        outcome({"check": "unique", "columns": ["event_id"]}, 0.25, number=3),
    ]
    told = refusal(outcomes)
    assert told is not None
    assert told.startswith("2 quality checks failed, nothing is published: events, nulls of user_id: 50%")
    assert told.endswith("; mend the data, or the settings named")
    assert "quality.events[0].max_share" in told
    assert "quality.events[3]" in told
    assert "quality.events[1]" not in told
    assert tally("events", outcomes) == "checked events: 4 checks, 3 failed, 1 had nothing to compare with"
    assert refusal(outcomes[1:3]) is None
