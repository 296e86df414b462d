"""Reading loses no row, keeps what folders' names say, and turns rows into our columns with a reason for each refusal."""

import datetime as dt
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from attune.errors import InputError, SettingsError
from attune.inputs import FILE, REASONS, ROW, UNPARSED, file_day, map_columns, raw_text, read_raw, refuse
from attune.inputs.files import day_of
from inputs.declared import COLUMNS, declare, rows, write_csv, write_json

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def _mapped(spark: "SparkSession", folder: Path, **source: Any) -> "DataFrame":
    settings, declared = declare(folder, **source)
    return map_columns(read_raw(spark, settings, "events", declared), "events", declared)


def _reasons(mapped: "DataFrame") -> dict[str, list[str]]:
    """Reasons by the raw text of the rows that have any."""
    from pyspark.sql import functions as F

    found = mapped.select(F.when(F.size(REASONS) > 0, raw_text()).alias("raw"), REASONS).where("raw IS NOT NULL")
    return {row["raw"]: row[REASONS] for row in found.collect()}


def test_each_refusal_has_its_reasons_and_a_good_row_has_none(spark: "SparkSession", tmp_path: Path) -> None:
    """Without a reason that fits, nobody can mend the log."""
    from pyspark.sql import functions as F

    folder = tmp_path / "events"
    cheap, broken, mistyped = rows(1, price=-1)[0], '{"id": "e1", "us', '{"id": "e2", "price": "dear"}'
    untimed, list_price = rows(1, ts="gestern", price=None)[0], rows(1, price=1e9)[0]
    write_json(folder / "1.json", [*rows(5), broken, mistyped, untimed, cheap, list_price])
    mapped = _mapped(
        spark, folder, columns=COLUMNS | {"event_ts": "ts", "quantity": "id"} | {"quantity": "substr(id, 2)"},
        refuse={"price is absurd": "price > 1e6", "price is absent": "price IS NULL"},
    )  # fmt: skip
    assert _reasons(mapped) == {
        broken: [UNPARSED],
        mistyped: ["price is not a double", "price is absent"],
        json.dumps({k: v for k, v in untimed.items() if v is not None}, separators=(",", ":")): [
            "event_ts is not a timestamp", "price is absent",
        ],
        json.dumps(list_price, separators=(",", ":")).replace("1000000000.0", "1.0E9"): ["price is absurd"],
    }  # fmt: skip
    judged = refuse(mapped, {"price is negative": F.col("price") < 0, "price is missing": F.col("price").isNull()})
    added = Counter(reason for reasons in _reasons(judged).values() for reason in reasons)
    assert added == {
        UNPARSED: 1, "price is absent": 2, "price is not a double": 1, "event_ts is not a timestamp": 1,
        "price is absurd": 1, "price is negative": 1, "price is missing": 2,
    }  # fmt: skip
    assert mapped.where(F.size(REASONS) == 0).count() == 6
    assert [row["quantity"] for row in mapped.where("event_id = 'e3'").collect()] == [3.0]
    (file,) = {row[FILE] for row in mapped.select(FILE).collect()}
    assert file.endswith(f"{folder}/1.json")


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_a_bad_line_is_bad_whatever_columns_a_query_needs(spark: "SparkSession", tmp_path: Path, kind: str) -> None:
    """Spark parses only the columns that a query needs; counts would differ from the rows that are kept."""
    from pyspark.sql import functions as F

    folder = tmp_path / "events"
    if kind == "csv":
        write_csv(folder / "1.csv", rows(6))
        with (folder / "1.csv").open("a") as file:
            file.write("e7,u,i,click,2020-01-01,dear\ne8,u,i\ne9,u,i,click,2020-01-01,1.5,more\n")
    else:
        write_json(folder / "1.json", [*rows(6), '{"id": "e7", "price": "dear"}', "{", '["e9"'])
    mapped = _mapped(spark, folder, format=kind)
    bad = mapped.where(F.size(REASONS) > 0)
    assert bad.count() == 3
    assert len(bad.collect()) == 3
    for column in ("user_id", "event_id", "event_ts", FILE):
        assert len(bad.select(column).collect()) == 3, column
    assert bad.select(F.explode(REASONS)).count() == 3
    assert mapped.where(F.size(REASONS) == 0).select("item_id").count() == 6


def test_a_good_row_costs_no_text(spark: "SparkSession", tmp_path: Path) -> None:
    """The row as JSON, made for every row, took most of the time of reading."""
    folder = tmp_path / "events"
    write_json(folder / "1.json", rows(3))
    mapped = _mapped(spark, folder).drop(ROW)
    plan = mapped._jdf.queryExecution().optimizedPlan().toString()
    assert "to_json" not in plan
    assert plan.count("try_to_timestamp(") + plan.count("gettimestamp(") <= 1, "an expression is evaluated once"


