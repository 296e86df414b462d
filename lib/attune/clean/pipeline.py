"""Cleaning, from declared inputs to staged tables: every input judged, split and accounted for; nothing published here."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from attune.clean import catalogue, event_log, history, reviews, texts
from attune.clean.accounting import NO_CONSENT, Account, Refusals, check_share, count_refusals, to_quarantine
from attune.clean.forgotten import FORGOTTEN, Forgotten, mark_forgotten, mark_named, read_forgotten
from attune.clean.pseudonyms import key_id, pseudonymise, read_key
from attune.config import Input
from attune.disk import is_full_disk
from attune.errors import AttuneError, InputError
from attune.inputs import (
    REASONS,
    check_drift,
    check_files,
    explain_spark_error,
    map_columns,
    raw_text,
    read_raw,
    resolve_paths,
)
from attune.tables import StagedTable

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from attune.run import Run

_ORDER = ("users", "items", "events", "reviews", "texts")


@dataclass
class Cleaning:
    """State of one cleaning: what is staged, what it takes the place of, what must be released."""

    run: "Run"
    key: bytes | None
    forgotten: Forgotten | None = None
    """Users that were erased: their rows are dropped."""
    staged: dict[str, StagedTable] = field(default_factory=dict)
    replaced: dict[str, set[str]] = field(default_factory=dict)
    """Days that a table's staged rows take the place of; a table that is not named here is replaced whole."""
    cached: "list[DataFrame]" = field(default_factory=list)
    refusing: "DataFrame | None" = None
    """Users who did not consent: one user_id a row."""

    def cache(self, df: "DataFrame") -> "DataFrame":
        """Hold rows that are read more than once; splitting them uncached could count a malformed row differently."""
        self.cached.append(df.persist())
        return df

    def stage(self, table: str, df: "DataFrame") -> StagedTable:
        """Stage rows of a table, besides those of it that are staged already."""
        staged = self.run.stage({table: df})[table]
        self.add(table, staged)
        return staged

    def add(self, table: str, staged: StagedTable) -> None:
        """Take up rows that are staged."""
        self.staged[table] = self.staged[table] + staged if table in self.staged else staged

    def publish(self) -> None:
        """Commit all that is staged; a table of which no day has changed keeps its version."""
        origin = {"pseudonym_key": key_id(self.key)}
        for table, staged in self.staged.items():
            days = self.replaced.get(table)
            if days is None:
                self.run.publish({table: staged}, origin)
            elif days:
                self.run.publish({table: staged.only(days)}, origin, "partitions", days)
            else:
                self.run.tables.discard([staged])
                self.run.skip(table, "no day has changed")


@contextmanager
def cleaned(run: "Run") -> Iterator[Cleaning]:
    """Stage the tables of all declared inputs, balanced; what is not published within is removed.

    Raises InputError where an input is refused.
    """
    declared = run.settings.inputs.declared()
    if not declared:
        raise InputError("no input is declared; give a settings file with inputs, such as --config online_retail")
    cleaning = Cleaning(run, read_key(run.settings.clean.pseudonym_key), read_forgotten(run))
    history.check_key(run, key_id(cleaning.key))
    run.summary["metrics"]["accounting"] = {}
    try:
        for name, source in declared.items():
            for finding in check_files(run.settings, name, source) + check_drift(run.settings, name, source):
                run.log(f"{name}: {finding}")
        for name in _ORDER:
            if name not in declared:
                run.skip(name, f"inputs.{name} is not declared")
                continue
            with _named(name, declared[name], run):
                _clean_one(cleaning, name, declared[name])
        yield cleaning
    finally:
        run.tables.discard(cleaning.staged.values())
        for frame in cleaning.cached:
            frame.unpersist()


