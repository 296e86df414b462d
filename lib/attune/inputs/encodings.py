"""Text that is not in the encoding that an input declares, or not text at all."""

import re

from attune.config import Input
from attune.inputs.findings import Finding
from attune.inputs.heads import Head, encoding_of

_LETTER = rb"[\xc0-\xd6\xd8-\xf6\xf8-\xfd]"
_LATIN = re.compile(rb"(?<=[A-Za-z])" + _LETTER + rb"(?![\x80-\xbf])|" + _LETTER + rb"(?=[A-Za-z])")
"""An accented letter of Latin-1 or Windows-1252 beside a plain one, which UTF-8 never has."""


def check(name: str, source: Input, head: Head) -> list[Finding]:
    """Whether the beginning of a file is in another encoding. Errors name the file and the setting."""
    raw, declared = head.raw, encoding_of(source).lower().replace("_", "-")
    mend = f"convert it to UTF-8, or set inputs.{name}.options.encoding"
    if wide := _wide(raw):
        if declared.startswith(wide.lower()[:6]):
            return []
        return [Finding(f"{head.file.shown} is {wide}, not {declared.upper()}; convert it to UTF-8", True)]
    if declared.startswith("utf-16"):
        return [Finding(f"{head.file.shown} is not {declared.upper()}; mend inputs.{name}.options.encoding", True)]
    if head.file.codec is None and raw[:2] == b"\x1f\x8b":
        return [Finding(f"{head.file.shown} is gzip-compressed without saying so; name it {head.file.shown}.gz", True)]
    if declared not in ("utf-8", "utf8"):
        return []
    undecodable = [line for line in raw.split(b"\n")[:-1] or [raw] if not _is_utf8(line)]
    if not undecodable:
        return []
    several_bytes = sum(_is_utf8(line) and not line.isascii() for line in raw.split(b"\n")[:-1])
    latin = sum(_LATIN.search(line) is not None for line in undecodable)
    if latin > several_bytes and latin * 2 > len(undecodable):
        what = f"{head.file.shown} is not UTF-8: {latin} of its first lines have letters as in Latin-1"
        return [Finding(f"{what}; {mend}: windows-1252", True)]
    return [Finding(f"{head.file.shown}: {len(undecodable)} of its first lines are not UTF-8", False)]


def _wide(raw: bytes) -> str | None:
    """UTF-16 or UTF-32, told by its mark or by zeros in every other byte."""
    if raw[:4] in (b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff"):
        return "UTF-32"
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "UTF-16"
    start = raw[:4096]
    even, odd = start[::2].count(0), start[1::2].count(0)
    if len(start) >= 16 and max(even, odd) > len(start) * 0.2 and min(even, odd) < len(start) * 0.02:
        return "UTF-16"
    return None


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
