"""What Spark says of an input it cannot read, in one line that names the file and the mend."""

import re

from attune.config import Input
from attune.disk import is_full_disk
from attune.errors import AttuneError, InputError
from attune.inputs import heads
from attune.inputs.files import RawFile, locate, plain

_READ_FAILURES = {
    "unexpected end of (zlib )?input stream|premature eof": "is cut short: the compressed data end too early",
    "not in gzip format|incorrect header check|not a gzip|invalid (block|stored|code|distance|bit)|crc|corrupt gzip"
    "|unknown compression method": "is not a readable gzip file",
    "is not a parquet file|magic number|could not read footer|corrupt.*footer": "is not a Parquet file, or is cut short",
}


def explain_spark_error(
    error: BaseException, name: str | None = None, source: Input | None = None
) -> AttuneError | None:
    """Say in one line what Spark found wrong with an input; None where the error has another cause."""
    if is_full_disk(error):
        return None
    text = str(error)
    label = f"input {name}: " if name else ""
    if missing := re.search(r"PATH_NOT_FOUND\] Path does not exist: (\S+?)\.? ", text + " "):
        return InputError(f"{label}{plain(missing[1])} does not exist; mend inputs.{name or '*'}.path or inputs.root")
    if header := re.search(r"CSV header.*CSV file: (\S+)", text, re.DOTALL):
        drift = _header_drift(header[1], source) if source else "a header that is not as declared"
        return InputError(f"{label}{plain(header[1])} has {drift}; mend the file or inputs.{name or '*'}.schema")
    file = re.search(r"(?:reading file|file_path=|read file:?|file:)\s*[`'\"]?(\w+:/[^\s`'\"]+)", text)
    for pattern, what in _READ_FAILURES.items():
        if file and re.search(pattern, text, re.IGNORECASE):
            return InputError(f"{label}{plain(file[1].rstrip('.,'))} {what}")
    if cast := re.search(r"\[(CAST_INVALID_INPUT|CANNOT_PARSE_TIMESTAMP|DIVIDE_BY_ZERO|CAST_OVERFLOW)\S*\] (.*)", text):
        return InputError(
            f"{label}an expression of the settings fails on a value; use its try_ form: {_no_value(cast[2])}"
        )
    if file and re.search("FAILED_READ_FILE", text):
        return InputError(f"{label}{plain(file[1].rstrip('.,'))} cannot be read: {_cause(text)}")
    return None


def _header_drift(uri: str, source: Input) -> str:
    """How the header of a CSV file differs from the declared schema."""
    if locate(uri) is None:
        return "a header that is not as declared"
    head = heads.read_rows(RawFile(plain(uri), 0, ""), source)
    found = head.columns
    declared = [name for name, _ in heads.fields_of(source.schema_ or "")]
    drift = [f"no column {column}" for column in declared if column not in found]
    drift += [f"an undeclared column {column}" for column in found if column not in declared]
    return " and ".join(drift) or f"its columns in another order: {', '.join(found)}"


def _no_value(text: str) -> str:
    """The message without the value that it quotes: that may be personal."""
    return re.sub(r"The value '.*?' of the type", "A value of the type", text, flags=re.DOTALL)


def _cause(text: str) -> str:
    causes = re.findall(r"Caused by: (?:[\w.$]+: )?(.*)", text)
    return causes[-1] if causes else text.splitlines()[0]
