"""What earlier runs left that a later one may change: read, merged with the new rows, and compared.

A run of some days (``since`` to ``as_of``) leaves the same tables as one run over all days, in whatever order the days
are run and however often. For that, every decision of cleaning is a function of the set of rows; and a run reads again,
besides its own files, the rows of the users it meets on the days around theirs, and orders that a refund may undo.
"""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from attune.clean import catalogue, reviews, texts
from attune.clean.actions import PURCHASE, REFUND
from attune.clean.events import as_rows
from attune.clean.rules import KIND, STATE, State
from attune.clean.sessions import to_sessions
from attune.errors import InputError
from attune.tables import StagedTable, Tables, conform

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from attune.clean.pipeline import Cleaning
    from attune.run import Run

_ACTIONS = ("events", "impressions", "bot_events")
_LONGEST_SESSION_DAYS = 31
"""How far before the days at hand a session may have begun."""


@dataclass(frozen=True)
class Stored:
    """What earlier runs left on the days that the new rows may change."""

    window: set[str]
    """Days of the new rows and those beside them, as YYYY-MM-DD."""
    new: "DataFrame"
    """The new rows, held."""
    touched: "DataFrame"
    """Earlier actions of the users of the new rows, and orders that a refund among them may undo."""
    rest: "dict[str, DataFrame]"
    """Earlier rows of other users by table, as they go into it again."""
    num_rows: dict[str, int]
    """Rows of each table on these days so far."""


def check_key(run: "Run", key_id: str | None) -> None:
    """Raise InputError where earlier days were pseudonymised with another key: one user would become two."""
    import json

    if run.settings.since is None:
        return
    for table in ("events", "reviews", "users"):
        if not run.tables.exists(table):
            continue
        found = json.loads(run.tables.metadata(table).get("origin", "{}")).get("pseudonym_key")
        if found != key_id:
            raise InputError(
                f"table {table} was made with pseudonym key {found or 'none'}, this run has {key_id or 'none'} "
                "(clean.pseudonym_key): run clean without --since once, so that all days get the new key"
            )


def load_state(cleaning: "Cleaning", rows: "DataFrame") -> Stored | None:
    """What earlier runs left around new rows of the log; None for a run over all days, or the first."""
    from pyspark.sql import functions as F

    run, tables = cleaning.run, cleaning.run.tables
    if run.settings.since is None or not tables.exists("events"):
        if run.settings.since is not None:
            cleaning.replaced["quarantine"] = interval(run)
        return None
    new = cleaning.cache(rows)
    good = new.where(F.col(STATE) == State.NEW.value)
    users = cleaning.cache(good.select("user_id").distinct())
    days = _days(good) | _days_of_later_refunds(run, good)
    window = neighbours(days)
    published = {table: tables.partitions(table) for table in _ACTIONS}
    stored = {table: tables.read(table, partitions=window & published[table]) for table in _ACTIONS}
    touched = cleaning.cache(
        reduce(
            lambda a, b: a.unionByName(b),
            (as_rows(table, df.join(users, "user_id", "left_semi"), State.KNOWN) for table, df in stored.items()),
        )
    )
    orders = _orders(run, good.unionByName(touched), window)
    rest = {table: df.join(users, "user_id", "left_anti") for table, df in stored.items()}
    cleaning.replaced["quarantine"] = interval(run)
    return Stored(
        window,
        new,
        touched.unionByName(orders),
        {table: conform(df, table) for table, df in rest.items()},
        {table: tables.rows(table, partitions=window) for table in _ACTIONS},
    )


def interval(run: "Run") -> set[str]:
    """Days of the data interval."""
    since, as_of = run.settings.since, run.settings.as_of
    assert since is not None
    return {str(since + dt.timedelta(days=n)) for n in range((as_of - since).days)}


