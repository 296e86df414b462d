"""What every job shares: its command line, its run (id, log, summary), its exit status."""

import argparse
import datetime as dt
import json
import logging
import sys
import time
import traceback
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from attune import alerts, config, run_metrics
from attune.catalog import open_tables
from attune.disk import explain_full_disk, is_full_disk
from attune.errors import AttuneError, SettingsError
from attune.logs import log_fields, log_to, unless_full
from attune.models.store import ModelStore
from attune.redaction import safe_text
from attune.schemas import TABLES
from attune.secrets import found_in, hide_within, register_references
from attune.tables import Replace, StagedTable, Tables

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_log = logging.getLogger("attune")


@dataclass
class Run:
    """One execution of a job: where it reads, publishes and keeps account of both."""

    job: str
    settings: config.Config
    run_id: str
    options: Mapping[str, bool] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def spark(self) -> "SparkSession":
        """The Spark session, started at first use."""
        from attune.session import get_session, is_elsewhere
        from attune.shared_folder import check_shared

        spark = get_session(f"attune {self.job}", self.settings.spark)
        if is_elsewhere(spark):
            _check_absolute({"workspace": self.settings.workspace, "inputs.root": self.settings.inputs_root})
        check_shared(spark, self.settings.workspace)
        return spark

    @cached_property
    def tables(self) -> Tables:
        """Tables of the workspace."""
        return open_tables(self.settings, self.spark)

    @property
    def folder(self) -> Path:
        """Folder of the run: its log, its summary and what it leaves for people."""
        return self.workspace / "runs" / self.run_id

    @cached_property
    def models(self) -> ModelStore:
        """Models of the workspace."""
        return ModelStore(self.settings.workspace)

    @property
    def workspace(self) -> Path:
        """Folder of the workspace."""
        return Path(self.settings.workspace)

    def read(self, table: str) -> "DataFrame":
        """Latest rows of a table; its version is noted in the summary."""
        version = self.tables.version(table)
        self.summary["inputs"][table] = {"version": version, "rows": self.tables.rows(table, version)}
        return self.tables.read(table, version)

    def has(self, table: str) -> bool:
        """Whether a table exists and has rows."""
        return self.tables.exists(table) and self.tables.rows(table) > 0

    def read_or_empty(self, table: str) -> "DataFrame":
        """Latest rows of a table, or none where it was never published: an input that was not declared."""
        return self.read(table) if self.tables.exists(table) else self.empty(table)

    def empty(self, table: str) -> "DataFrame":
        """No rows, with the columns of a table."""
        return self.spark.createDataFrame([], TABLES[table].struct())

    def stage(self, frames: "Mapping[str, DataFrame]") -> dict[str, StagedTable]:
        """Write frames beside their tables, to be checked and then published."""
        staged: dict[str, StagedTable] = {}
        try:
            for name, frame in frames.items():
                staged[name] = self.tables.stage(frame, name)
        except BaseException:
            self.tables.discard(staged.values())
            raise
        return staged

    def publish(
        self,
        staged: Mapping[str, StagedTable],
        origin: Mapping[str, object] | None = None,
        replace: Replace = "table",
        partitions: Collection[str] = (),
    ) -> None:
        """Commit staged tables, each in one step; versions and rows are noted in the summary. See Tables.publish."""
        metadata = {"run_id": self.run_id, "job": self.job, "as_of": str(self.settings.as_of)}
        if origin is not None:
            metadata["origin"] = json.dumps(origin, sort_keys=True)
        for name, table in staged.items():
            version = self.tables.publish(table, metadata, replace, partitions)
            self.summary["outputs"][name] = {"version": version, "rows": table.rows}
            self.log(f"published {name} version {version}: {table.rows:,} rows")

    def write(
        self,
        frames: "Mapping[str, DataFrame]",
        origin: Mapping[str, object] | None = None,
        replace: Replace = "table",
        partitions: Collection[str] = (),
    ) -> None:
        """Stage and publish tables that need no check between; ``origin`` says what they come from."""
        self.publish(self.stage(frames), origin, replace, partitions)

    def versions_read(self, *tables: str) -> dict[str, int]:
        """Versions of tables that this run has read; those it has not are left out."""
        return {name: self.summary["inputs"][name]["version"] for name in tables if name in self.summary["inputs"]}

    def origin(self, *tables: str) -> dict[str, object]:
        """Latest versions of tables, to be kept with what is made from them."""
        return {name: self.tables.version(name) for name in tables if self.tables.exists(name)}

    def is_current(self, table: str, origin: Mapping[str, object]) -> bool:
        """Whether the latest version of a table was made from just this; then making it again is skipped."""
        if not self.tables.exists(table):
            return False
        current = self.tables.metadata(table).get("origin") == json.dumps(origin, sort_keys=True)
        if current:
            self.skip(table, "up to date: made from the same tables and model")
        return current

    def metric(self, name: str, value: object) -> None:
        """Note a figure in the summary."""
        self.summary["metrics"][name] = value

    def artefact(self, name: str, path: object) -> None:
        """Note where something that the run made lies."""
        self.summary["artefacts"][name] = str(path)
        self.log(f"{name}: {path}")

    def skip(self, what: str, reason: str) -> None:
        """Note that a part of the job had nothing to do, and why."""
        self.summary["skipped"][what] = reason
        self.log(f"skipped {what}: {reason}")

    def explain_full_disk(self, error: BaseException) -> AttuneError | None:
        """Say which disk is full, where that is the cause of an error."""
        if not is_full_disk(error):
            return None
        from attune.session import local_dirs

        setting, folders = local_dirs(self.settings.spark)
        return explain_full_disk(error, {"workspace": [self.settings.workspace], setting: folders})

    def save_summary(self) -> None:
        """Write the summary as it stands, in one step."""
        file = self.folder / "summary.json"
        draft = file.with_suffix(".tmp")
        text = json.dumps(hide_within(self.summary), indent=2, ensure_ascii=False)
        try:
            draft.write_text(text + "\n", encoding="utf-8")
        except OSError:
            draft.unlink(missing_ok=True)
            raise
        draft.replace(file)

    def log(self, message: str, **fields: object) -> None:
        """Write a line to the terminal and the run's log."""
        _log.info(message, extra={"fields": fields})


