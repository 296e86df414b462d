"""The examples of conf/cluster are settings that Spark knows, with values that it takes."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FILES = sorted((Path(__file__).parents[1] / "conf" / "cluster").glob("*.conf"))
UNREGISTERED = (
    "spark.master", "spark.executor.resource.", "spark.task.resource.", "spark.kubernetes.driver.volumes.",
    "spark.kubernetes.executor.volumes.",
)  # fmt: skip
"""Names, and beginnings of families of names, that Spark reads without having declared them."""
PACKAGES = (
    "internal.config",
    "deploy.yarn.config",
    "deploy.k8s.Config",
    "sql.internal.SQLConf",
    "sql.internal.StaticSQLConf",
)


def settings(file: Path) -> dict[str, str]:
    """Settings of a file, those that are commented out included."""
    lines = [line.removeprefix("#") for line in file.read_text().splitlines()]
    found = [re.fullmatch(r"(spark\.[A-Za-z.]+)\s+(\S+)", line) for line in lines]
    return {match[1]: match[2] for match in found if match}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_spark_knows_each_setting_and_takes_its_value(spark: "SparkSession", file: Path) -> None:
    jvm = spark.sparkContext._jvm
    assert jvm is not None
    given = settings(file)
    assert len(given) >= 5
    for name in PACKAGES:  # settings are known once the object that declares them is there
        suffix = ".package$" if name.endswith("config") else "$"
        jvm.java.lang.Class.forName(f"org.apache.spark.{name}{suffix}")
    registry = jvm.org.apache.spark.internal.config.ConfigEntry
    for key, value in given.items():
        if key.startswith(UNREGISTERED):
            continue
        entry = registry.findEntry(key)
        assert entry is not None, f"{file.name}: Spark knows no {key}"
        conf = jvm.org.apache.spark.SparkConf(False).set(key, value)
        conf.get(entry)  # raises where the value is not of its type
