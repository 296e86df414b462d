"""A log that changed is refused by name before anything is read; one that is merely sparse is not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attune.errors import InputError
from attune.inputs import check_drift
from inputs.declared import COLUMNS, declare, renamed, rows, write_csv, write_json

CSV: dict[str, Any] = {"format": "csv"}
PARQUET: dict[str, Any] = {"format": "parquet", "schema": None}


def _without(*columns: str) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key not in columns} for row in rows()]


def _parquet(file: Path, table: list[dict[str, Any]], **types: pa.DataType) -> None:
    columns = pa.Table.from_pylist(table)
    for name, kind in types.items():
        columns = columns.set_column(columns.column_names.index(name), name, columns[name].cast(kind))
    pq.write_table(columns, file)


def _csv_missing(folder: Path) -> None:
    write_csv(folder / "2.csv", _without("item"))


def _csv_renamed(folder: Path) -> None:
    write_csv(folder / "2.csv", renamed(rows(), user="user_nr"))


def _csv_renamed_beyond_recognition(folder: Path) -> None:
    write_csv(folder / "2.csv", renamed(rows(), ts="occurred", extra="x"))


def _csv_delimiter(folder: Path) -> None:
    write_csv(folder / "2.csv", rows(), sep=";")


def _csv_retyped(folder: Path) -> None:
    write_csv(folder / "2.csv", rows(price="EUR 3"))


def _csv_dates(folder: Path) -> None:
    write_csv(folder / "2.csv", [row | {"ts": "31.01.2020 09:15"} for row in rows()])


def _csv_epoch(folder: Path) -> None:
    write_csv(folder / "2.csv", [row | {"ts": 1_577_872_800_000 + 60_000 * n} for n, row in enumerate(rows())])


def _csv_kinds(folder: Path) -> None:
    write_csv(folder / "2.csv", [row | {"type": "aufruf"} for row in rows()])


def _csv_latin(folder: Path) -> None:
    write_csv(folder / "2.csv", [row | {"item": "Café"} for row in rows()], encoding="latin-1")


def _csv_utf16(folder: Path) -> None:
    write_csv(folder / "2.csv", rows(), encoding="utf-16")


def _json_missing(folder: Path) -> None:
    write_json(folder / "2.json", _without("user"))


def _json_renamed(folder: Path) -> None:
    write_json(folder / "2.json.gz", renamed(rows(), user="userId"))


def _json_optional_renamed(folder: Path) -> None:
    write_json(folder / "2.json", renamed(rows(), price="amount"))


def _json_utf16(folder: Path) -> None:
    text = write_json(folder / "2.json", rows()).read_text()
    (folder / "2.json").write_bytes(text.encode("utf-16-le"))


def _json_document(folder: Path) -> None:
    (folder / "2.json").write_text(json.dumps(rows(), indent=1))


def _json_retyped(folder: Path) -> None:
    write_json(folder / "2.json", [row | {"price": "1,50"} for row in rows()])


def _parquet_missing(folder: Path) -> None:
    _parquet(folder / "2.parquet", _without("item"))


def _parquet_renamed(folder: Path) -> None:
    _parquet(folder / "2.parquet", renamed(rows(), item="item_id"))


def _parquet_retyped(folder: Path) -> None:
    _parquet(folder / "2.parquet", rows(), price=pa.string())


@pytest.mark.parametrize(
    ("change", "source", "told"),
    [
        (_csv_missing, CSV, ["2.csv has no column item", "inputs.events.schema", "inputs.events.columns.item_id"]),
        (_csv_renamed, CSV, ["2.csv has no column user", "'user_nr'", "inputs.events.columns.user_id"]),
        (_csv_renamed_beyond_recognition, CSV, ["2.csv has no column ts", "'occurred'"]),
        (_csv_delimiter, CSV, ["2.csv is delimited by ';', not by ','", "inputs.events.options.sep"]),
        (_csv_retyped, CSV, ["2.csv has no double in price", "none of 40 rows", "inputs.events.schema"]),
        (_csv_dates, CSV, ["2.csv", "99.99.9999 99:99 in ts", "try_to_timestamp(ts, 'dd.MM.yyyy HH:mm')"]),
        (_csv_epoch, CSV, ["2.csv", "9999999999999 in ts", "inputs.events.columns.event_ts", "timestamp_millis(ts)"]),
        (_csv_kinds, CSV, ["2.csv", "40 of 80", "new kind (aufruf) in type", "inputs.events.columns.event_type"]),
        (_csv_latin, CSV, ["2.csv is not UTF-8", "inputs.events.options.encoding: windows-1252"]),
        (_csv_utf16, CSV, ["2.csv is UTF-16"]),
        (_json_missing, {}, ["2.json", "no column user", "inputs.events.columns.user_id"]),
        (_json_renamed, {}, ["2.json.gz", "no column user", "'userId'"]),
        (_json_optional_renamed, {}, ["2.json", "no column price", "'amount'"]),
        (_json_utf16, {}, ["2.json is UTF-16"]),
        (_json_document, {}, ["2.json is one JSON document", "inputs.events.options.multiLine"]),
        (_json_retyped, {}, ["2.json has no double in price"]),
        (_parquet_missing, PARQUET, ["2.parquet has no column item", "inputs.events.columns.item_id"]),
        (_parquet_renamed, PARQUET, ["2.parquet has no column item", "'item_id'"]),
        (_parquet_retyped, PARQUET, ["2.parquet has price as string, other files as double"]),
    ],
)
def test_a_change_is_named_with_its_file_and_mend(
    tmp_path: Path, change: Callable[[Path], None], source: dict[str, Any], told: list[str]
) -> None:
    """Else a day of the log goes to quarantine, or worse, is read into the wrong columns."""
    folder = tmp_path / "events"
    folder.mkdir()
    kind = source.get("format", "json")
    if kind == "parquet":
        _parquet(folder / "1.parquet", rows())
    else:
        (write_csv if kind == "csv" else write_json)(folder / f"1.{kind}", rows())
    settings, declared = declare(folder, **source)
    assert check_drift(settings, "events", declared) == []
    change(folder)
    with pytest.raises(InputError) as error:
        check_drift(settings, "events", declared)
    assert str(error.value).startswith("input events: ")
    assert str(folder) in str(error.value)
    assert "\n" not in str(error.value)
    for part in told:
        assert part in str(error.value)
    settings, declared = declare(folder, **source, on_drift="note")
    assert any(told[0] in note for note in check_drift(settings, "events", declared))


def test_a_key_that_no_row_has_is_refused_only_where_rows_are_worthless_without_it(tmp_path: Path) -> None:
    folder = tmp_path / "events"
    write_json(folder / "1.json", _without("price"))
    settings, declared = declare(folder)
    assert check_drift(settings, "events", declared) == ["none of the first 40 rows has price"]
    write_json(folder / "1.json", [row | {"usr": "x"} for row in _without("user")])
    with pytest.raises(InputError, match=r"no row has a user_id: is user absent or renamed\? mend .*; is it now 'usr'"):
        check_drift(settings, "events", declared)


def test_a_log_that_begins_with_rows_of_one_kind_is_no_drift(tmp_path: Path) -> None:
    """Searches have no item; sorted by kind they may be all that a file begins with."""
    folder = tmp_path / "events"
    write_json(folder / "1.json", rows(2000))
    searches = [{k: v for k, v in row.items() if k != "item"} | {"type": "search"} for row in rows(1500)]
    write_json(folder / "2.json.gz", [*searches, *rows(10)])
    settings, declared = declare(folder)
    assert check_drift(settings, "events", declared) == [
        f"{folder}/2.json.gz has no item, which rows of other files have"
    ]
    write_json(folder / "2.json.gz", searches)
    with pytest.raises(InputError, match=r"2\.json\.gz has no column item; mend"):
        check_drift(settings, "events", declared)


def test_sparse_keys_few_bad_rows_and_new_columns_are_no_reason_to_refuse(tmp_path: Path) -> None:
    """A false alarm stops a shop's pipeline for nothing."""
    folder = tmp_path / "events"
    sparse = [row | ({"price": None} if n % 9 else {}) for n, row in enumerate(rows(200))]
    for n, row in enumerate(sparse):
        if n % 40:
            del row["price"]
    bad = ['{"id": "e1", "us', "[1, 2]", "", rows(1, ts="gestern")[0], rows(1, type="share")[0], rows(1, ua="x")[0]]
    write_json(folder / "1.json", [*sparse, *bad])
    write_json(folder / "2.json", _without("price"))
    settings, declared = declare(folder)
    notes = "; ".join(check_drift(settings, "events", declared))
    assert "new kind (share)" in notes
    assert "1 of 243 dates in ts are not read by inputs.events.columns.event_ts, such as aaaaaaa" in notes
    assert "keys that are not declared, and not read: ua" in notes

    csv_folder = tmp_path / "csv"
    write_csv(csv_folder / "1.csv", rows())
    write_csv(csv_folder / "2.csv", [dict(reversed(row.items())) | {"channel": "app"} for row in rows()])
    settings, declared = declare(csv_folder, format="csv")
    assert check_drift(settings, "events", declared) == [f"{csv_folder}/2.csv has a new column channel, not read"]


def test_values_of_rows_are_not_told(tmp_path: Path) -> None:
    """Errors go to logs that more people read than the data."""
    folder = tmp_path / "events"
    private = "anna.berg@post.example"
    write_json(folder / "1.json", rows(type=private, ts=private, price=private))
    settings, declared = declare(folder, on_drift="note")
    notes = check_drift(settings, "events", declared)
    assert len(notes) == 3
    assert not any("anna" in note or "berg" in note for note in notes)


def test_an_expression_that_reads_either_form_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "events"
    write_json(folder / "1.json", rows())
    write_json(folder / "2.json", renamed(rows(ts="3.1.2020 9:30"), user="customer"))
    either = {
        "user_id": "coalesce(user, customer)",
        "event_ts": "coalesce(try_to_timestamp(ts), try_to_timestamp(ts, 'd.M.yyyy H:mm'))",
    }
    schema = "id STRING, user STRING, customer STRING, item STRING, type STRING, ts STRING, price DOUBLE"
    settings, declared = declare(folder, columns=COLUMNS | either, schema=schema)
    assert [note for note in check_drift(settings, "events", declared) if "not read by" in note] == []
