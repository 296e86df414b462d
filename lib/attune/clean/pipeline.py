"""Cleaning, from declared inputs to staged tables: every input judged, split and accounted for; nothing published here."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import reduce
from typing import TYPE_CHECKING

from attune.clean import accounting, catalogue, events, reviews
from attune.clean.accounting import DUPLICATE, REFUSED, VERDICT, Account
from attune.config import Input
from attune.errors import AttuneError, InputError
from attune.inputs import REASONS, explain_spark_error, map_columns, read_raw, resolve_paths
from attune.tables import StagedTable

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from attune.run import Run

_ORDER = ("users", "items", "events", "reviews")
_EXCUSED = (events.AFTER_AS_OF, reviews.AFTER_AS_OF, catalogue.NO_CONSENT)
"""Reasons that are no fault of the input, and do not count towards the share that may be refused."""


@dataclass
class _Cleaning:
    """State of one cleaning: what is staged, what is refused, what must be released."""

    run: "Run"
    staged: dict[str, StagedTable] = field(default_factory=dict)
    refused: "list[DataFrame]" = field(default_factory=list)
    cached: "list[DataFrame]" = field(default_factory=list)
    no_consent: "DataFrame | None" = None

    def cache(self, df: "DataFrame") -> "DataFrame":
        """Hold rows that are read more than once; splitting them uncached could count a malformed row differently."""
        self.cached.append(df.persist())
        return df


def clean_inputs(run: "Run") -> dict[str, StagedTable]:
    """Stage the tables of all declared inputs, balanced. Raises InputError where an input is refused."""
    declared = run.settings.inputs.declared()
    if not declared:
        raise InputError("no input is declared; give a settings file with inputs, such as --config online_retail")
    cleaning = _Cleaning(run)
    run.summary["metrics"]["accounting"] = {}
    try:
        for name in _ORDER:
            if name not in declared:
                run.skip(name, f"inputs.{name} is not declared")
                continue
            with _named(name, declared[name], run):
                _clean_one(cleaning, name, declared[name])
        quarantine = reduce(lambda a, b: a.unionByName(b), cleaning.refused)
        cleaning.staged |= run.stage({"quarantine": quarantine})
        _check_quarantine(run, cleaning.staged["quarantine"])
    except BaseException:
        run.tables.discard(cleaning.staged.values())
        raise
    finally:
        for frame in cleaning.cached:
            frame.unpersist()
    return cleaning.staged


def _clean_one(cleaning: _Cleaning, name: str, source: Input) -> None:
    from pyspark.sql import functions as F

    run, settings = cleaning.run, cleaning.run.settings
    mapped = map_columns(read_raw(run.spark, settings, name, source), name, source)
    judged = cleaning.cache(_judge(cleaning, name, mapped))
    rows_read, empty = _count(judged, source)
    run.log(f"{name}: {rows_read:,} rows read")
    for column, text in empty.items() if rows_read else ():
        run.log(f"{name}: no row has a {column}; is {text} absent or renamed? (inputs.{name}.columns.{column})")
    good, bad = judged.where(F.size(REASONS) == 0), judged.where(F.size(REASONS) > 0)
    frames, refused_later, duplicates = _split(cleaning, name, good)
    staged = run.stage(frames)
    cleaning.staged |= staged
    refused = (
        bad if refused_later is None else bad.select(*_QUARANTINED).unionByName(refused_later.select(*_QUARANTINED))
    )
    reasons = accounting.count_reasons(refused)
    kept = sum(table.rows for table_name, table in staged.items() if table_name != "sessions")
    account = Account(rows_read, kept, refused.count(), duplicates)
    run.summary["metrics"]["accounting"][name] = asdict(account) | {"reasons": reasons}
    run.log(
        f"{name}: {kept:,} kept, {account.rows_quarantined:,} quarantined, {duplicates:,} duplicates dropped",
    )
    account.check(name)
    limit, setting = settings.clean.max_quarantine_share, "clean.max_quarantine_share"
    if source.max_quarantine_share is not None:
        limit, setting = source.max_quarantine_share, f"inputs.{name}.max_quarantine_share"
    excused = refused.where(F.forall(REASONS, lambda reason: reason.isin(*_EXCUSED))).count()
    accounting.check_share(name, account, reasons, excused, limit, setting, empty)
    cleaning.refused.append(accounting.to_quarantine(refused, name, settings.as_of))


def _count(judged: "DataFrame", source: Input) -> tuple[int, dict[str, str]]:
    """Number of rows, and the mapped columns that have no value in any of them, with their expressions."""
    from pyspark.sql import functions as F

    counts = judged.agg(
        F.count("*").alias("rows"), *(F.count(column).alias(column) for column in source.columns)
    ).first()
    assert counts is not None
    return counts["rows"], {column: text for column, text in source.columns.items() if counts[column] == 0}


_QUARANTINED = ("_file", "_raw", REASONS)


def _judge(cleaning: _Cleaning, name: str, mapped: "DataFrame") -> "DataFrame":
    settings = cleaning.run.settings
    if name == "users":
        return catalogue.judge_users(mapped)
    if name == "items":
        return catalogue.judge_items(mapped, settings.clean)
    if name == "events":
        judged = events.judge_events(mapped, settings.clean, settings.as_of)
    else:
        judged = reviews.judge_reviews(mapped, settings.clean, settings.as_of)
    return catalogue.refuse_without_consent(judged, cleaning.no_consent)


def _split(cleaning: _Cleaning, name: str, good: "DataFrame") -> "tuple[dict[str, DataFrame], DataFrame | None, int]":
    """Tables of an input's good rows, rows refused only when seen together, and the number of duplicates."""
    from pyspark.sql import functions as F

    if name in ("users", "items"):
        key, to_table = ("user_id", catalogue.to_users) if name == "users" else ("item_id", catalogue.to_items)
        if name == "users":
            refusing = cleaning.cached[-1].where(F.array_contains(REASONS, catalogue.NO_CONSENT))
            cleaning.no_consent = refusing.select("user_id").distinct()
        repeats = good.groupBy(key).agg((F.count("*") - 1).alias("n")).agg(F.coalesce(F.sum("n"), F.lit(0))).first()
        assert repeats is not None
        return {name: to_table(good)}, None, repeats[0]
    if name == "events":
        marked = cleaning.cache(events.sessionize(good, cleaning.run.settings.clean))
        frames = {
            "events": events.to_events(marked),
            "impressions": events.to_impressions(marked),
            "sessions": events.to_sessions(marked),
        }
        refused = marked.where(F.col(VERDICT) == REFUSED)
    else:
        marked = cleaning.cache(reviews.mark_repeats(good))
        frames, refused = {"reviews": reviews.to_reviews(marked)}, None
    return frames, refused, marked.where(F.col(VERDICT) == DUPLICATE).count()


def _check_quarantine(run: "Run", staged: StagedTable) -> None:
    accounts = run.summary["metrics"]["accounting"].values()
    expected = sum(account["rows_quarantined"] for account in accounts)
    if staged.rows != expected:
        raise InputError(
            f"quarantine: {staged.rows} rows staged, {expected} refused; did an input change while it was read?"
        )


@contextmanager
def _named(name: str, source: Input, run: "Run") -> Iterator[None]:
    """Turn what Spark says of an unreadable input into an error that names the input and the file."""
    try:
        yield
    except AttuneError:
        raise
    except Exception as error:
        known = explain_spark_error(error, name, source)
        if known is None:
            run.log(f"{name}: failed while reading {source.table or resolve_paths(run.settings, source)}")
            raise
        raise known from error
