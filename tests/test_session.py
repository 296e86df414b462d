"""Secrets among Spark's options reach no command line, and Spark is told which options to show nobody."""

import re

import pytest
from pyspark import SparkConf, SparkContext

from attune import session
from attune.secrets import hide

OPTIONS = {
    "spark.hadoop.fs.s3a.secret.key": "env:S3_SECRET",
    "spark.hadoop.fs.s3a.encryption.context": "env:S3_CONTEXT",
    "spark.jars.packages": "org.example:reader:1",
    "spark.ui.enabled": False,
}


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[SparkConf]:
    """Options with which a JVM would have been started."""
    found: list[SparkConf] = []
    monkeypatch.delenv("SPARK_REMOTE", raising=False)
    monkeypatch.setattr(SparkContext, "_jvm", None)  # a conf is then a plain mapping
    monkeypatch.setattr(SparkContext, "_ensure_initialized", lambda *_, conf=None: found.append(conf))
    return found


def test_java_is_started_without_the_secrets(started: list[SparkConf]) -> None:
    session._start_java_without_secrets("local[2]", OPTIONS)
    (conf,) = started
    told = dict(conf.getAll())
    assert told["spark.jars.packages"] == "org.example:reader:1"
    assert told["spark.master"] == "local[2]"
    assert told["spark.driver.memory"]
    assert not any("s3a" in name for name in told)


def test_java_is_left_to_pyspark_where_there_are_none(started: list[SparkConf]) -> None:
    session._start_java_without_secrets("local[2]", {"spark.ui.enabled": False})
    assert started == []


def test_options_given_by_reference_are_shown_nobody(started: list[SparkConf]) -> None:
    given = SparkConf().set("spark.hadoop.fs.azure.account.key.lake", "QUtJQS1naXZlbg").set("spark.x", "QUtJQS1wbGFpbg")
    pattern = session._redaction(given, OPTIONS)["spark.redaction.regex"]
    shown = [name for name in (*OPTIONS, "spark.my.password") if not re.search(pattern, name)]
    assert shown == ["spark.jars.packages", "spark.ui.enabled"]
    assert re.search(pattern, "fs.s3a.encryption.context"), "as Hadoop calls it"
    assert hide("QUtJQS1naXZlbg QUtJQS1wbGFpbg") == "<secret> QUtJQS1wbGFpbg", "what spark-submit was given is known"