@dataclass(frozen=True)
class Job:
    """A job: its name, what it reads and writes, its sections of the settings, and its body. ``main`` is its command line."""

    name: str
    help: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    body: Callable[[Run], None]
    options: Mapping[str, str] = field(default_factory=dict)
    settings: tuple[str, ...] = ()  # of a section that is named along with parts of it: those parts alone
    plan: Callable[[config.Config], str] | None = None
    """What ``--dry-run`` tells, where it is more than what is read and written."""

    def main(self, argv: list[str] | None = None) -> int:
        """Run from the command line; returns the exit status and prints the path of the summary last."""
        parser = self._parser()
        given = vars(parser.parse_args(argv))
        try:
            files = given["config"] or ["demo"]
            settings = config.load(files, given["set"], given["as_of"], given["since"])
        except AttuneError as error:
            print(f"attune {self.name}: error: {error}", file=sys.stderr)
            return error.exit_status
        if given["dry_run"]:
            from attune.dry_run import describe

            try:
                print(describe(self, settings) if self.plan is None else self.plan(settings))
            except AttuneError as error:
                print(f"attune {self.name}: error: {error}", file=sys.stderr)
                return error.exit_status
            return 0
        return execute(self, settings, {name: given[name] for name in self.options})

    def _parser(self) -> argparse.ArgumentParser:
        parser = _Parser(prog=f"attune {self.name}", description=self.help)
        parser.add_argument(
            "--config", action="append", metavar="FILE", help="settings file, or a name in conf/ (default: demo)"
        )
        parser.add_argument(
            "--set", action="append", metavar="KEY=VALUE", default=[], help="one setting, such as seed=3"
        )
        parser.add_argument(
            "--since", metavar="DATE", help="first day of the data interval, UTC (default: all there is)"
        )
        parser.add_argument("--as-of", metavar="DATE", help="end of the data interval: first day not counted, UTC")
        parser.add_argument("--dry-run", action="store_true", help="say what would be read and written, and stop")
        for option, text in self.options.items():
            parser.add_argument(f"--{option}", action="store_true", help=text)
        return parser


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Wrong usage; words that may hold a secret are not repeated."""
        super().error(message.partition(":")[0] if found_in(message) else message)


def job(
    *,
    reads: tuple[str, ...] = (),
    writes: tuple[str, ...] = (),
    options: Mapping[str, str] | None = None,
    settings: tuple[str, ...] = (),
    plan: Callable[[config.Config], str] | None = None,
) -> Callable[[Callable[[Run], None]], Job]:
    """Turn a function of a run into a job named like it; its docstring is the job's help."""

    def wrap(body: Callable[[Run], None]) -> Job:
        return Job(body.__name__, (body.__doc__ or "").strip(), reads, writes, body, options or {}, settings, plan)

    return wrap


