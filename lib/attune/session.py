"""The only place that creates a Spark session."""

import os
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from attune.errors import MissingError
from attune.secrets import SPARK_REDACTION, is_reference, names_secret, register, resolved

if TYPE_CHECKING:
    from pyspark import SparkConf
    from pyspark.sql import SparkSession

_ALWAYS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
    "spark.sql.shuffle.partitions": "8",
    # Java leaves methods of over 8,000 bytes uncompiled, as Spark's code for the mapping of a wide log is: half the speed.
    "spark.driver.extraJavaOptions": "-XX:-DontCompileHugeMethods",
    "spark.executor.extraJavaOptions": "-XX:-DontCompileHugeMethods",
}


def get_session(app_name: str, options: Mapping[str, object] = {}) -> "SparkSession":
    """The running session, or a new one on ``MASTER`` (default: this machine, each task tried four times).

    What ``spark-submit`` was given wins over ``options``. Secrets among these, given as ``env:NAME``, are seen on no page of
    Spark's, in no event log and on no command line. Raises MissingError where Java cannot be started, PySpark is not there, or
    sessions are of Spark Connect, which lacks what jobs call.
    """
    if remote := os.environ.get("SPARK_REMOTE"):
        raise MissingError(
            f"SPARK_REMOTE is {remote.partition(';')[0]}: jobs cannot run through Spark Connect, only the functions of "
            "attune.scoring; unset it, and give --master"
        )
    try:
        from pyspark import SparkConf, SparkContext
        from pyspark.errors import PySparkRuntimeError
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise MissingError(
            f"PySpark is missing ({error}): pip install 'attune[spark]'; Databricks has its own"
        ) from error

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    # Workers on this machine import the same package, also where it is not installed but found on sys.path.
    home = str(Path(__file__).parents[1])
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([home, *filter(None, [os.environ.get("PYTHONPATH")])]))
    if "PYSPARK_GATEWAY_PORT" in os.environ:
        SparkContext._ensure_initialized()  # what spark-submit was given is known to its JVM alone
    given = SparkConf()
    builder = SparkSession.builder.appName(app_name)
    default = "" if "DATABRICKS_RUNTIME_VERSION" in os.environ else "local[*,4]"  # the session that is there already
    master = given.get("spark.master", os.environ.get("MASTER", default)) or ""
    if master.startswith("local"):
        # Files of a table are listed by name; a Spark job to look at each costs seconds, and pays on object stores only.
        builder = builder.config("spark.sql.sources.parallelPartitionDiscovery.threshold", "100000")
    if master and not given.contains("spark.master"):
        builder = builder.master(master)
        if master.startswith("local"):
            builder = builder.config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1")
            builder = builder.config("spark.driver.memory", os.environ.get("SPARK_DRIVER_MEMORY", "3g"))
    progress = {"spark.ui.showConsoleProgress": sys.stderr.isatty()}
    for key, value in {**_ALWAYS, **_redaction(given, options), **progress, **resolved(options, "spark")}.items():
        if not given.contains(key):
            builder = builder.config(key, str(value).lower() if isinstance(value, bool) else str(value))
    try:
        _start_java_without_secrets(master, options)
        spark = builder.getOrCreate()
    except PySparkRuntimeError as error:
        raise MissingError(
            f"Spark cannot start Java ({' '.join(str(error).split())}): install openjdk-17-jre-headless, "
            "or set JAVA_HOME to a Java 17; `attune doctor` tells more"
        ) from error
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def _redaction(given: "SparkConf", options: Mapping[str, object]) -> dict[str, str]:
    """What Spark shows nobody: options with telling names, and those given by reference; secrets it was given are hidden."""
    for key, value in given.getAll():
        if names_secret(key):
            register(value)
    # Among Hadoop's options the prefix is gone.
    referred = (re.escape(key.removeprefix("spark.hadoop.")) for key, value in options.items() if is_reference(value))
    return {"spark.redaction.regex": "|".join([SPARK_REDACTION, *referred])}


def _start_java_without_secrets(master: str, options: Mapping[str, object]) -> None:
    """Start the JVM, where PySpark would put secrets on its command line, with the other options alone.

    The session then gets them all through the connection to it. Does nothing where the JVM runs, as under spark-submit.
    """
    from pyspark import SparkConf, SparkContext

    plain = {key: value for key, value in options.items() if not is_reference(value)}
    if len(plain) == len(options):
        return
    memory = {"spark.driver.memory": os.environ.get("SPARK_DRIVER_MEMORY", "3g")} if master.startswith("local") else {}
    conf = SparkConf().setAll([(key, str(value)) for key, value in {**_ALWAYS, **memory, **plain}.items()])
    SparkContext._ensure_initialized(conf=conf.setMaster(master) if master else conf)


def local_dirs(options: Mapping[str, object] = {}) -> tuple[str, list[str]]:
    """Folders in which Spark keeps shuffles, spills and cached rows, and the setting that names them."""
    from pyspark import SparkConf

    if folders := os.environ.get("SPARK_LOCAL_DIRS"):
        return "SPARK_LOCAL_DIRS", folders.split(",")
    folders = SparkConf().get("spark.local.dir", str(options.get("spark.local.dir", tempfile.gettempdir())))
    return "spark.local.dir", str(folders).split(",")
