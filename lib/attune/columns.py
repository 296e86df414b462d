"""Tables of text for the terminal."""

from collections.abc import Iterable, Sequence
from unicodedata import east_asian_width


def aligned(rows: Iterable[Sequence[object]], indent: int = 2) -> str:
    """Rows in columns as wide as their widest cell; numbers to the right, with thousands separators.

    >>> print(aligned([("events", 98234), ("items", 940)]))
      events  98,234
      items      940
    """
    table = [list(row) for row in rows]
    cells = [[_text(cell) for cell in row] for row in table]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row, texts in zip(table, cells, strict=True):
        padded = (_pad(text, width, _is_number(cell)) for cell, text, width in zip(row, texts, widths, strict=True))
        lines.append((" " * indent + "  ".join(padded)).rstrip())
    return "\n".join(lines)


def _is_number(cell: object) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool)


def _text(cell: object) -> str:
    return f"{cell:,}" if _is_number(cell) else str(cell)


def _pad(text: str, width: int, right: bool) -> str:
    space = " " * (width - _width(text))
    return space + text if right else text + space


def _width(text: str) -> int:
    return sum(2 if east_asian_width(c) in "WF" else 1 for c in text)
