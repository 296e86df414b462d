"""The only place that creates a Spark session: a classic one, or one of Spark Connect where ``SPARK_REMOTE`` names a server."""

import os
import re
import socket
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from attune.errors import MissingError
from attune.secrets import SPARK_REDACTION, is_reference, names_secret, register, resolved

if TYPE_CHECKING:
    from pyspark import SparkConf
    from pyspark.sql import DataFrame, SparkSession

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
_CONNECT_PORT = 15002
_ANSWER_SECONDS = 10


def get_session(app_name: str, options: Mapping[str, object] = {}) -> "SparkSession":
    """The running session, or a new one on ``MASTER`` (default: this machine, each task tried four times).

    Where ``SPARK_REMOTE`` is set it is one of Spark Connect: on the server that it names (``sc://HOST:PORT``), or on one
    started here (``local[2]``). What ``spark-submit`` was given wins over ``options``. Secrets among these, given as
    ``env:NAME``, are seen on no page of Spark's, in no event log and on no command line. Raises MissingError where Java cannot
    be started, PySpark or what Spark Connect needs is not there, or its server does not answer.
    """
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
    home = str(_package().parent)
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([home, *filter(None, [os.environ.get("PYTHONPATH")])]))
    remote = os.environ.get("SPARK_REMOTE")
    if remote is not None:
        _check_server(remote)
    if "PYSPARK_GATEWAY_PORT" in os.environ:
        SparkContext._ensure_initialized()  # what spark-submit was given is known to its JVM alone
    given = SparkConf()
    builder = SparkSession.builder.appName(app_name)
    default = "" if "DATABRICKS_RUNTIME_VERSION" in os.environ else "local[*,4]"  # the session that is there already
    master = remote or given.get("spark.master", os.environ.get("MASTER", default)) or ""
    if master.startswith("local"):
        # Files of a table are listed by name; a Spark job to look at each costs seconds, and pays on object stores only.
        builder = builder.config("spark.sql.sources.parallelPartitionDiscovery.threshold", "100000")
    if master and not given.contains("spark.master"):
        if remote is None:
            builder = builder.master(master)
        if master.startswith("local"):
            builder = builder.config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1")
            builder = builder.config("spark.driver.memory", os.environ.get("SPARK_DRIVER_MEMORY", "3g"))
    ours = {**_ALWAYS, **_redaction(given, options), "spark.ui.showConsoleProgress": sys.stderr.isatty()}
    if remote is not None and not master.startswith("local"):  # all others are fixed when a server starts
        ours = {key: value for key, value in ours.items() if key.startswith("spark.sql.")}
    for key, value in {**ours, **resolved(options, "spark")}.items():
        if not given.contains(key):
            builder = builder.config(key, str(value).lower() if isinstance(value, bool) else str(value))
    try:
        _start_java_without_secrets(master, options)
        spark = builder.getOrCreate()
    except ImportError as error:
        raise MissingError(
            f"SPARK_REMOTE asks for Spark Connect, whose packages are missing ({' '.join(str(error).split())}): "
            "pip install 'attune[connect]', or unset SPARK_REMOTE"
        ) from error
    except PySparkRuntimeError as error:
        raise MissingError(
            f"Spark cannot start Java ({' '.join(str(error).split())}): install openjdk-17-jre-headless, "
            "or set JAVA_HOME to a Java 17; `attune doctor` tells more"
        ) from error
    if not is_connect(spark):
        spark.sparkContext.setLogLevel("ERROR")
    elif is_elsewhere(spark):
        _send_package(spark)
    return spark


def is_connect(of: "SparkSession | DataFrame") -> bool:
    """Whether a session, or that of a frame, is one of Spark Connect, which has no SparkContext, RDDs or Java objects."""
    return ".connect." in type(of).__module__


def is_elsewhere(spark: "SparkSession") -> bool:
    """Whether a session is one of Spark Connect on a server that was not started here, with a working folder of its own."""
    return is_connect(spark) and not os.environ.get("SPARK_REMOTE", "").startswith("local")


def is_before_4(spark: "SparkSession") -> bool:
    """Whether this is Spark 3."""
    return int(spark.version.partition(".")[0]) < 4


def check_ml(frame: "DataFrame") -> None:
    """Raise MissingError where Spark has no machine learning for a frame: through Spark Connect it came with Spark 4."""
    if is_connect(frame) and is_before_4(frame.sparkSession):
        raise MissingError(
            f"Spark Connect of Spark {frame.sparkSession.version} has none of the machine learning that ALS and segments are made with: "
            "use a classic session (unset SPARK_REMOTE), or Spark 4"
        )


def parallelism(spark: "SparkSession") -> int:
    """Tasks that Spark runs at once, as far as it knows."""
    if not is_connect(spark):
        return spark.sparkContext.defaultParallelism
    from pyspark.sql import functions as F

    # The server does not tell, but cuts a range into as many parts.
    return spark.range(1 << 12).select(F.spark_partition_id()).distinct().count()


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


def _check_server(remote: str) -> None:
    """Raise MissingError where nothing listens at ``sc://HOST:PORT/...``: Spark's client would try for minutes."""
    address = re.match(r"sc://(\[[^\]]+\]|[^:/;]+)(?::(\d+))?", remote)
    if address is None:
        return
    try:
        place = address[1].strip("[]"), int(address[2] or _CONNECT_PORT)
        socket.create_connection(place, timeout=_ANSWER_SECONDS).close()
    except OSError as error:
        raise MissingError(
            f"SPARK_REMOTE is sc://{address[1]}:{place[1]}, but no server of Spark Connect answers there ({error}): "
            "start it, mend the address, or unset SPARK_REMOTE"
        ) from error


@lru_cache(maxsize=1)
def _send_package(spark: "SparkSession") -> None:
    """Send this package to a server elsewhere, once a session, so that its workers can call what is in it."""
    with tempfile.TemporaryDirectory() as folder:
        packed = Path(folder) / "attune.zip"
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(_package().rglob("*.py")):
                archive.write(file, file.relative_to(_package().parent))
        spark.addArtifacts(str(packed), pyfile=True)


def _package() -> Path:
    """Folder of this package."""
    return Path(__file__).parent