def start(
    name: str, settings: config.Config, options: Mapping[str, bool] | None = None, pipeline: Run | None = None
) -> Run:
    """A run with a new id, sortable by time, and its folder; of a pipeline, where it is a step of one."""
    now = dt.datetime.now(dt.UTC)
    run = Run(name, settings, f"{now:%Y%m%dT%H%M%S}-{name}-{uuid.uuid4().hex[:6]}", options or {})
    run.folder.mkdir(parents=True)
    run.summary.update(
        job=name, run_id=run.run_id, pipeline_run_id=pipeline and pipeline.run_id,
        started=now.isoformat(timespec="seconds"), status="running", as_of=str(settings.as_of), settings=settings.fingerprint(),
        inputs={}, outputs={}, metrics={}, artefacts={}, skipped={},
    )  # fmt: skip
    return run


def execute(work: Job, settings: config.Config, options: Mapping[str, bool] | None = None) -> int:
    """Run a job to its end, write its summary and tell of a failure, whatever happens. Returns the exit status."""
    register_references(settings.model_dump())
    try:
        run = start(work.name, settings, options)
        log_to(run.folder / "log.jsonl")
    except OSError as error:
        full = explain_full_disk(error, {"workspace": [settings.workspace]})
        if full is None:
            raise
        print(f"attune {work.name}: error: {full}", file=sys.stderr)
        alerts.tell(settings.on_failure, alerts.Failure(work.name, full.exit_status, str(full)))
        return full.exit_status
    summary = run.folder / "summary.json"
    with log_fields(run_id=run.run_id, job=work.name):
        status = perform(work, run)
        if status:
            found = str(summary.absolute()) if summary.exists() else None
            failure = alerts.Failure(work.name, status, run.summary["error"], run.run_id, found)
            alerts.tell(settings.on_failure, failure)
    if summary.exists():
        print(summary, flush=True)
    return status


def perform(work: Job, run: Run) -> int:
    """The body of a job, timed, its error turned into a line and an exit status, its summary and figures written."""
    began = time.monotonic()
    run.log(f"{work.name} started")
    status = 0
    try:
        work.body(run)
        run.summary["status"] = "done"
    except Exception as error:  # noqa: BLE001 - whatever it is, it goes into the summary
        status = _fail(run, error)
    seconds = round(time.monotonic() - began, 1)
    run.summary["seconds"] = seconds
    run.summary["exit_status"] = status
    try:
        run.save_summary()
    except OSError as error:
        # After a failure of the body its exit status stands, for the cause is most likely the same.
        status = status or _fail(run, error)
        run.summary["exit_status"] = status
    run_metrics.record(run.settings.workspace, run.summary)
    run.log(f"{work.name} {run.summary['status']} in {seconds:.0f} s")
    return status


def _fail(run: Run, error: Exception) -> int:
    """Tell an error in the log and the summary; returns the exit status of its kind."""
    from attune.inputs import explain_spark_error

    known = run.explain_full_disk(error) or explain_spark_error(error) or error
    status = known.exit_status if isinstance(known, AttuneError) else 1
    told = str(known) if status != 1 else f"{type(known).__name__}: {str(known).strip().partition(chr(10))[0]}"
    told = safe_text(told)
    run.summary.update(status="failed", error=told, error_type=type(known).__name__)
    _log.error(f"{run.job}: {told}")
    if status == 1:
        trace = run.folder / "traceback.txt"
        with unless_full():
            trace.write_text(safe_text("".join(traceback.format_exception(error))), encoding="utf-8")
            _log.error(f"{run.job}: traceback in {trace}")
    return status


def _check_absolute(paths: Mapping[str, str]) -> None:
    """Raise SettingsError for a path that the server of Spark Connect would look for in its own working folder."""
    for setting, path in paths.items():
        if not path.startswith("/") and ":/" not in path:
            raise SettingsError(
                f"{setting} is {path}, and Spark Connect's server has another working folder: give an absolute path, or a URI, "
                "that the server and this machine both reach"
            )
