"""The log of actions, from mapped rows to staged events, impressions, bot events, sessions and quarantine."""

from typing import TYPE_CHECKING

from attune.clean import catalogue, history
from attune.clean.accounting import BOT, Account, Refusals, count_refusals
from attune.clean.events import judge_events, settle
from attune.clean.sessions import to_sessions
from attune.clean.visits import CONTEXT, WRITTEN, arrange

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Observation

    from attune.clean.pipeline import Cleaning


def clean_events(cleaning: "Cleaning", mapped: "DataFrame") -> tuple[Account, Refusals]:
    """Stage the tables of the log, and tell what became of its rows.

    Without ``since`` the log is read and written once. With it, rows of earlier runs that the new ones may change are
    read too: those of the same users on the days around, and what a refund may undo.
    """
    from pyspark.sql import Observation
    from pyspark.sql import functions as F

    run = cleaning.run
    read, repeats = Observation(), Observation()
    counted = mapped.observe(read, F.count(F.lit(1)).alias("rows"))
    judged = catalogue.refuse_without_consent(judge_events(counted, run.settings), cleaning.refusing)
    rows = settle(judged, run.settings.as_of).withColumns(
        {CONTEXT: F.lit(False), "refund_of": F.lit(None).cast("string")}
    )
    state = history.load_state(cleaning, rows)
    if state is not None:
        rows = state.new.unionByName(state.touched)
    arranged = arrange(rows, run.settings.clean, repeats)
    if state is not None:
        arranged = arranged.unionByName(state.rest)
    staged = run.tables.stage_together(arranged, WRITTEN)
    for table, part in staged.items():
        cleaning.add(table, part)
    refusals = count_refusals(run.tables.read_staged(staged["quarantine"]))
    stored = state.num_rows if state is not None else dict.fromkeys(WRITTEN, 0)
    bots = staged["bot_events"].rows - stored["bot_events"]
    if bots:
        refusals = Refusals(refusals.rows + bots, refusals.by_reason | {BOT: bots}, refusals.excused + bots)
    kept = sum(staged[table].rows - stored[table] for table in ("events", "impressions"))
    num_repeats = repeats.get["repeats"]
    found = kept + refusals.rows + num_repeats
    account = Account(_rows_read(read, state is not None, found, rows, mapped), kept, refusals.rows, num_repeats)
    _stage_sessions(cleaning, state)
    return account, refusals


def _rows_read(read: "Observation", incremental: bool, expected: int, rows: "DataFrame", mapped: "DataFrame") -> int:
    """Rows of the log. The count made in passing is too high where a lost executor's work was done twice: count anew then."""
    counted = None if incremental else read.get["rows"]
    return counted if counted == expected else mapped.count()


def _stage_sessions(cleaning: "Cleaning", state: "history.State | None") -> None:
    tables, staged = cleaning.run.tables, cleaning.staged
    sessions = to_sessions(tables.read_staged(staged["events"]), tables.read_staged(staged["impressions"]))
    if state is None:
        cleaning.stage("sessions", sessions)
        return
    history.stage_changed_sessions(cleaning, state, sessions)
    days = state.window
    for table in ("events", "impressions", "bot_events"):
        cleaning.replaced[table] = history.changed_days(tables, table, staged[table], days)
