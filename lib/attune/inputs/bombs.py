"""Files that would fill memory or disk when they are read: absurdly compressed, or one endless line.

Good files are not decompressed for this. Compressed text is itself incompressible, and deflate at hundreds to one is
not, so a few pieces of the compressed bytes tell; with them count the size that gzip notes at its end (of the last
member, modulo 4 GiB) and how far the beginning expands. Only a file that one of these makes suspicious is decompressed,
piece by piece and never kept, until it is over the limits or has used up its time.

An endless line in a plain file is found exactly, by reading 64 KiB at every half of the longest line allowed; in a
compressed one only at its beginning, or where the file is suspicious.
"""

import struct
import time
import zlib
from typing import TYPE_CHECKING

from attune.config import Input
from attune.errors import InputError
from attune.inputs import heads
from attune.inputs.files import RawFile

if TYPE_CHECKING:
    import pyarrow as pa

MAX_BYTES = 1 << 30
"""What decompresses to less is never refused: it fits anywhere."""
_MAX_SECONDS = 3.0
_MAX_DEFLATE_RATIO = 1032
_WINDOW = 1 << 16
_PROBE_BYTES, _PROBES = 1 << 12, 16
_PIECE = 1 << 17
_SUSPICIOUS_SHARE = 4


def check(name: str, source: Input, file: RawFile) -> None:
    """Raise InputError for a text file that is a compression bomb or has a line over the limit."""
    max_line = int(source.max_line_mb * (1 << 20))
    multi_line = {key.lower(): value for key, value in source.options.items()}.get("multiline") == "true"
    if file.codec is None:
        if file.size > max_line and not multi_line:
            _check_lines(name, source, file, max_line)
    elif file.codec != "gz" or file.size * _MAX_DEFLATE_RATIO > min(MAX_BYTES, max_line):
        _check_compressed(name, source, file, None if multi_line else max_line)


def _check_lines(name: str, source: Input, file: RawFile, max_line: int) -> None:
    """A line over the limit covers at least one of the windows, so that has no end of a line."""
    with heads.open_file(file) as stream:
        for start in range(0, file.size, max_line // 2):
            stream.seek(start)
            if b"\n" in stream.read(_WINDOW):
                continue
            length = _line_around(stream, start, max_line)
            if length > max_line:
                raise _too_long(name, source, file)


def _line_around(stream: "pa.NativeFile", position: int, enough: int) -> int:
    """Length of the line at a position, or more than enough."""
    before = after = position
    while before > 0 and after - before <= enough:
        start = max(before - (1 << 20), 0)
        stream.seek(start)
        found = stream.read(before - start).rfind(b"\n")
        before = start if found < 0 else start + found + 1
        if found >= 0:
            break
    stream.seek(position)
    while after - before <= enough and (piece := stream.read(1 << 20)):
        found = piece.find(b"\n")
        after += len(piece) if found < 0 else found
        if found >= 0:
            break
    return after - before


def _check_compressed(name: str, source: Input, file: RawFile, max_line: int | None) -> None:
    small = file.codec == "gz" and file.size * _MAX_DEFLATE_RATIO <= MAX_BYTES
    suspicious = 0.0 if small else _share_compressible(file)
    ratio = source.max_compression_ratio
    noted = _noted_size(file) / file.size if file.codec == "gz" else 0.0
    out, since_newline, began = 0, 0, time.monotonic()
    try:
        for piece, consumed in heads.pieces(file, _PIECE):
            out += len(piece)
            newline = piece.rfind(b"\n")
            longest = since_newline + (piece.find(b"\n") if newline >= 0 else len(piece))
            since_newline = len(piece) - newline - 1 if newline >= 0 else since_newline + len(piece)
            if max_line is not None and longest > max_line:
                raise _too_long(name, source, file)
            told = out / max(consumed, 1)
            if suspicious < 0.1 and noted < ratio / 2 and told < ratio / 2 and newline >= 0:
                return
            late = time.monotonic() - began > _MAX_SECONDS
            enough = out > MAX_BYTES or late or (suspicious > 0.9 and out > MAX_BYTES // 4)
            if enough and told > ratio and file.size * told > MAX_BYTES:
                raise InputError(
                    f"input {name}: {file.shown} decompresses to more than {ratio:.0f} times its {file.size:,} bytes; "
                    f"if that is right, raise inputs.{name}.max_compression_ratio"
                )
            if late or out > 4 * MAX_BYTES:
                return
    except OSError:
        return  # broken data are told by Spark, with the file


def _share_compressible(file: RawFile) -> float:
    """Share of some pieces of the compressed bytes that could be compressed much further: 0 for a good file."""
    found = 0
    with heads.open_file(file) as stream:
        step = max((file.size - _PROBE_BYTES) // (_PROBES - 1), _PROBE_BYTES)
        starts = range(0, max(file.size - _PROBE_BYTES, 1), step)
        for start in starts:
            stream.seek(start)
            piece = stream.read(_PROBE_BYTES)
            found += len(zlib.compress(piece, 1)) * _SUSPICIOUS_SHARE < len(piece)
    return found / len(starts)


def _noted_size(file: RawFile) -> int:
    """Size that a gzip file notes at its end: of its last member, modulo 4 GiB."""
    with heads.open_file(file) as stream:
        stream.seek(file.size - 4)
        (noted,) = struct.unpack("<I", stream.read(4))
    return int(noted)


def _too_long(name: str, source: Input, file: RawFile) -> InputError:
    return InputError(
        f"input {name}: {file.shown} has a line of more than {source.max_line_mb:g} MB, which would have to fit in "
        f"memory at once; mend the file, or raise inputs.{name}.max_line_mb"
    )
