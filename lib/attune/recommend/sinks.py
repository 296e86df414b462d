"""Where recommendations go besides their table: JSON lines, a database, a key-value store; whatever Spark writes."""

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from attune.config import Sink
from attune.errors import InputError
from attune.secrets import hide, is_reference, resolved

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_NO_LISTS = ("jdbc", "csv")
"""Formats without lists: sources and reasons are written with | between them."""


@dataclass(frozen=True)
class Target:
    """A sink with its secrets and the date filled in."""

    setting: str
    sink: Sink
    path: str | None
    options: Mapping[str, str]


def find_targets(sinks: Sequence[Sink], as_of: dt.date) -> list[Target]:
    """Sinks ready to be written to; ``{as_of}`` in a path or an option stands for the date.

    To be called before anything is published: raises SettingsError for a secret that is not there.
    """
    targets = []
    for number, sink in enumerate(sinks):
        setting = f"recommend.sinks.{number}"
        dated = {name: value.replace("{as_of}", as_of.isoformat()) for name, value in sink.options.items()}
        options = resolved(dated, f"{setting}.options")
        path = sink.path and sink.path.replace("{as_of}", as_of.isoformat())
        targets.append(Target(setting, sink, path, options))
    return targets


def write_to(recommendations: "DataFrame", targets: Sequence[Target]) -> list[dict[str, object]]:
    """Write published recommendations to each target, in order, and tell where.

    Raises InputError for a target that cannot be written to; those before it are written.
    """
    from py4j.protocol import Py4JError  # type: ignore[import-untyped]
    from pyspark.errors import PySparkException

    told: list[dict[str, object]] = []
    for target in targets:
        sink = target.sink
        frame = _without_lists(recommendations) if sink.format in _NO_LISTS else recommendations
        _redact_options(recommendations.sparkSession, sink.options)
        try:
            frame.write.format(sink.format).mode(sink.mode).options(**target.options).save(target.path)
        except (PySparkException, Py4JError) as error:
            raise InputError(
                f"{target.setting}: Spark cannot write {sink.format} to {target.path or sink.options.get('url', 'it')}: "
                f"{_first_line(error)}; mend format, path and options, or leave the sink out. "
                "The table recommendations is published"
            ) from None
        told.append(
            {"format": sink.format, "path": target.path, "table": target.options.get("dbtable"), "mode": sink.mode}
        )
    return told


def _without_lists(frame: "DataFrame") -> "DataFrame":
    from pyspark.sql import functions as F

    return frame.withColumns({name: F.concat_ws("|", name) for name in ("sources", "reasons")})


def _redact_options(spark: "SparkSession", options: Mapping[str, str]) -> None:
    """Have Spark's pages and event log show no option that was given by reference, whatever its name."""
    names = ["url", *(re.escape(name) for name, value in options.items() if is_reference(value))]
    spark.conf.set("spark.sql.redaction.options.regex", f"(?i){'|'.join(names)}")


def _first_line(error: Exception) -> str:
    """What Spark says, without secrets, which a driver may repeat."""
    return hide(str(error).strip().partition("\n")[0])[:300]
