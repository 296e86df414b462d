"""A file that would fill memory or disk is refused in seconds, before Spark sees it; a good one is not."""

import gzip
import json
import random
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attune.errors import InputError
from attune.inputs import check_files, footers
from inputs.declared import declare, rows

MAX_SECONDS, MAX_MEGABYTES = 5, 512
PARQUET: dict[str, Any] = {"format": "parquet", "schema": None}
CHECK = """
import json, resource, sys, time
from attune import config
from attune.inputs import check_files
settings = config.load([sys.argv[1]], as_of="2020-02-01")
before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
try:
    told = str(check_files(settings, "events", settings.inputs.events))
except ValueError as error:
    told = str(error)
used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"told": told, "seconds": time.monotonic() - began, "megabytes": used / 1024}))
"""


def _deflate(piece: bytes, times: int, first: bytes = b"") -> bytes:
    """One gzip stream of a piece over and over, made without compressing it each time."""
    header = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"

    def block(data: bytes) -> bytes:
        deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
        return deflater.compress(data) + deflater.flush(zlib.Z_FULL_FLUSH)

    size = (len(first) + len(piece) * times) % (1 << 32)
    return header + block(first) + block(piece) * times + b"\x03\x00" + bytes(4) + size.to_bytes(4, "little")


def _log_lines(num: int) -> bytes:
    """Lines of a log, as compressible as logs are."""
    chance = random.Random(num)
    lines = (row | {"id": f"{chance.getrandbits(64):x}"} for row in rows(num))
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


LINE = json.dumps(rows(1)[0]).encode() + b"\n"


def _same_line(file: Path) -> None:
    file.write_bytes(_deflate(LINE * 100_000, 200))


def _same_line_over_4_gib(file: Path) -> None:
    """The size at the end, modulo 4 GiB, is small."""
    piece = LINE * 100_000
    file.write_bytes(_deflate(piece, (1 << 32) // len(piece) + 2))


def _good_beginning(file: Path) -> None:
    file.write_bytes(_deflate(LINE * 100_000, 400, first=_log_lines(20_000)))


def _many_members(file: Path) -> None:
    file.write_bytes(gzip.compress(LINE * 100_000) * 200)


def _endless_line(file: Path) -> None:
    file.write_bytes(_deflate(bytes(1 << 24), 100))


@pytest.mark.parametrize(
    ("write", "told"),
    [
        (_same_line, "inputs.events.max_compression_ratio"),
        (_same_line_over_4_gib, "inputs.events.max_compression_ratio"),
        (_good_beginning, "inputs.events.max_compression_ratio"),
        (_many_members, "inputs.events.max_compression_ratio"),
        (_endless_line, "inputs.events.max_line_mb"),
    ],
)
def test_a_gzip_bomb_is_refused_in_time_and_memory(tmp_path: Path, write: Callable[[Path], None], told: str) -> None:
    folder = tmp_path / "events"
    folder.mkdir()
    write(folder / "bomb.json.gz")
    declare(folder)
    done = subprocess.run(
        [sys.executable, "-c", CHECK, str(tmp_path / "events.yaml")], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert "bomb.json.gz" in found["told"]
    assert told in found["told"]
    assert found["seconds"] < MAX_SECONDS
    assert found["megabytes"] < MAX_MEGABYTES


def test_repetitive_logs_are_no_bombs(tmp_path: Path) -> None:
    """What is small when decompressed, or compresses as logs do, is read."""
    folder = tmp_path / "events"
    folder.mkdir()
    (folder / "same.json.gz").write_bytes(_deflate(LINE * 100_000, 2))
    (folder / "log.json.gz").write_bytes(_deflate(_log_lines(20_000), 20))
    settings, source = declare(folder)
    assert check_files(settings, "events", source) == []


@pytest.mark.parametrize("before", [0, 3, 7, 11])
@pytest.mark.parametrize("after", [0, 5])
def test_an_endless_line_is_found_wherever_it_is(tmp_path: Path, before: int, after: int) -> None:
    """Spark holds a line in memory as a whole."""
    good = LINE * ((1 << 20) // len(LINE))
    file = tmp_path / "events" / "1.json"
    file.parent.mkdir()
    for megabytes, refused in ((4.1, True), (3.9, False)):
        file.write_bytes(good * before + b"x" * int(megabytes * (1 << 20)) + b"\n" + good * after)
        settings, source = declare(file.parent, max_line_mb=4)
        if refused:
            with pytest.raises(InputError, match=r"1\.json has a line of more than 4 MB"):
                check_files(settings, "events", source)
        else:
            assert check_files(settings, "events", source) == []


def test_a_parquet_file_that_declares_absurd_sizes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "events"
    folder.mkdir()
    zeros = pa.table({"price": pa.Array.from_buffers(pa.float64(), 1 << 23, [None, pa.py_buffer(bytes(1 << 26))])})
    options: dict[str, Any] = {"compression": "zstd", "use_dictionary": False}
    with pq.ParquetWriter(folder / "1.parquet", zeros.schema, **options) as writer:
        for _ in range(17):
            writer.write_table(zeros)
    settings, source = declare(folder, **PARQUET)
    with pytest.raises(InputError, match=r"1\.parquet declares .* more than 200 to 1; .*max_compression_ratio"):
        check_files(settings, "events", source)
    settings, source = declare(folder, **PARQUET, max_compression_ratio=1e9)
    assert check_files(settings, "events", source) == []
    monkeypatch.setattr(footers, "_ABSURD_ROWS", 1_000_000)
    monkeypatch.setattr(footers, "_ROWS_PER_BYTE", 100)
    with pytest.raises(InputError, match=r"1\.parquet declares [\d,]+ rows"):
        check_files(settings, "events", source)
