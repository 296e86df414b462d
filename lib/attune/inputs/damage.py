"""Files that are cut short or would burst, told before Spark reads them: from a few kilobytes of each, on the driver.

A copy that broke off leaves a file that reads well up to its end. What Spark notices by itself (gzip, Parquet) is told
here sooner; what it does not notice is the last line of a CSV or JSON file, so that must end as lines do. A cut exactly
at the end of a line, in a plain file or before it was compressed, cannot be seen; the volume checks of ``quality`` may.
"""

import json
from collections.abc import Callable

from attune.config import Config, Input
from attune.errors import InputError
from attune.inputs import bombs, footers, heads
from attune.inputs.files import RawFile, list_files

_TAIL_BYTES = 1 << 16
_MAX_TAIL_BYTES = 16 << 20


def check_files(settings: Config, name: str, source: Input) -> list[str]:
    """Look at the ends and sizes of an input's files; returns notes.

    Raises InputError that names the first file that is cut short, is not of its format, or holds far more than it
    should: over ``max_compression_ratio`` times its size, or a line over ``max_line_mb``.
    """
    files = list_files(settings, name, source)
    if files is None:
        return [] if source.table else [f"{name}: only Spark can list the files, so their ends were not looked at"]
    check: Callable[[RawFile], None]
    if source.format in ("parquet", "delta"):
        ratio = source.max_compression_ratio

        def check(file: RawFile) -> None:
            footers.check_footer(name, file, ratio)
    else:

        def check(file: RawFile) -> None:
            _check_text(name, source, file)

    heads.in_parallel(check, files)
    empty = [file for file in files if not file.size]
    return [f"{empty[-1].shown} is empty" + (f" (and {len(empty) - 1} more)" if empty[1:] else "")] if empty else []


def _check_text(name: str, source: Input, file: RawFile) -> None:
    label = f"input {name}: {file.shown}"
    if file.codec == "gz":
        if not file.size:
            # Spark takes it for a file without rows; gzip itself writes at least 20 bytes.
            raise InputError(f"{label} is cut short: it has no bytes; fetch it again")
        with heads.open_file(file) as stream:
            begin = stream.read(3)
        if not b"\x1f\x8b\x08".startswith(begin):
            raise InputError(f"{label} is not a readable gzip file; fetch it again")
        if file.size < 20:
            raise InputError(f"{label} is cut short: the compressed data end too early; fetch it again")
    elif file.size and file.codec is None and not source.allow_unterminated:
        _check_end(label, name, source, file)
    bombs.check(name, source, file)


def _check_end(label: str, name: str, source: Input, file: RawFile) -> None:
    """Raise InputError where the last line of a file is not whole."""
    options = {key.lower(): value for key, value in source.options.items()}
    encoding = heads.encoding_of(source)
    ends = tuple(end.encode(_single(encoding)) for end in ([options["linesep"]] if "linesep" in options else "\n\r"))
    tail = _tail(file, _TAIL_BYTES)
    if tail.endswith(ends):
        return
    if source.format == "json":
        for size in (_TAIL_BYTES, _MAX_TAIL_BYTES):
            tail = _tail(file, size)
            start = (
                max(tail.rfind(end) + len(end) for end in ends if end in tail) if any(e in tail for e in ends) else 0
            )
            if start or size >= file.size:
                break
        if _is_whole(tail[start:], encoding, options.get("multiline") == "true"):
            return
        why = "its last line is not whole JSON"
    else:
        why = "its last line has no end, so its last value may be cut"
    raise InputError(
        f"{label} is cut short: {why}; fetch it again, or set inputs.{name}.allow_unterminated if it is written so"
    )


def _tail(file: RawFile, size: int) -> bytes:
    with heads.open_file(file) as stream:
        stream.seek(max(file.size - size, 0))
        return bytes(stream.read(size))


def _is_whole(line: bytes, encoding: str, document: bool) -> bool:
    text = line.decode(encoding, "replace").strip()
    if document:  # one value over many lines; Spark refuses it as a whole if it is not
        return text.endswith(("}", "]"))
    try:
        json.loads(text or "null")
    except (ValueError, RecursionError):
        return False
    return True


def _single(encoding: str) -> str:
    """The encoding without a byte-order mark, for a single character."""
    folded = encoding.lower()
    return f"{folded}-le" if folded in ("utf-16", "utf-32") else "utf-8" if folded == "utf-8-sig" else encoding
