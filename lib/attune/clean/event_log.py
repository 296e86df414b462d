"""The log of actions, from mapped rows to staged events, impressions, bot events, sessions and quarantine."""

import json
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from attune.clean import catalogue, history
from attune.clean.accounting import BOT, Account, Refusals, refusals_of
from attune.clean.events import arrange, judge_events, settle
from attune.clean.rules import KEY, Rules
from attune.clean.sessions import to_sessions
from attune.clean.visits import FORGOTTEN, READ, REFUSED, REPEATS, WRITTEN, settle_users
from attune.inputs import list_files
from attune.session import parallelism

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from attune.clean.pipeline import Cleaning
    from attune.run import Run

_TEXT_BYTES_A_PART = 320 << 20
"""Bytes of a log as plain text, about 1.2 million rows, to a part."""
_PACKED = 8
"""How much smaller a log is when it is compressed, or kept by column, about."""


def clean_events(cleaning: "Cleaning", mapped: "DataFrame") -> tuple[Account, Refusals]:
    """Stage the tables of the log, and tell what became of its rows: one shuffle by user, one write of all tables.

    Without ``since`` the log is read and written once. With it, rows of earlier runs that the new ones may change are
    read too: those of the same users on the days around, and what a refund may undo.
    """
    run = cleaning.run
    judged = catalogue.refuse_without_consent(judge_events(mapped, run.settings), cleaning.refusing)
    rows = settle(judged, run.settings.as_of)
    stored = history.load_state(cleaning, rows)
    if stored is not None:
        rows = stored.new.unionByName(stored.touched)
    tables = WRITTEN if stored is None else [table for table in WRITTEN if table != "sessions"]
    make = partial(settle_users, rules=Rules.of(run.settings.clean, cleaning.forgotten))
    staged, counts = run.tables.stage_by_tasks(_by_user(run, arrange(rows)), make, tables)
    for table, part in staged.items():
        cleaning.add(table, part)
    if stored is not None:
        for table, rest in stored.rest.items():
            cleaning.stage(table, rest)
        _stage_sessions(cleaning, stored)
    return _account(cleaning, counts, stored.num_rows if stored is not None else {})


def _by_user(run: "Run", rows: "DataFrame") -> "DataFrame":
    """Rows with those of a user in one part: parts as large as a task holds in memory, for each writes a file a day."""
    source = run.settings.inputs.events
    assert source is not None
    files = list_files(run.settings, "events", source)
    if files is None:
        return rows.repartition(KEY)
    text_bytes = sum(
        file.size * (1 if file.codec is None and source.format in ("csv", "json") else _PACKED) for file in files
    )
    if text_bytes < _TEXT_BYTES_A_PART / 10:
        return rows.repartition(1, KEY)
    cores = parallelism(run.spark)
    return rows.repartition(cores * -(-text_bytes // (_TEXT_BYTES_A_PART * cores)), KEY)


def _account(cleaning: "Cleaning", counts: Counter[str], stored: dict[str, int]) -> tuple[Account, Refusals]:
    """What became of the rows: as many as tasks met, against as many as the written files tell."""
    added = {table: staged.rows - stored.get(table, 0) for table, staged in cleaning.staged.items()}
    by_reasons = {
        tuple(json.loads(key.removeprefix(REFUSED))): n for key, n in counts.items() if key.startswith(REFUSED)
    }
    if bots := added["bot_events"]:
        by_reasons[(BOT,)] = bots
    refusals = refusals_of(by_reasons)
    kept = added["events"] + added["impressions"]
    return Account(counts[READ], kept, refusals.rows, counts[REPEATS], counts[FORGOTTEN]), refusals


def _stage_sessions(cleaning: "Cleaning", stored: history.Stored) -> None:
    tables, staged = cleaning.run.tables, cleaning.staged
    now = to_sessions(tables.read_staged(staged["events"]), tables.read_staged(staged["impressions"]))
    history.stage_changed_sessions(cleaning, stored, now)
    for table in ("events", "impressions", "bot_events"):
        cleaning.replaced[table] = history.changed_days(tables, table, staged[table], stored.window)
