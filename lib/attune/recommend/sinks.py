"""Where recommendations go besides their table: JSON lines, a database, a key-value store; whatever Spark writes."""

import datetime as dt
import re
from typing import TYPE_CHECKING

from attune.config import Sink
from attune.errors import InputError
from attune.secrets import REFERENCE, read_secret

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import DataFrame

_NO_LISTS = ("jdbc", "csv")
"""Formats without lists: sources and reasons are written with | between them."""


def write_sinks(recommendations: "DataFrame", sinks: "Sequence[Sink]", as_of: dt.date) -> list[dict[str, object]]:
    """Write published recommendations to each sink, in order, and tell where.

    ``{as_of}`` in a path or an option stands for the date. Raises SettingsError for a secret that is not there, InputError
    for a sink that cannot be written to; those before it are written.
    """
    from py4j.protocol import Py4JError  # type: ignore[import-untyped]
    from pyspark.errors import PySparkException

    told: list[dict[str, object]] = []
    for number, sink in enumerate(sinks):
        setting = f"recommend.sinks[{number}]"
        options = {
            key: read_secret(value, f"{setting}.options.{key}") if re.match(REFERENCE, value) else _dated(value, as_of)
            for key, value in sink.options.items()
        }
        frame = _without_lists(recommendations) if sink.format in _NO_LISTS else recommendations
        writer = frame.write.format(sink.format).mode(sink.mode).options(**options)
        path = None if sink.path is None else _dated(sink.path, as_of)
        try:
            writer.save(path)
        except (PySparkException, Py4JError) as error:
            raise InputError(
                f"{setting}: Spark cannot write {sink.format} to {path or sink.options.get('url', 'it')}: "
                f"{_first_line(error, options)}; mend format, path and options, or leave the sink out. "
                "The table recommendations is published"
            ) from None
        told.append({"format": sink.format, "path": path, "table": options.get("dbtable"), "mode": sink.mode})
    return told


def _without_lists(frame: "DataFrame") -> "DataFrame":
    from pyspark.sql import functions as F

    return frame.withColumns({name: F.concat_ws("|", name) for name in ("sources", "reasons")})


def _dated(text: str, as_of: dt.date) -> str:
    return text.replace("{as_of}", as_of.isoformat())


def _first_line(error: Exception, options: dict[str, str]) -> str:
    """What Spark says, without the values of options: a driver may repeat a password."""
    line = str(error).strip().partition("\n")[0]
    for value in sorted(options.values(), key=len, reverse=True):
        line = line.replace(value, "...")
    return line[:300]
