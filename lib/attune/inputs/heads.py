"""The beginnings of files, read on the driver: enough to tell what changed, whatever the size of the file."""

import csv
import functools
import io
import json
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from attune.config import Input
from attune.inputs.files import RawFile, locate

if TYPE_CHECKING:
    import pyarrow as pa

HEAD_BYTES, HEAD_ROWS = 1 << 20, 1000
MAX_HEADERS, MAX_SAMPLED = 1000, 10
_FIELD = re.compile(
    r"\s*(?:`((?:[^`]|``)+)`|([^\s:`]+))\s*:?\s+(.*?)(?:\s+NOT NULL|\s+COMMENT .*)*\s*$", re.IGNORECASE | re.DOTALL
)
_ARROW_CODECS = {"gz": "gzip", "bz2": "bz2", "zst": "zstd"}


@dataclass
class Head:
    """What the beginning of a text file holds."""

    file: RawFile
    raw: bytes
    columns: list[str] = field(default_factory=list)
    """Names in the header of a CSV file."""
    rows: list[dict[str, Any]] = field(default_factory=list)
    """First rows that can be parsed: values as text for CSV, as parsed for JSON."""


def sample(files: Sequence[RawFile], at_most: int = MAX_SAMPLED) -> list[RawFile]:
    """The first file, the last, and others evenly between; no empty ones."""
    filled = [file for file in files if file.size]
    if len(filled) <= at_most:
        return filled
    step = (len(filled) - 1) / (at_most - 1)
    return [filled[round(step * n)] for n in range(at_most)]


def in_parallel(function: Any, files: Sequence[RawFile]) -> list[Any]:
    """Call a function for each file, many at a time: a remote store answers slowly, but to many at once."""
    with ThreadPoolExecutor(min(16, max(len(files), 1))) as pool:
        return list(pool.map(function, files))


def open_file(file: RawFile) -> "pa.NativeFile":
    """The file as it lies there, for reading anywhere in it."""
    located = locate(file.path)
    assert located is not None, "only listed files are opened"
    return located[0].open_input_file(located[1])


def pieces(file: RawFile, size: int = 1 << 20) -> Iterator[tuple[bytes, int]]:
    """Decompressed pieces of a file, each with the number of its bytes read so far; none where the codec is unknown.

    Raises OSError where the compressed data are broken. Never holds more than a piece.
    """
    import pyarrow as pa

    with open_file(file) as stream:
        if file.codec is not None and file.codec not in _ARROW_CODECS:
            return
        reader = pa.CompressedInputStream(stream, _ARROW_CODECS[file.codec]) if file.codec else stream
        while piece := reader.read(size):
            yield piece, stream.tell()


def read_head(file: RawFile, limit: int = HEAD_BYTES) -> bytes:
    """First bytes of a file, decompressed; what can be read of them where the file is broken."""
    head = b""
    try:
        for piece, _ in pieces(file, min(limit, 1 << 16)):
            head += piece
            if len(head) >= limit:
                break
    except OSError:
        pass  # what is broken is told by check_files and by Spark; here only the beginning counts
    return head[:limit]


def encoding_of(source: Input) -> str:
    """Character encoding that an input's text is declared to have."""
    options = {key.lower(): value for key, value in source.options.items()}
    return options.get("encoding", options.get("charset", "utf-8"))


def separator_of(source: Input) -> str:
    """Delimiter of a CSV input as declared."""
    options = {key.lower(): value for key, value in source.options.items()}
    return options.get("sep", options.get("delimiter", ",")).replace(r"\t", "\t")


def has_header(source: Input) -> bool:
    """Whether the files of a CSV input begin with the names of their columns."""
    return {key.lower(): value for key, value in source.options.items()}.get("header", "true") == "true"