def neighbours(days: Collection[str]) -> set[str]:
    """Days and those before and after each: a session may reach over midnight, and an impression's click may too."""
    dates = [dt.date.fromisoformat(day) for day in days]
    return {str(date + dt.timedelta(days=n)) for date in dates for n in (-1, 0, 1)}


def _days(rows: "DataFrame") -> set[str]:
    return {str(row["ds"]) for row in rows.select("ds").distinct().collect()}


def _days_between(run: "Run", first: dt.date, last: dt.date) -> set[str]:
    return {day for day in run.tables.partitions("events") if str(first) <= day <= str(last)}


def _days_of_later_refunds(run: "Run", good: "DataFrame") -> set[str]:
    """Days of refunds that are there already and may undo an order among the new rows."""
    from pyspark.sql import functions as F

    bought = good.where(F.col(KIND) == PURCHASE)
    span = bought.agg(F.min("ds").alias("first"), F.max("ds").alias("last")).first()
    if span is None or span["first"] is None:
        return set()
    days = _days_between(run, span["first"], span["last"] + dt.timedelta(days=run.settings.clean.refund_days))
    refunds = run.tables.read("events", partitions=days).where(F.col("event_type") == "refund")
    return _days(refunds.join(bought.select("user_id", "item_id").distinct(), ["user_id", "item_id"], "left_semi"))


def _orders(run: "Run", actions: "DataFrame", window: set[str]) -> "DataFrame":
    """Orders before the days at hand that a refund among some actions may undo."""
    from pyspark.sql import functions as F

    refunds = actions.where(F.col(KIND) == REFUND)
    span = refunds.agg(F.min("ds").alias("first"), F.max("ds").alias("last")).first()
    days: set[str] = set()
    if span is not None and span["first"] is not None:
        first = span["first"] - dt.timedelta(days=run.settings.clean.refund_days)
        days = _days_between(run, first, span["last"]) - window
    bought = run.tables.read("events", partitions=days).where(F.col("event_type") == "purchase")
    pairs = refunds.select("user_id", "item_id").distinct()
    return as_rows("events", bought.join(pairs, ["user_id", "item_id"], "left_semi"), State.CONTEXT)


def stage_changed_sessions(cleaning: "Cleaning", state: Stored, now: "DataFrame") -> None:
    """Stage sessions of the days at hand: those that changed anew, the others as they were.

    Args:
        now: sessions as the staged rows of these days alone tell them; one that began before them is told in part.
    """

    tables, ids = cleaning.run.tables, ["user_id", "session_id"]
    stored = {t: tables.read(t, partitions=state.window & tables.partitions(t)) for t in ("events", "impressions")}
    before = to_sessions(stored["events"], stored["impressions"])
    changed = now.exceptAll(before).select(*ids).unionByName(before.exceptAll(now).select(*ids)).distinct()
    changed = cleaning.cache(changed)
    first = dt.date.fromisoformat(min(state.window)) - dt.timedelta(days=_LONGEST_SESSION_DAYS)
    known = {day for day in tables.partitions("sessions") if day >= str(first)}
    begun = tables.read("sessions", partitions=known).join(changed, ids, "left_semi")
    outside = {d for d in _days(begun) if d not in state.window}
    events, shown = (tables.read_staged(cleaning.staged[t]) for t in ("events", "impressions"))
    again = to_sessions(events.join(changed, ids, "left_semi"), shown.join(changed, ids, "left_semi"))
    if outside:
        earlier = {day for day in tables.partitions("events") | tables.partitions("impressions")
                   if min(outside) <= day <= max(state.window) and day not in state.window}  # fmt: skip
        more = [tables.read(t, partitions=earlier & tables.partitions(t)) for t in ("events", "impressions")]
        again = to_sessions(
            *(
                part.unionByName(df).join(changed, ids, "left_semi")
                for part, df in zip((events, shown), more, strict=True)
            )
        )
    days = state.window | outside
    kept = tables.read("sessions", partitions=days & known).join(changed, ids, "left_anti")
    staged = cleaning.stage("sessions", conform(kept.unionByName(again), "sessions"))
    cleaning.replaced["sessions"] = changed_days(tables, "sessions", staged, days)