def test_timestamps_without_a_zone_mean_the_zone_of_the_input(spark: "SparkSession", tmp_path: Path) -> None:
    """Else a shop in Berlin has its evening's sales on the next day."""
    folder = tmp_path / "events"
    texts = ["2020-01-15 23:30:00", "2020-07-01T01:30:00", "2020-07-01T01:30:00Z", "2020-03-29 02:30:00"]
    write_json(folder / "1.json", [row | {"ts": text} for row, text in zip(rows(4), texts, strict=True)])
    utc = ["2020-01-15 22:30:00", "2020-06-30 23:30:00", "2020-07-01 01:30:00", "2020-03-29 01:30:00"]
    for expression in ("ts", "try_to_timestamp(ts)", "try_cast(ts AS timestamp)"):
        columns = COLUMNS | {"event_ts": expression}
        mapped = _mapped(spark, folder, columns=columns, time_zone="Europe/Berlin").orderBy("event_id")
        assert [row["t"] for row in mapped.selectExpr("string(event_ts) AS t").collect()] == utc, expression
    assert spark.conf.get("spark.sql.session.timeZone") == "UTC"
    schema = "id STRING, ts TIMESTAMP"
    mapped = _mapped(
        spark, folder, schema=schema, columns={"event_id": "id", "event_ts": "ts"}, time_zone="Europe/Berlin"
    )
    assert [row["t"] for row in mapped.orderBy("event_id").selectExpr("string(event_ts) AS t").collect()] == utc
    instants = COLUMNS | {"event_ts": "timestamp_seconds(price)"}
    mapped = _mapped(spark, folder, columns=instants, time_zone="Europe/Berlin").orderBy("event_id").limit(1)
    assert [row["t"] for row in mapped.selectExpr("string(event_ts) AS t").collect()] == ["1970-01-01 00:00:00.5"]


def test_the_day_of_a_file_is_the_same_in_spark_as_on_the_driver(spark: "SparkSession") -> None:
    from pyspark.sql import functions as F

    paths = [
        "file:///raw/2001-01-01/ds=2020-01-05/x.json", "/raw/2020/01/05/13/x.json", "/raw/2020-02-30.csv", "/raw/x.csv",
        "s3://b/year=2020/month=1/day=5/x", "/raw/2020-13-05", "/raw/12020-01-05", "/a%20b/2020-01-05_2020-01-06.gz", "",
    ]  # fmt: skip
    days = spark.createDataFrame([(path,) for path in paths], "path STRING").select(
        file_day(F.col("path")).alias("day")
    )
    assert [row["day"] for row in days.collect()] == [day_of(path) for path in paths]
    assert day_of(paths[0]) == dt.date(2020, 1, 5)


def test_files_of_all_layouts_are_read_once_each(spark: "SparkSession", tmp_path: Path) -> None:
    """Spark alone ignores folders that name no column, and takes brackets in a name for a pattern."""
    folder = tmp_path / "events"
    names = [
        "2020/01/30/a.json",
        "2020/01/30/b [1].json.gz",
        "odd {x}/c.json",
        "d.json",
        *(f"e/{n}.json" for n in range(40)),
    ]
    for n, name in enumerate(names):
        write_json(folder / name, [row | {"id": f"{n}-{row['id']}"} for row in rows(2)])
    write_json(folder / "2020/02/01/late.json", rows(9))
    settings, declared = declare(folder)
    raw = read_raw(spark, settings, "events", declared)
    found = raw.select("id", FILE).collect()
    assert sorted(row["id"] for row in found) == sorted(f"{n}-e{m}" for n in range(len(names)) for m in range(2))
    assert len({row[FILE] for row in found}) == len(names)


def test_columns_that_folders_name_are_kept(spark: "SparkSession", tmp_path: Path) -> None:
    for shop in ("a", "b"):
        for day in ("2020-01-30", "2020-01-31", "2020-02-01"):
            write_json(
                tmp_path / f"events_{shop}" / f"ds={day}" / "shop=x%2Fy" / "1.json.gz", rows(1, id=f"{shop}{day}")
            )
    columns = COLUMNS | {"campaign_id": "shop", "query": "string(ds)"}
    paths = [str(tmp_path / "events_a"), str(tmp_path / "events_b")]
    mapped = _mapped(spark, tmp_path / "events", path=paths, columns=columns)
    assert sorted((r["event_id"], r["query"], r["campaign_id"]) for r in mapped.collect()) == [
        (f"{shop}{day}", day, "x/y") for shop in "ab" for day in ("2020-01-30", "2020-01-31")
    ]


