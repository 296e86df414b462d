"""Table run_metrics: what every run took and found, failed ones too, as rows that a query over all runs can read.

It is written at the end of each run without Spark, which a job that failed early never started: one small Parquet file
and one commit. Runs that end at the same moment append one after the other.
"""

import datetime as dt
import json
import logging
import math
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from attune import __version__
from attune.nested import flattened
from attune.redaction import safe_text
from attune.schemas import TABLES
from attune.staging import filesystem_of
from attune.tables import Tables

TABLE = "run_metrics"
_ATTEMPTS = 10
_log = logging.getLogger("attune")
_ARROW = {
    "string": pa.string(), "double": pa.float64(), "int": pa.int32(), "bigint": pa.int64(), "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
}  # fmt: skip


def record(workspace: str, summary: Mapping[str, Any]) -> None:
    """Append the rows of a run; one that cannot be told of is as good as it was, so that a failure is only logged."""
    try:
        append(workspace, rows_of(summary))
    except Exception as error:  # noqa: BLE001 - whatever a disk or a store answers must not change what the run did
        _log.warning("table %s lacks this run: %s: %s", TABLE, type(error).__name__, error)


def rows_of(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of a run, from its summary as it stands at its end. A pipeline's tables are told by its steps."""
    of_run = {
        name: summary.get(name) for name in ("run_id", "job", "pipeline_run_id", "seconds", "status", "exit_status")
    }
    dates = {
        "as_of": dt.date.fromisoformat(summary["as_of"]),
        "started_ts": dt.datetime.fromisoformat(summary["started"]),
    }
    none = {"kind": None, "name": None, "value": None, "text": None, "version": None}
    return [{**of_run, **dates, **none, **figure} for figure in _figures(summary)]


def _figures(summary: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    about = {"seconds": summary["seconds"], "settings": summary["settings"], "attune": __version__}
    about |= {name: summary[name] for name in ("error", "error_type") if name in summary}
    yield from (_figure("run", name, value) for name, value in about.items())
    yield from (_figure("metric", name, value) for name, value in flattened(summary["metrics"]).items())
    yield from (_figure("skipped", name, why) for name, why in summary["skipped"].items())
    for name, step in summary.get("steps", {}).items():
        yield {**_figure("step", name, step["seconds"]), "text": step["status"]}
    tables = {"input": summary["inputs"], "output": {} if "steps" in summary else summary["outputs"]}
    for kind, found in tables.items():
        for name, table in found.items():
            yield {**_figure(kind, name, table["rows"]), "version": table["version"]}
    if "steps" not in summary:
        yield from (_figure("artefact", name, path) for name, path in summary["artefacts"].items())


def _figure(kind: str, name: str, value: object) -> dict[str, Any]:
    """A number as a value, anything else as a text without secrets."""
    figure: dict[str, Any] = {"kind": kind, "name": safe_text(name)}
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return figure | {"value": float(value)}
    if value is None:
        return figure
    return figure | {"text": str(value).lower() if isinstance(value, bool) else safe_text(str(value))}


def append(workspace: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Commit rows to the table, which is made where there is none; a file that was not committed is removed."""
    schema = pa.schema([(column.name, _ARROW[column.type]) for column in TABLES[TABLE].columns])
    tables = Tables(workspace)
    filesystem, root = filesystem_of(tables.path(TABLE))
    name = f"part-{uuid.uuid4().hex}.snappy.parquet"
    file = f"{root}/{name}"
    filesystem.create_dir(root)
    try:
        with filesystem.open_output_stream(file) as stream:
            pq.write_table(pa.Table.from_pylist(list(rows), schema), stream, store_schema=False)
        _commit(tables, name, filesystem.get_file_info(file).size, len(rows))
    except BaseException:
        if filesystem.get_file_info(file).is_file and not _is_listed(tables, name):
            filesystem.delete_file(file)
        raise


def _commit(tables: Tables, name: str, size: int, num_rows: int) -> None:
    from deltalake import Schema
    from deltalake.exceptions import DeltaError
    from deltalake.transaction import AddAction, create_table_with_add_actions

    schema = Schema.from_json(TABLES[TABLE].json())
    actions = [AddAction(name, size, {}, int(time.time() * 1000), True, json.dumps({"numRecords": num_rows}))]
    for attempt in range(_ATTEMPTS):
        try:
            if tables.exists(TABLE):
                tables.delta(TABLE).create_write_transaction(actions, "append", schema, [])
            else:
                create_table_with_add_actions(tables.path(TABLE), schema, actions)
        except DeltaError:
            # Appends never conflict, but runs that make the table at the same moment do, each with all others.
            if attempt + 1 == _ATTEMPTS or not tables.exists(TABLE):
                raise
        else:
            return


def _is_listed(tables: Tables, name: str) -> bool:
    return tables.exists(TABLE) and name in tables.delta(TABLE).get_add_actions(flatten=True)["path"].to_pylist()
