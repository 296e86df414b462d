"""Where recommendations go besides their table: JSON lines, a database, a key-value store; whatever Spark writes."""

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from attune.config import Sink
from attune.errors import InputError
from attune.secrets import REFERENCE, read_secret

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_NO_LISTS = ("jdbc", "csv")
"""Formats without lists: sources and reasons are written with | between them."""


@dataclass(frozen=True)
class Target:
    """A sink with its secrets and the date filled in."""

    setting: str
    sink: Sink
    path: str | None
    options: Mapping[str, str]
    secrets: tuple[str, ...]  # among the values of the options


def find_targets(sinks: Sequence[Sink], as_of: dt.date) -> list[Target]:
    """Sinks ready to be written to; ``{as_of}`` in a path or an option stands for the date.

    To be called before anything is published: raises SettingsError for a secret that is not there.
    """
    targets = []
    for number, sink in enumerate(sinks):
        setting = f"recommend.sinks.{number}"
        secrets = {
            name: read_secret(value, f"{setting}.options.{name}")
            for name, value in sink.options.items()
            if re.match(REFERENCE, value)
        }
        options = {name: value.replace("{as_of}", as_of.isoformat()) for name, value in sink.options.items()} | secrets
        path = sink.path and sink.path.replace("{as_of}", as_of.isoformat())
        targets.append(Target(setting, sink, path, options, tuple(secrets.values())))
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
        try:
            frame.write.format(sink.format).mode(sink.mode).options(**target.options).save(target.path)
        except (PySparkException, Py4JError) as error:
            raise InputError(
                f"{target.setting}: Spark cannot write {sink.format} to {target.path or sink.options.get('url', 'it')}: "
                f"{_first_line(error, target.secrets)}; mend format, path and options, or leave the sink out. "
                "The table recommendations is published"
            ) from None
        told.append(
            {"format": sink.format, "path": target.path, "table": target.options.get("dbtable"), "mode": sink.mode}
        )
    return told


def _without_lists(frame: "DataFrame") -> "DataFrame":
    from pyspark.sql import functions as F

    return frame.withColumns({name: F.concat_ws("|", name) for name in ("sources", "reasons")})


def _first_line(error: Exception, secrets: Sequence[str]) -> str:
    """What Spark says, without secrets, which a driver may repeat."""
    line = str(error).strip().partition("\n")[0]
    for secret in secrets:
        line = line.replace(secret, "...")
    return line[:300]
