"""Daily counts kept as tables: a run for a new interval counts only the days whose rows have changed."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from attune.errors import InputError
from attune.features.daily import Daily, impression_days, user_item_days, user_session_days
from attune.tables import Tables

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from attune.run import Run

_COUNTING = 2
"""To be raised with a change of what is counted: kept counts of another number are made anew."""

_KEPT: "dict[str, tuple[str, Callable[[DataFrame], DataFrame]]]" = {
    "user_item_days": ("events", user_item_days),
    "user_session_days": ("events", user_session_days),
    "impression_days": ("impressions", impression_days),
}
"""Table of counts -> the table that it is counted from, and how."""
STATE_TABLES = tuple(_KEPT)


def kept_counts(run: "Run") -> Daily:
    """Bring the tables of daily counts up to date and read them."""
    for name, (source, count) in _KEPT.items():
        if run.tables.exists(source):
            _update(run, name, source, count)
    user_items, sessions, impressions = map(run.read_or_empty, _KEPT)
    return Daily(user_items, sessions, impressions)


def _update(run: "Run", name: str, source: str, count: "Callable[[DataFrame], DataFrame]") -> None:
    version = run.tables.version(source)
    origin = {"table": run.tables.identity(source), "version": version, "counting": _COUNTING}
    days = None
    if run.tables.exists(name):
        kept = json.loads(run.tables.metadata(name).get("origin") or "{}")
        if all(kept.get(key) == origin[key] for key in ("table", "counting")):
            days = changed_days(run.tables, source, kept["version"], version)
    if days is not None and not days:
        run.skip(name, f"up to date: no day of {source} has changed")
        return
    run.log(f"{name}: counting {'all days' if days is None else f'{len(days)} changed days'} of {source}")
    counted = count(run.tables.read(source, version, days))
    if days is None:
        run.write({name: counted}, origin)
    else:
        run.write({name: counted}, origin, "partitions", days)


def changed_days(tables: Tables, source: str, before: int, after: int) -> set[str] | None:
    """Days of a table whose files differ between two of its versions; None where the earlier one is gone.

    Late rows, and rows erased, change the days that they lie in, however old. Reads the log of the table only.
    """
    try:
        earlier, later = (tables.files(source, version) for version in (before, after))
    except InputError:
        return None
    return {day for _, day in earlier ^ later}
