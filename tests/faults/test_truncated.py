"""A file that a broken copy cut short is never taken for a whole one, wherever it was cut."""

import gzip
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attune.config import Config, Input
from attune.errors import InputError
from attune.inputs import check_files, explain_spark_error, map_columns, read_raw
from inputs.declared import declare, rows, write_csv, write_json

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

KINDS: dict[str, dict[str, Any]] = {
    "json": {},
    "csv": {"format": "csv"},
    "json.gz": {},
    "csv.gz": {"format": "csv"},
    "parquet": {"format": "parquet", "schema": None},
}


def _write(file: Path) -> bytes:
    if file.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows(200)), file)
    else:
        (write_csv if ".csv" in file.name else write_json)(file, rows(200))
    return file.read_bytes()


def _offsets(whole: bytes) -> list[int]:
    """Fifty places to cut: the ends, where formats keep what tells them whole, and evenly between."""
    ends = {0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 19, 20, *(len(whole) - n for n in range(1, 13))}
    even = (len(whole) * n // 27 for n in range(1, 26))
    return sorted(ends | set(even))[:50]


def _refusal(spark: "SparkSession", settings: Config, source: Input) -> str | None:
    """Why an input is refused: by the look at its files, or by Spark where that finds nothing in compressed ones."""
    from py4j.protocol import Py4JJavaError
    from pyspark.errors import PySparkException

    try:
        check_files(settings, "events", source)
        if any(file.name.endswith(".gz") for file in Path(str(source.path)).iterdir()):
            map_columns(read_raw(spark, settings, "events", source), "events", source).collect()
    except InputError as error:
        return str(error)
    except (Py4JJavaError, PySparkException) as error:
        return str(explain_spark_error(error, "events", source) or error)
    return None


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_file_is_refused_by_name(spark: "SparkSession", tmp_path: Path, kind: str) -> None:
    """A day that is half there looks like a bad day of the shop."""
    folder = tmp_path / "events"
    folder.mkdir()
    whole = _write(folder / f"1.{kind}")
    cut = folder / f"cut.{kind}"
    settings, source = declare(folder, **KINDS[kind])
    offsets = _offsets(whole)
    assert len(offsets) == 50
    silent = []
    for offset in offsets:
        cut.write_bytes(whole[:offset])
        told = _refusal(spark, settings, source)
        if told is None:
            silent.append(offset)
            continue
        assert str(cut) in told
        assert "cut short" in told or (kind == "parquet" and "not a readable Parquet file" in told)
        assert "\n" not in told
    if kind in ("json", "csv"):
        # Only an empty file, a cut exactly after a line, and a last object that lacks nothing but the end of its line.
        lines = {n + 1 for n, byte in enumerate(whole) if byte == 10}
        assert set(silent) <= {0} | lines | ({n - 1 for n in lines} if kind == "json" else set())
    else:
        assert silent == []


def test_a_file_written_without_a_last_line_end_can_be_allowed(tmp_path: Path) -> None:
    folder = tmp_path / "events"
    file = write_csv(folder / "1.csv", rows(3))
    file.write_bytes(file.read_bytes()[:-1])
    settings, source = declare(folder, format="csv")
    with pytest.raises(InputError, match=r"1\.csv is cut short: .*or set inputs\.events\.allow_unterminated"):
        check_files(settings, "events", source)
    settings, source = declare(folder, format="csv", allow_unterminated=True)
    assert check_files(settings, "events", source) == []


def test_last_lines_longer_than_what_is_read_at_first(tmp_path: Path) -> None:
    folder = tmp_path / "events"
    file = write_json(folder / "1.json", [*rows(2), rows(1, id="x" * 200_000)[0]])
    whole = file.read_bytes()
    settings, source = declare(folder)
    file.write_bytes(whole[:-1])
    assert check_files(settings, "events", source) == []
    file.write_bytes(whole[:-2])
    with pytest.raises(InputError, match="cut short: its last line is not whole JSON"):
        check_files(settings, "events", source)


def test_files_that_are_not_of_their_format_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "events"
    write_json(folder / "1.json", rows(2))
    (folder / "2.json.gz").write_bytes(b"this is not gzip at all, whatever its name says")
    settings, source = declare(folder)
    with pytest.raises(InputError, match=r"2\.json\.gz is not a readable gzip file"):
        check_files(settings, "events", source)
    (folder / "2.json.gz").write_bytes(gzip.compress(b"\n"))
    assert check_files(settings, "events", source) == []
    settings, source = declare(folder, path=str(folder / "1.json"), format="parquet", schema=None)
    with pytest.raises(InputError, match=r"1\.json is not a Parquet file, or is cut short"):
        check_files(settings, "events", source)