def test_csv_files_are_read_by_their_own_headers(spark: "SparkSession", tmp_path: Path) -> None:
    """A column added or moved is no reason to lose a day, and must not shift the others."""
    folder = tmp_path / "events"
    write_csv(folder / "1.csv", rows(3))
    moved = [{"channel": "app", **dict(reversed(row.items()))} | {"id": f"m{n}"} for n, row in enumerate(rows(3))]
    write_csv(folder / "2.csv", moved)
    write_csv(folder / "3.csv", [{k: v for k, v in row.items() if k != "price"} | {"id": "p"} for row in rows(1)])
    (folder / "4.csv").write_text("")
    mapped = _mapped(spark, folder, format="csv")
    found = {row["event_id"]: (row["user_id"], row["price"], row[REASONS]) for row in mapped.collect()}
    assert found == {
        "e0": ("u0", 0.5, []), "e1": ("u1", 1.5, []), "e2": ("u2", 2.5, []),
        "m0": ("u0", 0.5, []), "m1": ("u1", 1.5, []), "m2": ("u2", 2.5, []), "p": ("u0", None, []),
    }  # fmt: skip


def test_parquet_files_with_and_without_a_new_column_are_read_together(spark: "SparkSession", tmp_path: Path) -> None:
    folder = tmp_path / "events"
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist(rows(2)), folder / "1.parquet")
    pq.write_table(pa.Table.from_pylist(rows(2, device="phone")), folder / "2.parquet")
    mapped = _mapped(spark, folder, format="parquet", schema=None, columns=COLUMNS | {"device": "device"})
    assert Counter(row["device"] for row in mapped.collect()) == {None: 2, "phone": 2}


def test_a_delta_table_is_read_without_jars_at_its_latest_version(spark: "SparkSession", tmp_path: Path) -> None:
    """Files that the log no longer holds must not come back."""
    folder = tmp_path / "events"
    table = pa.Table.from_pylist(
        [row | {"ds": day} for day in ("2020-01-30", "2020-01-31", "2020-02-01") for row in rows(2)]
    )
    write_deltalake(str(folder), table, partition_by=["ds"])
    write_deltalake(str(folder), table.slice(2, 1), mode="overwrite", predicate="ds = '2020-01-31'")
    mapped = _mapped(spark, folder, format="delta", schema=None, columns=COLUMNS | {"query": "ds"})
    assert sorted((row["event_id"], row["query"]) for row in mapped.collect()) == [
        ("e0", "2020-01-30"), ("e0", "2020-01-31"), ("e1", "2020-01-30"),
    ]  # fmt: skip
    assert all(row[FILE].endswith(".parquet") for row in mapped.select(FILE).collect())
    DeltaTable(str(folder)).delete()
    mapped = _mapped(spark, folder, format="delta", schema=None, columns=COLUMNS | {"query": "ds"})
    assert mapped.count() == 0


def test_a_catalog_table_is_read(spark: "SparkSession", tmp_path: Path) -> None:
    write_json(tmp_path / "1.json", rows(3))
    spark.read.json(str(tmp_path / "1.json")).createOrReplaceTempView("shop_events")
    mapped = _mapped(spark, tmp_path / "events", path=None, table="shop_events", format="parquet", schema=None)
    assert sorted((r["event_id"], r[FILE], r["price"]) for r in mapped.collect()) == [
        ("e0", "shop_events", 0.5), ("e1", "shop_events", 1.5), ("e2", "shop_events", 2.5),
    ]  # fmt: skip
    spark.catalog.dropTempView("shop_events")
    settings, declared = declare(tmp_path / "events", path=None, table="shop_events", format="parquet", schema=None)
    with pytest.raises(InputError, match=r"input events: .*shop_events"):
        read_raw(spark, settings, "events", declared)


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"columns": COLUMNS | {"device": "gadget"}}, "inputs.events.columns.device: 'gadget'"),
        ({"refuse": {"odd": "price >"}}, "inputs.events.refuse.odd: 'price >'"),
        ({"schema": "id STRNG"}, "inputs.events.schema"),
    ],
)
def test_settings_that_spark_does_not_accept_are_named(
    spark: "SparkSession", tmp_path: Path, keys: dict[str, Any], told: str
) -> None:
    write_json(tmp_path / "events" / "1.json", rows(1))
    with pytest.raises(SettingsError, match=told):
        _mapped(spark, tmp_path / "events", **keys)