def split_csv(text: str, source: Input, separator: str | None = None) -> Iterator[list[str]]:
    """Fields of the lines of a CSV text."""
    options = {key.lower(): value for key, value in source.options.items()}
    separator = separator or separator_of(source)
    if len(separator) != 1:
        return iter([line.split(separator) for line in text.splitlines()])
    quote = options.get("quote", '"')
    escape = options.get("escape", '"')
    return csv.reader(
        io.StringIO(text),
        delimiter=separator,
        quotechar=quote or None,
        quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
        doublequote=escape == quote,
        escapechar=None if escape == quote else escape,
    )


def decode(raw: bytes, source: Input) -> str:
    """Text of a head, without a byte-order mark; undecodable bytes replaced."""
    encoding = encoding_of(source)
    try:
        return raw.decode("utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding, "replace")
    except LookupError:
        return raw.decode("utf-8-sig", "replace")


@functools.lru_cache(maxsize=4 * MAX_HEADERS)
def first_line(file: RawFile) -> bytes:
    return re.split(rb"\r?\n", read_head(file, 1 << 16), maxsplit=1)[0]


def csv_header(file: RawFile, source: Input) -> tuple[str, ...]:
    """Names in the header of a CSV file; none for an empty file."""
    line = decode(first_line(file), source)
    return tuple(next(split_csv(line, source), [])) if line else ()


def csv_headers(files: Sequence[RawFile], source: Input) -> dict[RawFile, tuple[str, ...]]:
    """Header of each file, of 1,000 files at most, the first, the last and others between."""
    chosen = sample(files, MAX_HEADERS)
    return dict(zip(chosen, in_parallel(lambda file: csv_header(file, source), chosen), strict=True))


def read_rows(file: RawFile, source: Input) -> Head:
    """Head of a CSV or JSON file, its rows parsed; those that cannot be are left out."""
    head = Head(file, read_head(file))
    text = decode(head.raw, source)
    cut = len(head.raw) >= HEAD_BYTES
    if source.format == "csv":
        _read_csv(head, text, source, cut)
    else:
        _read_json(head, text, source, cut)
    return head


def _read_csv(head: Head, text: str, source: Input, cut: bool) -> None:
    lines = split_csv(text, source)
    declared = [name for name, _ in fields_of(source.schema_ or "")]
    try:
        head.columns = next(lines, []) if has_header(source) else declared
        for fields in lines:
            if len(fields) == len(head.columns):
                head.rows.append(dict(zip(head.columns, fields, strict=True)))
            if len(head.rows) >= HEAD_ROWS:
                return
    except csv.Error:  # a quote that never closes: what precedes it will do
        return
    if cut and head.rows:
        head.rows.pop()


def _read_json(head: Head, text: str, source: Input, cut: bool) -> None:
    whole = source.options.get("multiLine", source.options.get("multiline", "false")) == "true"
    documents = [text] if whole else text.split("\n")[: -1 if cut else None]
    for document in documents:
        try:
            parsed = json.loads(document)
        except (ValueError, RecursionError):
            continue
        head.rows += [row for row in (parsed if isinstance(parsed, list) else [parsed]) if isinstance(row, dict)]
        if len(head.rows) >= HEAD_ROWS:
            return


def fields_of(ddl: str) -> list[tuple[str, str]]:
    """Names and types of a schema as SQL writes it; needs no Spark.

    >>> fields_of("user STRING, `odd name` DECIMAL(10, 2) NOT NULL, tags ARRAY<STRUCT<a: INT, b: INT>>")
    [('user', 'string'), ('odd name', 'decimal(10, 2)'), ('tags', 'array<struct<a: int, b: int>>')]
    """
    parts, depth, quoted = [""], 0, False
    for letter in ddl:
        quoted ^= letter == "`"
        depth += 0 if quoted else (letter in "<(") - (letter in ">)")
        if letter == "," and not depth and not quoted:
            parts.append("")
        else:
            parts[-1] += letter
    found = (_FIELD.match(part) for part in parts)
    return [((f[1] or f[2]).replace("``", "`"), f[3].lower()) for f in found if f is not None]
