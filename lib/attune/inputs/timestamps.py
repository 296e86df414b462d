"""Whether texts have the form that an expression of the settings reads as a timestamp; a plain check without Spark."""

import re
from collections.abc import Callable, Iterable, Sequence

_ZONE = r"(?:Z|[A-Z]{2,5}|[+-]\d{2}(?::?\d{2})?|(?:GMT|UTC)[+-]\d{1,2}(?::?\d{2})?|[A-Za-z]+/[A-Za-z_/]+)"
_ISO = re.compile(
    rf"\s*[+-]?\d{{4,6}}(?:-\d{{1,2}}(?:-\d{{1,2}}(?:[ T]\d{{1,2}}:\d{{1,2}}(?::\d{{1,2}}(?:\.\d*)?)?\s*{_ZONE}?)?)?)?\s*"
)
"""What Spark's cast reads."""
_PIECES = {
    "yyyy": r"\d{4}", "yy": r"\d{2}", "y": r"\d{1,4}", "uuuu": r"\d{4}", "MM": r"\d{2}", "M": r"\d{1,2}",
    "MMM": "[^\\W\\d]{3,4}\\.?", "MMMM": r"[^\W\d]+", "dd": r"\d{2}", "d": r"\d{1,2}", "HH": r"\d{2}", "H": r"\d{1,2}",
    "hh": r"\d{2}", "h": r"\d{1,2}", "mm": r"\d{2}", "m": r"\d{1,2}", "ss": r"\d{2}", "s": r"\d{1,2}",
    "a": "[AaPp]\\.?[Mm]\\.?", "E": r"[^\W\d]+\.?", "EEE": r"[^\W\d]+\.?", "EEEE": r"[^\W\d]+",
}  # fmt: skip
"""Regular expressions of the letters of Java's DateTimeFormatter."""
_KNOWN = (
    "yyyy/MM/dd HH:mm:ss", "yyyy/MM/dd HH:mm", "dd/MM/yyyy HH:mm:ss", "dd/MM/yyyy HH:mm", "M/d/yyyy H:mm:ss", "M/d/yyyy H:mm",
    "dd.MM.yyyy HH:mm:ss", "dd.MM.yyyy HH:mm", "dd-MM-yyyy HH:mm:ss", "dd-MM-yyyy HH:mm", "dd/MM/yyyy", "dd.MM.yyyy",
    "yyyyMMddHHmmss", "yyyyMMdd", "dd/MMM/yyyy:HH:mm:ss Z", "dd MMM yyyy HH:mm:ss",
)  # fmt: skip
_SECONDS = (5e8, 5e9)  # 1985 to 2128
_UNITS = {"seconds": 1.0, "millis": 1e3, "micros": 1e6}
_COLUMN = r"\s*`?((?<=`)[^`]+|\w+)`?\s*"

Reads = Callable[[str], bool]


def reader_of(expression: str) -> tuple[str, Reads] | None:
    """The column that an expression makes a timestamp of, and whether it reads a text; None for any other expression.

    >>> column, reads = reader_of("coalesce(try_to_timestamp(ts), try_to_timestamp(ts, 'd.M.yyyy H:mm'))")
    >>> column, reads("2026-03-01T10:00:00Z"), reads("1.3.2026 9:30"), reads("3/1/26")
    ('ts', True, True, False)
    """
    if bare := re.fullmatch(_COLUMN, expression):
        return bare[1], lambda text: _ISO.fullmatch(text) is not None
    call = re.compile(
        rf"(?:try_)?to_timestamp\({_COLUMN}(?:,\s*(?:'((?:[^'\\]|\\.|'')*)'|\"([^\"]*)\")\s*)?\)"
        rf"|(?:try_)?cast\({_COLUMN}\s+as\s+timestamp\s*\)|timestamp_(seconds|millis|micros)\({_COLUMN}\)",
        re.IGNORECASE,
    )
    if re.sub(r"coalesce|[\s(),]", "", call.sub("", expression), flags=re.IGNORECASE):
        return None
    readers, columns = [], set()
    for found in call.finditer(expression):
        reader = _of_call(found[2] or found[3], found[5])
        if reader is None:
            return None
        readers.append(reader)
        columns.add(found[1] or found[4] or found[6])
    if len(columns) != 1:
        return None
    return columns.pop(), lambda text: any(reads(text) for reads in readers)


def _of_call(pattern: str | None, unit: str | None) -> Reads | None:
    if unit is not None:
        return lambda text: _is_epoch(text, _UNITS[unit.lower()])
    if pattern is None:
        return lambda text: _ISO.fullmatch(text) is not None
    compiled = _compile(pattern.replace("\\'", "'").replace("''", "'"))
    return None if compiled is None else lambda text: compiled.fullmatch(text) is not None


def _is_epoch(text: str, units_per_second: float) -> bool:
    try:
        return _SECONDS[0] <= float(text) / units_per_second <= _SECONDS[1]
    except ValueError:
        return False


def _compile(pattern: str) -> re.Pattern | None:
    """Regular expression of a pattern of Java's DateTimeFormatter; None where it has letters that are not known here."""
    built = ""
    for token in re.finditer(r"'[^']*'|([A-Za-z])\1*|\[|\]|[^A-Za-z'\[\]]", pattern):
        text = token[0]
        if text.startswith("'"):
            built += re.escape(text.strip("'"))
        elif text in "[]":
            built += "(?:" if text == "[" else ")?"
        elif text[0] == "S":
            built += rf"\d{{{len(text)}}}"
        elif text[0] in "XxZzVO":
            built += _ZONE
        elif text[0].isalpha():
            if text not in _PIECES:
                return None
            built += _PIECES[text]
        else:
            built += re.escape(text)
    return re.compile(built)


def shape(text: str) -> str:
    """Form of a text without its content: digits as 9, letters as a.

    >>> shape("1.3.2026 9:30 pm")
    '9.9.9999 9:99 aa'
    """
    return re.sub(r"[^\W\d_]", "a", re.sub(r"\d", "9", text.strip()))[:40]


def suggest(column: str, texts: Sequence[str]) -> str | None:
    """An expression that reads all of the texts."""
    found = (f"try_to_timestamp({column}, '{pattern}')" for pattern in _KNOWN if _reads_all(pattern, texts))
    epoch = (f"timestamp_{unit}({column})" for unit in _UNITS if all(_is_epoch(t, _UNITS[unit]) for t in texts))
    iso = (f"try_to_timestamp({column})" for _ in (1,) if all(_ISO.fullmatch(text) for text in texts))
    return next((s for source in (epoch, iso, found) for s in source), None)


def _reads_all(pattern: str, texts: Iterable[str]) -> bool:
    compiled = _compile(pattern)
    return compiled is not None and all(compiled.fullmatch(text) and _plausible(pattern, text) for text in texts)


def _plausible(pattern: str, text: str) -> bool:
    """Whether months are at most 12, so that 31/01 is not taken for month first."""
    order = [letter for letter in re.sub(r"'[^']*'", "", pattern) if letter in "dM"]
    if "MMM" in pattern or not order or "yyyyMMdd" in pattern:
        return True
    numbers = [int(n) for n in re.findall(r"\d+", text)]
    position = 1 if pattern.startswith("yyyy") else ([*dict.fromkeys(order)].index("M"))
    return numbers[position] <= 12
