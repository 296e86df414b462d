"""Which files are read: those of the data interval, found wherever they lie, and no others."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from hypothesis import given
from hypothesis import strategies as st

from attune.config import Config
from attune.errors import InputError, SettingsError
from attune.inputs import list_files
from attune.inputs.files import day_of, told_days
from inputs.declared import declare, rows, write_json

LAYOUTS = ["ds={}/part-0.json", "date={}/part-0.json", "{}.json", "events-{}.json.gz", "{}/a.json"]


@given(st.dates(), st.sampled_from(LAYOUTS), st.booleans())
def test_the_day_of_a_path_is_read_back(day: dt.date, layout: str, slashes: bool) -> None:
    told = day.isoformat().replace("-", "/" if slashes and "=" not in layout and "events-" not in layout else "-")
    assert day_of(f"/raw/2001-01-01/{layout.format(told)}") == day


@pytest.mark.parametrize(
    ("path", "day"),
    [
        ("s3://b/year=2020/month=1/day=5/x.parquet", dt.date(2020, 1, 5)),
        ("/raw/2020/01/05/13/x.json", dt.date(2020, 1, 5)),
        ("/raw/ds=2020-01-05/ds=2020-01-06/x.json", dt.date(2020, 1, 6)),
        ("/raw/12020-01-05/x.json", None),
        ("/raw/2020-01-051/x.json", None),
        ("/raw/2020-13-05.json", None),
        ("/raw/part-00000-f81d4fae-7dec-11d0-a765-00a0c91e6bf6.json", None),
        ("", None),
    ],
)
def test_odd_paths(path: str, day: dt.date | None) -> None:
    assert day_of(path) == day


def _names(settings: Config, folder: Path, source: Any) -> list[str]:
    files = list_files(settings, "events", source)
    assert files is not None
    return [file.path.removeprefix(f"{folder}/") for file in files]


def test_dated_files_outside_the_interval_are_left_out(tmp_path: Path) -> None:
    """A run for three days must not read three years."""
    folder = tmp_path / "events"
    for name in ("2020/01/30/a.json", "ds=2020-01-31/a.json", "2020-02-01.json", "late/undated.json"):
        write_json(folder / name, rows(1))
    for name in ("_SUCCESS", ".hidden.json", "_delta_log/0.json", "ds=2020-01-31/.part.crc"):
        write_json(folder / name, rows(1))
    undated = "late/undated.json"
    assert _names(declare(folder)[0], folder, declare(folder)[1]) == [
        "2020/01/30/a.json",
        "ds=2020-01-31/a.json",
        undated,
    ]
    settings, source = declare(folder, since="2020-01-31")
    assert _names(settings, folder, source) == ["ds=2020-01-31/a.json", undated]
    settings, source = declare(folder, as_of="2020-02-02", since="2020-02-01")
    assert _names(settings, folder, source) == ["2020-02-01.json", undated]


def test_an_interval_without_files_is_refused_with_the_days_that_exist(tmp_path: Path) -> None:
    folder = tmp_path / "events"
    for day in ("2020-03-01", "2020-03-02", "2020-03-05"):
        write_json(folder / f"ds={day}" / "a.json", rows(1))
    settings, source = declare(folder, since="2020-01-01")
    with pytest.raises(InputError, match="2020-03-01 to 2020-03-02, 2020-03-05; mend since or as_of"):
        list_files(settings, "events", source)
    settings, source = declare(tmp_path / "evnts")
    with pytest.raises(
        InputError, match=r"input events: .*/evnts does not exist; mend inputs.events.path or inputs.root"
    ):
        list_files(settings, "events", source)


@pytest.mark.parametrize(
    ("glob", "found"),
    [
        ("*.json", ["a.json", "b[1].json"]),
        ("sub", ["sub/c.json", "sub/deep/d.json"]),
        ("s*/*.json", ["sub/c.json"]),
        ("{a,sub/c}.json", ["a.json", "sub/c.json"]),
        ("su?", ["sub/c.json", "sub/deep/d.json"]),
        ("[ab]*.json", ["a.json", "b[1].json"]),
    ],
)
def test_globs_find_what_spark_would(tmp_path: Path, glob: str, found: list[str]) -> None:
    folder = tmp_path / "events"
    for name in ("a.json", "b[1].json", "readme.txt", "sub/c.json", "sub/deep/d.json"):
        write_json(folder / name, rows(1))
    settings, source = declare(folder, path=f"{folder}/{glob}")
    assert _names(settings, folder, source) == found
    settings, source = declare(folder, path=f"{folder}/*.csv")
    with pytest.raises(InputError, match="does not exist"):
        list_files(settings, "events", source)


def test_what_only_spark_can_reach_is_left_to_it(tmp_path: Path) -> None:
    settings, source = declare(tmp_path, path="abfss://logs@shop.dfs.core.windows.net/events")
    assert list_files(settings, "events", source) is None


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["deletionVectors"],
                          "writerFeatures": ["deletionVectors"]}},
            "deletion vectors",
        ),
        ({"protocol": {"minReaderVersion": 2, "minWriterVersion": 5}}, "column mapping"),
    ],
)  # fmt: skip
def test_a_delta_table_whose_files_do_not_tell_all_is_refused(
    tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    """Read as plain Parquet its deleted rows would come back, or its columns have other names."""
    folder = tmp_path / "events"
    write_deltalake(str(folder), pa.Table.from_pylist(rows(2)))
    settings, source = declare(folder, format="delta", schema=None)
    assert len(list_files(settings, "events", source) or []) == 1
    log = folder / "_delta_log"
    actions = [json.loads(line) for line in (log / f"{0:020d}.json").read_text().splitlines()]
    metadata = next(action["metaData"] for action in actions if "metaData" in action)
    metadata["configuration"] = {"delta.columnMapping.mode": "name"} if "mapping" in told else {}
    schema = json.loads(metadata["schemaString"])
    for n, field in enumerate(schema["fields"] if "mapping" in told else ()):
        field["metadata"] = {"delta.columnMapping.id": n, "delta.columnMapping.physicalName": field["name"]}
    metadata["schemaString"] = json.dumps(schema)
    (log / f"{1:020d}.json").write_text("".join(json.dumps(a) + "\n" for a in (change, {"metaData": metadata})))
    with pytest.raises(InputError, match=rf"input events: the Delta table {folder} uses {told}, which only Spark"):
        list_files(settings, "events", source)


@given(st.sets(st.dates(dt.date(2020, 1, 1), dt.date(2020, 3, 1)), min_size=1, max_size=6))
def test_days_told_are_those_that_exist(days: set[dt.date]) -> None:
    told: set[dt.date] = set()
    for stretch in told_days(days).split(", "):
        first, _, last = stretch.partition(" to ")
        begin, end = dt.date.fromisoformat(first), dt.date.fromisoformat(last or first)
        told |= {begin + dt.timedelta(days=n) for n in range((end - begin).days + 1)}
    assert told == days


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (
            {"time_zone": "Europe/Berln"},
            "inputs.events.time_zone: not an IANA time zone; did you mean 'Europe/Berlin'?",
        ),
        ({"options": {"mode": "DROPMALFORMED"}}, "inputs.events.options: mode is not for the settings"),
        ({"options": {"ignoreCorruptFiles": True}}, "ignoreCorruptFiles is not for the settings"),
        ({"on_drift": "ignore"}, "inputs.events.on_drift"),
        ({"max_line_mb": 0}, "inputs.events.max_line_mb"),
    ],
)
def test_settings_of_an_input_are_checked(tmp_path: Path, keys: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError, match=told.replace("?", r"\?")):
        declare(tmp_path, **keys)


def test_a_delta_table_whose_log_is_broken_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "events"
    write_deltalake(str(folder), pa.Table.from_pylist(rows(2)))
    log = folder / "_delta_log" / f"{0:020d}.json"
    log.write_text(log.read_text()[:200])
    settings, source = declare(folder, format="delta", schema=None)
    with pytest.raises(InputError, match=rf"input events: the Delta table {folder} cannot be read"):
        list_files(settings, "events", source)
