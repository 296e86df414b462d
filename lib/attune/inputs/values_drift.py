"""Values that cannot be what a column is declared to hold: another type, other dates, unknown kinds of events."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from attune.config import Input
from attune.inputs import heads, timestamps
from attune.inputs.files import RawFile
from attune.inputs.findings import Finding, bare_column, told_files, users_of
from attune.inputs.heads import Head
from attune.inputs.names import types_of
from attune.schemas import EVENT_TYPES

_ENOUGH = 5
"""Values that a file must have before it is refused because none of them can be read; fewer may be a chance."""
_TIMES = {"events": "event_ts", "reviews": "review_ts"}
_INTEGER, _WORD = re.compile(r"\s*[+-]?\d+\s*"), re.compile(r"[a-z][a-z_-]{0,23}")


def check(name: str, source: Input, sampled: Sequence[Head]) -> list[Finding]:
    """Findings on the sampled rows of CSV or JSON files."""
    findings = _retyped(name, source, sampled)
    if name in _TIMES and _TIMES[name] in source.columns:
        findings += _other_times(name, source, sampled, _TIMES[name])
    if name == "events" and "event_type" in source.columns:
        findings += _new_kinds(name, source, sampled)
    return findings


def values_of(head: Head, column: str) -> list[Any]:
    """Values of a column in the sampled rows, nulls and blanks left out."""
    return [v for row in head.rows if (v := row.get(column)) is not None and str(v).strip()]


def _retyped(name: str, source: Input, sampled: Sequence[Head]) -> list[Finding]:
    """Columns of a file none of whose values has the declared type, or that of the column they become."""
    findings = []
    targets = types_of(name)
    for column, declared in heads.fields_of(source.schema_ or ""):
        becomes = [targets[ours] for ours in users_of(source, column) if bare_column(source.columns[ours]) == column]
        kind = declared if declared != "string" else next((t for t in becomes if t in _PARSERS), "string")
        parse = _json_parser(kind) if source.format == "json" and declared != "string" else _PARSERS.get(kind)
        if parse is None:
            continue
        for head in sampled:
            values = values_of(head, column)
            if len(values) >= _ENOUGH and not any(parse(value) for value in values):
                findings.append(Finding(
                    f"{head.file.shown} has no {kind} in {column}, in none of {len(values):,} rows looked at; "
                    f"mend the file, or inputs.{name}.schema and the expressions over {column}",
                    declared != "string" or bool(becomes),
                ))  # fmt: skip
    return findings


def _other_times(name: str, source: Input, sampled: Sequence[Head], ours: str) -> list[Finding]:
    """Files none of whose dates, or not all, have the form that the expression reads."""
    known = timestamps.reader_of(source.columns[ours])
    if known is None:
        return []
    column, reads = known
    setting = f"inputs.{name}.columns.{ours}"
    some: list[RawFile] = []
    few, total, form = 0, 0, ""
    findings = []
    for head in sampled:
        texts = [str(value) for value in values_of(head, column)]
        unread = [text for text in texts if not reads(text)]
        total += len(texts)
        if not unread:
            continue
        form = timestamps.shape(unread[0])
        if len(unread) < len(texts) or len(texts) < _ENOUGH:
            some.append(head.file)
            few += len(unread)
            continue
        better = timestamps.suggest(column, unread)
        hint = f", such as {better}" if better else ""
        findings.append(Finding(
            f"{head.file.shown} has dates like {form} in {column}, which {source.columns[ours]} does not read; "
            f"mend {setting}{hint}", True,
        ))  # fmt: skip
    if some:
        told = f"{told_files(some)}: {few:,} of {total:,} dates in {column} are not read by {setting}, such as {form}"
        findings.append(Finding(told, False))
    return findings


def _new_kinds(name: str, source: Input, sampled: Sequence[Head]) -> list[Finding]:
    """Kinds of events that are none of ours; rows of such a kind go to quarantine."""
    column = bare_column(source.columns["event_type"])
    if column is None:
        return []
    unknown: list[str] = []
    having: list[RawFile] = []
    total, none = 0, False
    for head in sampled:
        values = [str(value).strip().lower() for value in values_of(head, column)]
        new = [value for value in values if value not in EVENT_TYPES]
        unknown, total = unknown + new, total + len(values)
        if new:
            having.append(head.file)
        none = none or len(new) == len(values) >= _ENOUGH
    if not unknown:
        return []
    # Only words are told: what stands in the wrong column may be personal.
    words = sorted({value for value in unknown if _WORD.fullmatch(value)})
    told = f" ({', '.join(words[:5])})" if 0 < len(words) <= 20 else ""
    return [Finding(
        f"{told_files(having)}: {len(unknown):,} of {total:,} events are of a new kind{told} in {column}; "
        f"map them in inputs.{name}.columns.event_type to one of {', '.join(EVENT_TYPES)}", none,
    )]  # fmt: skip


def _is_double(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _is_integer(value: Any) -> bool:
    return _INTEGER.fullmatch(str(value)) is not None


_PARSERS: dict[str, Callable[[Any], bool]] = {
    "double": _is_double,
    "float": _is_double,
    "int": _is_integer,
    "integer": _is_integer,
    "bigint": _is_integer,
    "long": _is_integer,
    "boolean": lambda value: str(value).strip().lower() in ("true", "false", "t", "f", "yes", "no", "y", "n", "1", "0"),
}


def _json_parser(kind: str) -> Callable[[Any], bool] | None:
    """JSON says itself what is a number; Spark takes no text for one."""
    if kind == "boolean":
        return lambda value: isinstance(value, bool)
    if kind in ("int", "integer", "bigint", "long"):
        return lambda value: isinstance(value, int) and not isinstance(value, bool)
    if kind in ("double", "float"):
        return lambda value: isinstance(value, int | float) and not isinstance(value, bool)
    return None
