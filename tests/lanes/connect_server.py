"""A server of Spark Connect in a process of its own, that knows nothing of attune and runs in another folder."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyspark

_START_SECONDS = 120
_SETTINGS = {
    "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1", "spark.ui.enabled": "false",
    "spark.connect.grpc.binding.address": "127.0.0.1", "spark.log.level": "ERROR",
}  # fmt: skip


@contextmanager
def connect_server(folder: Path) -> Iterator[str]:
    """Start it on a free port, and yield the ``sc://`` address once it answers; its output lies in ``server.log``."""
    home = Path(pyspark.__file__).parent
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = _SETTINGS | {"spark.connect.grpc.binding.port": str(port)}
    command = [str(home / "bin" / "spark-submit"), "--master", "local[2,4]", "--driver-memory", "3g"]
    command += [part for key, value in settings.items() for part in ("--conf", f"{key}={value}")]
    command += ["--class", "org.apache.spark.sql.connect.service.SparkConnectServer"]
    keep = {name: os.environ[name] for name in ("PATH", "HOME", "JAVA_HOME") if name in os.environ}
    env = keep | {"SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}
    folder.mkdir()
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(command, env=env, cwd=folder, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(port):
            told = (folder / "server.log").read_text()
            assert server.poll() is None, f"the server ended:\n{told}"
            assert time.monotonic() < deadline, f"the server does not answer:\n{told}"
            time.sleep(0.2)
        yield f"sc://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(60)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
