"""The log of a run: JSON lines in a file, and on standard error, where a terminal gets a short readable form.

Each line says which run and job it belongs to; within a pipeline, which step and which run that step is; and where a rank
of a training said it, which one. Personal data and secrets are taken out of every line.
"""

import datetime as dt
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attune.disk import is_full_disk
from attune.redaction import Redacting

_log = logging.getLogger("attune")
_fields: dict[str, object] = {}
"""What the lines of this process say besides their message: a process does one run at a time, on whatever threads."""


@contextmanager
def log_fields(**fields: object) -> Iterator[None]:
    """Fields of all lines that are logged within; inner ones add to outer ones."""
    before = dict(_fields)
    _fields.update(fields)
    try:
        yield
    finally:
        _fields.clear()
        _fields.update(before)


def log_to(file: Path) -> None:
    """Log to a file in JSON lines, and to standard error: readable on a terminal, JSON lines elsewhere."""
    for handler in list(_log.handlers):
        _log.removeHandler(handler)
        handler.close()
    to_file = _RunLog(file, encoding="utf-8")
    to_file.setFormatter(JsonLines())
    to_stderr = logging.StreamHandler(sys.stderr)
    to_stderr.setFormatter(Readable() if sys.stderr.isatty() else JsonLines())
    for handler in (to_file, to_stderr):
        handler.addFilter(_in_run)
        handler.addFilter(Redacting())
    _log.handlers = [to_file, to_stderr]
    _log.setLevel(logging.INFO)
    _log.propagate = False


def log_of_rank(rank: int, level: str, message: str, seconds: float) -> None:
    """Log what a rank of a training said, under the time at which it did: seconds since 1970."""
    number = logging.getLevelNamesMapping()[level.upper()]
    if not _log.isEnabledFor(number):
        return
    record = _log.makeRecord(_log.name, number, __file__, 0, message, (), None, extra={"fields": {"rank": rank}})
    record.created = seconds
    _log.handle(record)


@contextmanager
def unless_full() -> Iterator[None]:
    """Go on where a disk is full: the job that fails for it says so."""
    try:
        yield
    except OSError as error:
        if not is_full_disk(error):
            raise


def _in_run(record: logging.LogRecord) -> bool:
    """Add the fields of the run to a line; it is never left out."""
    record.fields = {**_fields, **getattr(record, "fields", {})}
    return True


class _RunLog(logging.FileHandler):
    """The log file of a run. What a full disk does not take is on standard error all the same, and told once there."""

    def flush(self) -> None:
        with unless_full():
            super().flush()

    def close(self) -> None:
        with unless_full():
            super().close()


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Time in UTC, level, fields of the run, fields of the line, message."""
        line = {
            "ts": dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            **getattr(record, "fields", {}),
            "message": record.getMessage(),
        }
        return json.dumps(line, default=str, ensure_ascii=False)


class Readable(logging.Formatter):
    """For people: local time, the step or job, the rank where there are several, and the message."""

    def format(self, record: logging.LogRecord) -> str:
        """One short line."""
        fields = getattr(record, "fields", {})
        stamp = dt.datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        name = fields.get("step") or fields.get("job") or ""
        who = f"rank {fields['rank']}: " if fields.get("rank") else ""
        return f"{stamp} {name:<10} {who}{record.getMessage()}"
