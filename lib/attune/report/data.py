"""Everything the report shows, collected from tables, models and run summaries."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from attune.config import Config
from attune.report import aggregates

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Rows = list[dict[str, Any]]

_HISTORY, _RECOMMENDED, _ITEM_ENDS = 8, 5, 6


class Source(Protocol):
    """What a report is collected from; a run is one. ``read`` notes version and rows under ``summary["inputs"]``."""

    settings: Config
    summary: dict[str, Any]

    def has(self, table: str) -> bool: ...

    def read(self, table: str) -> "DataFrame": ...


@dataclass
class ReportData:
    """What the page is drawn from: plain values, small lists of rows, and why a section has none."""

    as_of: str
    workspace: str
    seed: int
    fingerprint: str
    run_id: str = ""
    totals: dict[str, Any] = field(default_factory=dict)  # of the shop: users, items, actions, value, visits, ...
    funnel: Rows = field(default_factory=list)  # ds, stage, num
    volume: Rows = field(default_factory=list)  # table, ds, num
    accounting: dict[str, dict[str, int]] = field(default_factory=dict)  # source -> rows_read, rows_kept, ...
    refusals: Rows = field(default_factory=list)  # source, reason, num, example
    histogram: Rows = field(default_factory=list)  # bin, status, num
    months: Rows = field(default_factory=list)  # month, num, positive
    satisfaction: Rows = field(default_factory=list)  # end, place, title, satisfaction, praise, complaints, ...
    segments: Rows = field(default_factory=list)  # of the table
    recommended: Rows = field(default_factory=list)  # user_id, rank, title, reasons, ...
    history: Rows = field(default_factory=list)  # user_id, title, event_type, last_ts
    evaluation: Rows = field(default_factory=list)  # of the table
    models: Rows = field(default_factory=list)  # task, version, metrics
    steps: Rows = field(default_factory=list)  # job, status, seconds, run_id
    tables: Rows = field(default_factory=list)  # table, version, rows
    omitted: dict[str, str] = field(default_factory=dict)  # section -> why it has nothing to show


def collect(source: Source) -> ReportData:
    """Read each table that exists, aggregate it in Spark, and fetch the few rows that the page shows."""
    settings = source.settings
    data = ReportData(str(settings.as_of), settings.workspace, settings.seed, settings.fingerprint())
    data.run_id = str(source.summary.get("run_id", ""))
    table = _reader(source)
    _shop(data, table)
    _quality(data, table)
    _opinion(data, table)
    _recommendations(data, table, settings)
    _rows_of(data, table, "segments", "segments", "segment_id")
    _rows_of(data, table, "evaluation", "evaluation", "task", "model", "metric", "k")
    data.models = list(_models(Path(settings.workspace)))
    data.steps = list(_steps(Path(settings.workspace)))
    data.tables = [{"table": name, **seen} for name, seen in source.summary.get("inputs", {}).items()]
    return data


def _reader(source: Source) -> "Callable[[str], DataFrame | None]":
    """Read a table once, None where it is absent or empty."""
    read: dict[str, DataFrame | None] = {}

    def table(name: str) -> "DataFrame | None":
        if name not in read:
            read[name] = source.read(name) if source.has(name) else None
        return read[name]

    return table


def _shop(data: ReportData, table: "Callable[[str], DataFrame | None]") -> None:
    events, impressions, sessions = table("events"), table("impressions"), table("sessions")
    if events is None:
        data.omitted["funnel"] = "there are no events: the settings declare no inputs.events, or it is not cleaned yet"
        return
    data.totals |= _fetch(aggregates.shop_totals(events))[0]
    if sessions is not None:
        data.totals |= _fetch(aggregates.visit_totals(sessions))[0]
    data.funnel = _fetch(aggregates.funnel_by_day(events, impressions))
    stages = {row["stage"] for row in data.funnel}
    if len(stages) < 2:
        only = f"only {stages.pop()}s" if stages else "no impressions, clicks, carts or purchases"
        data.omitted["funnel"] = f"the log has {only}, so there are no rates between stages"


def _quality(data: ReportData, table: "Callable[[str], DataFrame | None]") -> None:
    tables = {name: rows for name in ("events", "impressions", "reviews") if (rows := table(name)) is not None}
    if tables:
        data.volume = sorted(_fetch(aggregates.volume_by_day(tables)), key=lambda row: list(tables).index(row["table"]))
    quarantine = table("quarantine")
    if quarantine is not None:
        data.refusals = _fetch(aggregates.refusals(quarantine))
    data.accounting = _accounting(Path(data.workspace))
    if not data.accounting and not data.volume:
        data.omitted["quality"] = "nothing has been cleaned in this workspace yet"


def _opinion(data: ReportData, table: "Callable[[str], DataFrame | None]") -> None:
    scored, satisfaction = table("review_sentiment"), table("item_satisfaction")
    if scored is None:
        data.omitted["opinion"] = "no review has been scored: there are no reviews, or the job score has not run"
        return
    data.histogram = _fetch(aggregates.sentiment_histogram(scored))
    data.months = _fetch(aggregates.sentiment_by_month(scored))
    if satisfaction is not None:
        data.satisfaction = _fetch(aggregates.satisfaction_ends(satisfaction, table("items"), _ITEM_ENDS))


def _recommendations(data: ReportData, table: "Callable[[str], DataFrame | None]", settings: Config) -> None:
    from pyspark.sql import functions as F

    recommendations, events, items = table("recommendations"), table("events"), table("items")
    if recommendations is None:
        data.omitted["recommendations"] = "there are none yet: the job recommend has not run"
        return
    counted = recommendations.where(~F.col("user_id").startswith("*")).agg(F.count_distinct("user_id").alias("reached"))
    data.totals |= _fetch(counted)[0]
    users = aggregates.sample_user_ids(recommendations, events, settings.report.num_sample_users, settings.seed)
    # A stranger's list is shown, too: it is what most visitors of a shop get.
    chosen = [row["user_id"] for row in _fetch(users)] + ["*"]
    sample = recommendations.sparkSession.createDataFrame([(user,) for user in chosen], "user_id string")
    data.recommended = _fetch(aggregates.recommended_to(recommendations, sample, items, _RECOMMENDED))
    if events is not None:
        data.history = _fetch(aggregates.history_of(events, sample, items, _HISTORY))


def _rows_of(
    data: ReportData, table: "Callable[[str], DataFrame | None]", name: str, section: str, *order: str
) -> None:
    rows = table(name)
    if rows is None:
        data.omitted[section] = f"the table {name} does not exist or is empty"
        return
    setattr(data, section, _fetch(rows.orderBy(*order).limit(5000)))


def _fetch(rows: "DataFrame") -> Rows:
    return [row.asDict(recursive=True) for row in rows.collect()]


def _summaries(workspace: Path) -> Iterator[dict[str, Any]]:
    """Summaries of the runs of a workspace, latest first; one that is being written is left out."""
    for file in sorted(workspace.glob("runs/*/summary.json"), reverse=True):
        try:
            yield json.loads(file.read_text(encoding="utf-8"))
        except json.JSONDecodeError:
            continue


def _latest_done(workspace: Path) -> dict[str, dict[str, Any]]:
    """Latest finished run of each job."""
    found: dict[str, dict[str, Any]] = {}
    for summary in _summaries(workspace):
        if summary.get("status") == "done":
            found.setdefault(str(summary.get("job")), summary)
    return found


def _accounting(workspace: Path) -> dict[str, dict[str, int]]:
    metrics: Mapping[str, Any] = _latest_done(workspace).get("clean", {}).get("metrics", {})
    return dict(metrics.get("accounting", {}))


def _steps(workspace: Path) -> Iterator[dict[str, Any]]:
    """Latest finished run of each job, in the order in which they ran."""
    done = [s for job, s in _latest_done(workspace).items() if job not in ("pipeline", "report")]
    for summary in sorted(done, key=lambda s: str(s.get("run_id"))):
        yield {key: summary.get(key) for key in ("job", "status", "seconds", "run_id", "skipped")}


def _models(workspace: Path) -> Iterator[dict[str, Any]]:
    """Each task's model in use, with its metrics."""
    from attune.models.store import ModelStore, read_card

    store = ModelStore(str(workspace))
    tasks: Sequence[str] = sorted(f.name for f in store.root.iterdir() if f.is_dir()) if store.root.is_dir() else ()
    for task in tasks:
        if store.has_latest(task):
            card = read_card(store.latest(task))
            yield {"task": task, "version": card.get("version"), "metrics": card.get("metrics", {})}
