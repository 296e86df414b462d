"""What the footers of Parquet files declare: columns by type, rows and sizes; read on the driver."""

import functools
import struct
from collections.abc import Sequence

from attune.errors import InputError
from attune.inputs import heads
from attune.inputs.files import RawFile

MAX_FOOTERS = 64
_MAGIC = b"PAR1"
_ABSURD_ROWS = 1_000_000_000
_ABSURD_BYTES = 1 << 30
_MAX_FOOTER_BYTES = 256 << 20
_ROWS_PER_BYTE = 1000


@functools.lru_cache(maxsize=1024)
def columns_of(file: RawFile) -> tuple[tuple[str, str], ...]:
    """Names and types of the columns of a Parquet file; none where its footer cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with heads.open_file(file) as stream:
            return tuple((field.name, str(field.type)) for field in pq.read_schema(stream))
    except (pa.ArrowInvalid, OSError):
        return ()


def sampled_columns(files: Sequence[RawFile]) -> dict[RawFile, dict[str, str]]:
    """Columns by type of 64 files at most, the first, the last and others between."""
    chosen = heads.sample(files, MAX_FOOTERS)
    return {
        file: dict(columns)
        for file, columns in zip(chosen, heads.in_parallel(columns_of, chosen), strict=True)
        if columns
    }


def schemas_differ(files: Sequence[RawFile]) -> bool:
    """Whether some of the files have columns that others do not have; Spark would take the columns of one of them."""
    return len({frozenset(columns) for columns in sampled_columns(files).values()}) > 1


def check_footer(name: str, file: RawFile, max_ratio: float) -> None:
    """Raise InputError for a Parquet file that is cut short, or declares absurd sizes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    label = f"input {name}: {file.shown}"
    if file.size < 12:
        raise InputError(f"{label} is not a Parquet file, or is cut short: it has {file.size} bytes; fetch it again")
    with heads.open_file(file) as stream:
        begin = stream.read(4)
        stream.seek(file.size - 8)
        end = stream.read(8)
        if begin != _MAGIC or end[4:] != _MAGIC:
            raise InputError(f"{label} is not a Parquet file, or is cut short: it has no footer; fetch it again")
        (footer_bytes,) = struct.unpack("<I", end[:4])
        if footer_bytes + 12 > file.size or footer_bytes > _MAX_FOOTER_BYTES:
            raise InputError(f"{label} is not a readable Parquet file: its footer declares {footer_bytes:,} bytes")
        stream.seek(0)
        try:
            metadata = pq.read_metadata(stream)
        except (pa.ArrowInvalid, OSError) as error:
            told = str(error).splitlines()[0]
            raise InputError(f"{label} is not a readable Parquet file: {told}; fetch it again") from None
    groups = [metadata.row_group(n) for n in range(metadata.num_row_groups)]
    declared = sum(group.total_byte_size for group in groups)
    if declared > _ABSURD_BYTES and declared > max_ratio * file.size:
        raise InputError(
            f"{label} declares {declared:,} bytes of data in a file of {file.size:,}, more than "
            f"{max_ratio:.0f} to 1; if it is right, raise inputs.{name}.max_compression_ratio"
        )
    if metadata.num_rows > _ABSURD_ROWS and metadata.num_rows > _ROWS_PER_BYTE * file.size:
        raise InputError(f"{label} declares {metadata.num_rows:,} rows in a file of {file.size:,} bytes; leave it out")
