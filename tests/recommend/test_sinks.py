"""Published recommendations go where settings say, and secrets are seen nowhere."""

import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from attune import config
from attune.errors import InputError, SettingsError
from attune.recommend.sinks import find_targets, write_to
from attune.schemas import TABLES

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

DAY = dt.date(2026, 3, 1)


@pytest.fixture(scope="module")
def lists(spark: "SparkSession") -> "DataFrame":
    rows = [
        ("u1", 1, "lamp", 0.5, ["als", "ease"], ["Popular", "In your usual price range"], DAY),
        ("u2", 1, "mug", 0.25, ["text"], ["New"], DAY),
    ]
    return spark.createDataFrame(rows, TABLES["recommendations"].struct())


def sinks(*given: str) -> list[config.Sink]:
    return config.load(["demo"], [f"recommend.sinks=[{', '.join(given)}]"]).recommend.sinks


def test_json_lines_of_each_date_lie_apart(lists: "DataFrame", tmp_path: Path) -> None:
    given = sinks(f'{{format: json, path: "{tmp_path}/{{as_of}}"}}')
    for day in (DAY, DAY, DAY + dt.timedelta(days=1)):
        (told,) = write_to(lists, find_targets(given, day))
        assert told["path"] == f"{tmp_path}/{day}"
    rows = [json.loads(line) for file in (tmp_path / "2026-03-01").glob("*.json") for line in file.open()]
    assert sorted((row["user_id"], row["item_id"], row["reasons"]) for row in rows) == [
        ("u1", "lamp", ["Popular", "In your usual price range"]),
        ("u2", "mug", ["New"]),
    ]
    assert (tmp_path / "2026-03-02").is_dir()


def test_a_database_gets_rows_and_the_password_from_the_environment(
    spark: "SparkSession", lists: "DataFrame", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB_PASSWORD", "hunter2-in-the-dark")
    url = "jdbc:derby:memory:lists;create=true"
    options = f'{{url: "{url}", dbtable: lists, user: attune, password: "env:DB_PASSWORD"}}'
    (told,) = write_to(lists, find_targets(sinks(f"{{format: jdbc, mode: append, options: {options}}}"), DAY))
    assert told == {"format": "jdbc", "path": None, "table": "lists", "mode": "append"}
    read = spark.read.format("jdbc").options(url=url, dbtable="lists", user="attune", password="hunter2-in-the-dark")
    assert {(row["user_id"], row["sources"]) for row in read.load().collect()} == {("u1", "als|ease"), ("u2", "text")}


def test_what_cannot_be_written_is_told_without_the_secret(lists: "DataFrame", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASSWORD", "hunter2-in-the-dark")
    options = '{url: "jdbc:nobody://here", dbtable: lists, password: "env:DB_PASSWORD"}'
    given = sinks(f"{{format: jdbc, options: {options}}}")
    with pytest.raises(InputError, match=r"recommend\.sinks\.0: Spark cannot write jdbc to jdbc:nobody") as error:
        write_to(lists, find_targets(given, DAY))
    assert "hunter2" not in str(error.value)
    assert "recommendations is published" in str(error.value)
    monkeypatch.delenv("DB_PASSWORD")
    with pytest.raises(SettingsError, match=r"sinks\.0\.options\.password: env:DB_PASSWORD is not set"):
        find_targets(given, DAY)  # before anything is published


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("{format: jdbc, options: {url: u, dbtable: t, password: hunter2}}", "password holds a secret: give env:NAME"),
        (
            '{format: jdbc, options: {url: "jdbc:x://y?password=hunter2", dbtable: t}}',
            "url holds a secret: give env:NAME",
        ),
        ("{format: jdbc, options: {url: u}}", "format jdbc needs options.dbtable"),
        ("{format: json}", "format json needs path"),
        ("{format: json, path: p, mode: replace}", "mode"),
    ],
)
def test_a_sink_that_cannot_be_is_refused_by_its_settings(given: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told) as error:
        sinks(given)
    assert "recommend.sinks" in str(error.value)
    assert "hunter2" not in str(error.value)
