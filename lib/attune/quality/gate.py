"""The gate before a publish: the declared checks of staged tables made, kept and told; a failed one stops it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol

from attune.config import Check, Config, Drift, References, Volume
from attune.errors import InputError
from attune.quality.measure import measure, published_bins
from attune.quality.stability import Bins
from attune.quality.verdict import Outcome, limits, refusal, tally, volume
from attune.schemas import TABLES
from attune.tables import Replace, StagedTable, Tables, conform

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

RESULTS = "quality_results"
_TABLES_AT_ONCE = 4
"""Tables checked at a time: Spark plans each of many short queries on one core, while the others would wait."""


class Checked(Protocol):
    """What the checks need of a run."""

    job: str
    settings: Config
    run_id: str
    summary: dict[str, Any]

    @property
    def tables(self) -> Tables:
        """Tables of the workspace."""

    def log(self, message: str, **fields: object) -> None:
        """Write a line to the run's log."""

    def stage(self, frames: "Mapping[str, DataFrame]") -> dict[str, StagedTable]:
        """Write frames beside their tables."""

    def publish(self, staged: Mapping[str, StagedTable], *, replace: Replace) -> None:
        """Commit staged tables."""


def check(run: Checked, staged: Mapping[str, StagedTable]) -> None:
    """Make the checks that the settings declare for staged tables, before these are published.

    Results are appended to table quality_results and noted in the summary, also where they stop the publish.
    Raises InputError that tells every failed check of severity error; what is staged is then discarded.
    """
    declared = {name: run.settings.quality[name] for name in staged if run.settings.quality.get(name)}
    if not declared:
        return
    try:
        earlier = _earlier_volumes(run, declared)
        with ThreadPoolExecutor(_TABLES_AT_ONCE) as threads:
            found = threads.map(lambda name: _check_table(run, staged, name, earlier.get(name, ())), declared)
            by_table = dict(zip(declared, found, strict=True))
        for name, of_table in by_table.items():
            run.log(tally(name, of_table))
        outcomes = [outcome for of_table in by_table.values() for outcome in of_table]
        for outcome in outcomes:
            if outcome.passed is False:
                run.log(f"quality check failed ({outcome.check.severity}): {outcome.failure()}")
        _keep(run, outcomes)
        if refused := refusal(outcomes):
            raise InputError(refused)
    except BaseException:
        run.tables.discard(staged.values())
        raise


def _check_table(run: Checked, staged: Mapping[str, StagedTable], name: str, earlier: Sequence[float]) -> list[Outcome]:
    """Outcomes of all checks of one table. ``earlier``: its volumes in the last runs, latest first."""
    table, settings = staged[name], run.settings
    checks = dict(enumerate(settings.quality[name]))
    rows = run.tables.read_staged(table)
    keys = {
        number: target
        for number, check in checks.items()
        if isinstance(check, References) and (target := _current(run, staged, check.table)) is not None
    }
    drifts = {number: check for number, check in checks.items() if isinstance(check, Drift)}
    values = measure(rows, checks, settings.as_of, keys, _published(run, name, drifts))
    for number, check in checks.items():
        if isinstance(check, Volume):
            values[number] = volume(*_extent(table, settings))
    return [
        Outcome(name, check, number, table.rows, values[number], *limits(check, earlier))
        for number, check in checks.items()
    ]


def _current(run: Checked, staged: Mapping[str, StagedTable], name: str) -> "DataFrame | None":
    """Rows that a table will have after this run; None where there is no such table."""
    published = run.tables.read(name) if run.tables.exists(name) else None
    if name not in staged:
        return published
    rows = run.tables.read_staged(staged[name])
    # A run of some days adds to what is published. Days that it replaces are counted twice, which no key minds.
    return rows if published is None or run.settings.since is None else rows.unionByName(published)


def _published(run: Checked, name: str, checks: Mapping[int, Drift]) -> dict[int, Bins]:
    """Bins of what is published; of a table kept by day, where a run has some days only, of the latest days before."""
    if not checks or not run.tables.exists(name):
        return {}
    since = run.settings.since
    if since is None or "ds" not in TABLES[name].partition_by:
        return published_bins(run.tables.read(name), checks)
    before = sorted(day for day in run.tables.partitions(name) if day < str(since))
    found: dict[int, Bins] = {}
    for days in {check.days for check in checks.values()}:
        same = {number: check for number, check in checks.items() if check.days == days}
        found |= published_bins(run.tables.read(name, partitions=before[-days:]), same)
    return found


def _extent(table: StagedTable, settings: Config) -> tuple[dict[str, int] | int, int | None]:
    """Rows of a staged table, by day where it is kept by day, and the days of the data interval where known."""
    if "ds" not in TABLES[table.name].partition_by:
        return table.rows, None
    by_day: Counter[str] = Counter()
    for file in table.files:
        by_day[str(dict(file.partition)["ds"])] += file.rows
    return by_day, None if settings.since is None else (settings.as_of - settings.since).days


def _earlier_volumes(run: Checked, declared: Mapping[str, list[Check]]) -> dict[str, list[float]]:
    """Volumes of each table in its last runs, latest first; without runs that a failed check stopped."""
    from pyspark.sql import functions as F

    runs = [check.runs for checks in declared.values() for check in checks if isinstance(check, Volume)]
    if not runs or not run.tables.exists(RESULTS):
        return {}
    results = run.tables.read(RESULTS)
    stopped = results.where(~F.col("passed") & (F.col("severity") == "error")).select("run_id").distinct()
    volumes = results.where((F.col("check_name") == "volume") & F.col("table_name").isin(*declared))
    latest = F.sort_array(F.collect_list(F.struct("run_id", "value")), asc=False)
    by_table = volumes.join(stopped, "run_id", "left_anti").groupBy("table_name").agg(latest.alias("latest"))
    last = by_table.select("table_name", F.slice("latest", 1, max(runs)).getField("value").alias("values"))
    return {row["table_name"]: row["values"] for row in last.collect()}


def _keep(run: Checked, outcomes: Sequence[Outcome]) -> None:
    """Append the outcomes to the table of results, and note them in the summary."""
    noted = run.summary["metrics"].setdefault("quality", {})
    rows = []
    for outcome in outcomes:
        check = outcome.check
        judged = {"value": outcome.value, "low": outcome.low, "high": outcome.high, "passed": outcome.passed}
        told = {"check": check.check, "column": outcome.column, "severity": check.severity, **judged}
        noted.setdefault(outcome.table, []).append(told)
        place = (run.run_id, run.job, run.settings.as_of, outcome.table, check.check, outcome.column, check.severity)
        rows.append((*place, *judged.values(), outcome.rows))
    frame = run.tables.spark.createDataFrame(rows, TABLES[RESULTS].struct())
    run.publish(run.stage({RESULTS: conform(frame.coalesce(1), RESULTS)}), replace="nothing")
