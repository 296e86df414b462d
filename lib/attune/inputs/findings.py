"""One thing that changed in an input, and what the expressions of the settings refer to."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from attune.config import Input
from attune.inputs.files import RawFile


@dataclass(frozen=True)
class Finding:
    """A change, in words that name the file, the column and the mend; severe where it would lose data."""

    text: str
    severe: bool


def told_files(files: Sequence[RawFile]) -> str:
    """The last of some files by name, the others by number."""
    return files[-1].shown + (f" (and {len(files) - 1} more)" if len(files) > 1 else "")


def referred(expression: str, columns: Iterable[str]) -> list[str]:
    """Those of the source's columns that an expression refers to.

    >>> referred("if(type = 'user', `odd name`, lower(Type))", ["user", "type", "odd name", "item"])
    ['type', 'odd name']
    """
    code = re.sub(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", "''", expression)
    names = {quoted or bare for quoted, bare in re.findall(r"`([^`]+)`|(?<![\w.])([^\W\d]\w*)(?!\w*\()", code)}
    folded = {name.lower() for name in names}
    return [column for column in columns if column.lower() in folded]


def bare_column(expression: str) -> str | None:
    """Name of the column where an expression is nothing else, trimmed or folded at most."""
    found = re.fullmatch(r"(?:\s*(?:lower|upper|trim)\()*\s*(?:`([^`]+)`|([^\W\d]\w*))[\s)]*", expression)
    return (found[1] or found[2]) if found else None


def users_of(source: Input, column: str) -> list[str]:
    """Our columns whose expression refers to a column of the source."""
    return [ours for ours, text in source.columns.items() if referred(text, [column])]


def is_mapped(source: Input, column: str) -> bool:
    """Whether any expression or condition of the settings refers to a column of the source."""
    return any(referred(text, [column]) for text in (*source.columns.values(), *source.refuse.values()))


def settings_of(name: str, source: Input, column: str) -> str:
    """The settings to mend when a column of the source is another."""
    ours = [f"inputs.{name}.columns.{user}" for user in users_of(source, column)]
    return " and ".join([f"inputs.{name}.schema"] * (source.schema_ is not None) + ours[:2]) or f"inputs.{name}"
