"""A wrong check is refused when the settings are read, with the mend; it would else hold for ever."""

import pytest

from attune import config
from attune.errors import SettingsError


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("evnts=[{check: nulls, column: user_id}]", "setting quality: 'evnts' is not a table; did you mean 'events'?"),
        ("events=[{check: nuls, column: user_id}]", "events[0]: 'nuls' is not a check; did you mean 'nulls'?"),
        ("events=[{column: user_id}]", "events[0]: needs a key check; known: drift, fresh, nulls"),
        ("events=[nulls]", "events[0]: needs a key check"),
        ("events=[{check: volume, max_rato: 2}]", "events[0]: 'max_rato' is no key of volume; did you mean 'max_ratio'?"),
        (
            "items=[{check: volume}, {check: nulls, column: titel}]",
            "items[1]: 'titel' is not a column of items; did you mean 'title'?",
        ),
        (
            "events=[{check: unique, columns: [event_id, sesion_id]}]",
            "'sesion_id' is not a column of events; did you mean 'session_id'?",
        ),
        ("events=[{check: references, column: item_id, table: item}]", "'item' is not a table; did you mean 'items'?"),
        (
            "events=[{check: references, column: event_id, table: items, key: itemid}]",
            "'itemid' is not a column of items; did you mean 'item_id'?",
        ),
        (
            "events=[{check: references, column: event_ts, table: items, key: item_id}]",
            "events[0]: event_ts is timestamp, item_id of items is string",
        ),
        (
            "events=[{check: range, column: user_id, min: 0}]",
            "events[0]: range judges int, bigint, double; user_id is string",
        ),
        ("events=[{check: fresh, column: value, max_days: 1}]", "fresh judges timestamp, date; value is double"),
        ("quarantine=[{check: drift, column: reasons}]", "string, boolean; reasons is array<string>"),
        ("events=[{check: range, column: value}]", "setting quality.events.0.range: give min, max or both"),
        ("events=[{check: range, column: value, min: 2, max: 1}]", "setting quality.events.0.range: min is above max"),
        (
            "events=[{check: nulls, column: value, max_share: 2}]",
            "setting quality.events.0.nulls.max_share: input should be less than or equal to 1, not 2",
        ),
        ("events=[{check: nulls}]", "setting quality.events.0.nulls.column: field required"),
        ("events=3", "setting quality.events: input should be a valid list, not 3"),
    ],
)  # fmt: skip
def test_a_wrong_check_is_named_with_its_mend(override: str, told: str) -> None:
    with pytest.raises(SettingsError) as error:
        config.load([], [f"quality.{override}"])
    assert told in str(error.value)


def test_a_list_replaces_the_one_below_it_and_other_tables_keep_theirs() -> None:
    settings = config.load([], ["quality.events=[{check: nulls, column: value, max_share: 0.5}]"])
    assert [check.check for check in settings.quality["events"]] == ["nulls"]
    assert settings.quality["items"] == config.load([]).quality["items"]


def test_checks_are_part_of_the_fingerprint() -> None:
    some = config.load([], ["quality.events=[{check: nulls, column: value, max_share: 0.5}]"])
    others = config.load([], ["quality.events=[{check: nulls, column: value, max_share: 0.4}]"])
    assert some.fingerprint() != others.fingerprint()