def _clean_one(cleaning: Cleaning, name: str, source: Input) -> None:
    run = cleaning.run
    mapped = map_columns(read_raw(run.spark, run.settings, name, source), name, source)
    mapped = pseudonymise(mark_forgotten(mapped, cleaning.forgotten), cleaning.key)
    if name == "events":
        account, refusals = event_log.clean_events(cleaning, mapped)
    else:
        account, refusals = _clean_described(cleaning, name, mapped)
    run.summary["metrics"]["accounting"][name] = asdict(account) | {"reasons": refusals.by_reason}
    run.log(
        f"{name}: {account.rows_read:,} rows read, {account.rows_kept:,} kept, {account.rows_quarantined:,} quarantined, "
        f"{account.duplicates_dropped:,} duplicates dropped"
        + (f", {account.rows_forgotten:,} of forgotten users dropped" if account.rows_forgotten else "")
    )
    account.check(name)
    limit, setting = run.settings.clean.max_quarantine_share, "clean.max_quarantine_share"
    if source.max_quarantine_share is not None:
        limit, setting = source.max_quarantine_share, f"inputs.{name}.max_quarantine_share"
    check_share(name, account, refusals, limit, setting, lambda: _empty_columns(mapped, source))


def _clean_described(cleaning: Cleaning, name: str, mapped: "DataFrame") -> tuple[Account, Refusals]:
    """Users, items, reviews or texts: few beside the events, so they are held and counted."""
    from pyspark.sql import functions as F

    settings = cleaning.run.settings
    marked = mark_named(_judge(cleaning, name, mapped), cleaning.forgotten, raw_text(), F.size(REASONS) > 0)
    judged, num_read, num_forgotten = cleaning.cache(marked), None, 0
    if FORGOTTEN in judged.columns:
        num_read, num_forgotten = judged.count(), judged.where(FORGOTTEN).count()
        judged = judged.where(~F.col(FORGOTTEN)).drop(FORGOTTEN)
    good, bad = judged.where(F.size(REASONS) == 0), judged.where(F.size(REASONS) > 0)
    refusals = count_refusals(bad)
    if name == "users":
        cleaning.refusing = bad.where(F.array_contains(REASONS, NO_CONSENT)).select("user_id").distinct()
        kept, repeats = _keys_and_repeats(good, "user_id")
        history.stage_users(cleaning, catalogue.to_users(good, settings.as_of, key_id(cleaning.key)))
    elif name == "items":
        kept, repeats = _keys_and_repeats(good, "item_id")
        history.stage_items(cleaning, catalogue.to_item_history(good, settings.as_of))
    elif name == "texts":
        kept, repeats = history.stage_texts(cleaning, good)
    else:
        kept, repeats = history.stage_reviews(cleaning, good)
    history.stage_quarantine(cleaning, to_quarantine(bad, name, settings.as_of), refusals.rows)
    num_read = judged.count() if num_read is None else num_read
    return Account(num_read, kept, refusals.rows, repeats, num_forgotten), refusals


def _keys_and_repeats(good: "DataFrame", key: str) -> tuple[int, int]:
    """Number of distinct keys, and of rows beyond the first of each."""
    from pyspark.sql import functions as F

    row = (
        good.groupBy(key).agg((F.count("*") - 1).alias("n")).agg(F.count("*"), F.coalesce(F.sum("n"), F.lit(0))).first()
    )
    assert row is not None
    return row[0], row[1]


def _judge(cleaning: Cleaning, name: str, mapped: "DataFrame") -> "DataFrame":
    settings = cleaning.run.settings
    if name == "users":
        return catalogue.judge_users(mapped)
    if name == "items":
        return catalogue.judge_items(mapped, settings.clean)
    if name == "texts":
        return texts.judge_texts(mapped, settings.clean)
    judged = reviews.judge_reviews(mapped, settings.clean, settings.as_of)
    return catalogue.refuse_without_consent(judged, cleaning.refusing)


def _empty_columns(mapped: "DataFrame", source: Input) -> dict[str, str]:
    """Mapped columns that have no value in any row, with their expressions."""
    from pyspark.sql import functions as F

    counts = mapped.agg(*(F.count(column).alias(column) for column in source.columns)).first()
    assert counts is not None
    return {column: text for column, text in source.columns.items() if counts[column] == 0}


@contextmanager
def _named(name: str, source: Input, run: "Run") -> Iterator[None]:
    """Turn what Spark says of an unreadable input into an error that names the input and the file."""
    try:
        yield
    except AttuneError:
        raise
    except Exception as error:
        if is_full_disk(error):
            raise
        known = explain_spark_error(error, name, source)
        if known is None:
            run.log(f"{name}: failed while reading {source.table or resolve_paths(run.settings, source)}")
            raise
        raise known from error