def changed_days(tables: Tables, table: str, staged: StagedTable, days: Collection[str]) -> set[str]:
    """Days of which the staged rows differ from the published ones."""
    before = day_hashes(tables.read(table, partitions=set(days) & tables.partitions(table)))
    now = day_hashes(tables.read_staged(staged))
    return {day for day in set(days) | set(now) if before.get(day) != now.get(day)}


def day_hashes(rows: "DataFrame") -> dict[str, tuple[int, int]]:
    """Number of rows and sum of their hashes by day: equal for equal rows in whatever order."""
    from pyspark.sql import functions as F

    hashed = rows.groupBy("ds").agg(
        F.count("*").alias("n"), F.sum(F.xxhash64(*rows.columns).cast("decimal(38,0)")).alias("hash")
    )
    return {str(row["ds"]): (row["n"], int(row["hash"])) for row in hashed.collect()}


def stage_users(cleaning: "Cleaning", users: "DataFrame") -> None:
    """Stage users, merged with those known where the run is of some days."""
    run = cleaning.run
    if run.settings.since is not None and run.tables.exists("users"):
        assert cleaning.refusing is not None
        users = catalogue.merge_users(run.tables.read("users"), users, cleaning.refusing)
    cleaning.stage("users", users)


def stage_items(cleaning: "Cleaning", told: "DataFrame") -> None:
    """Stage what was told of items, and the items that follow from it and from what other days told."""
    run, tables = cleaning.run, cleaning.run.tables
    staged = cleaning.stage("item_history", told)
    all_told = tables.read_staged(staged)
    if run.settings.since is not None and tables.exists("item_history"):
        days = interval(run) | staged.partitions
        cleaning.replaced["item_history"] = changed_days(tables, "item_history", staged, days)
        all_told = all_told.unionByName(
            tables.read("item_history", partitions=tables.partitions("item_history") - days)
        )
    cleaning.stage("items", catalogue.to_items(all_told))


def stage_texts(cleaning: "Cleaning", good: "DataFrame") -> tuple[int, int]:
    """Stage texts, those known among them. Returns how many were added, and dropped as repeats."""
    run, stored, num_read = cleaning.run, 0, good.count()
    if run.settings.since is not None and run.tables.exists("texts"):
        stored = run.tables.rows("texts")
        good = good.unionByName(run.tables.read("texts"), allowMissingColumns=True)
    kept = cleaning.stage("texts", texts.to_texts(good)).rows - stored
    return kept, num_read - kept


def stage_reviews(cleaning: "Cleaning", good: "DataFrame") -> tuple[int, int]:
    """Stage reviews without repeats, among those known too. Returns how many were added, and dropped as repeats."""
    run, stored = cleaning.run, 0
    if run.settings.since is not None and run.tables.exists("reviews"):
        stored = run.tables.rows("reviews")
        good = good.unionByName(reviews.as_judged(run.tables.read("reviews")), allowMissingColumns=True)
    kept, num_repeats = reviews.without_repeats(cleaning, good)
    staged = cleaning.stage("reviews", kept)
    return staged.rows - stored, num_repeats


def stage_quarantine(cleaning: "Cleaning", refused: "DataFrame", num_rows: int) -> None:
    """Stage refused rows. Raises InputError where they are not as many as were counted."""
    run = cleaning.run
    if run.settings.since is not None:
        cleaning.replaced["quarantine"] = interval(run)
    if num_rows == 0 and "quarantine" in cleaning.staged:
        return
    before = cleaning.staged["quarantine"].rows if "quarantine" in cleaning.staged else 0
    cleaning.stage("quarantine", refused)
    if (found := cleaning.staged["quarantine"].rows - before) != num_rows:
        raise InputError(f"quarantine: {found} rows staged, {num_rows} refused; did an input change while it was read?")
