"""A workspace on a cluster must be a folder that all nodes share: rows that an executor writes elsewhere would be lost."""

import os
import socket
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from attune.errors import SettingsError
from attune.session import parallelism

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import SparkSession


def check_shared(spark: "SparkSession", workspace: str) -> None:
    """Raise SettingsError where executors on a cluster do not see the driver's folder, or may not write there.

    All executors that run now are asked, as far as Spark gives each a task. Local masters need no asking.
    """
    master = spark.conf.get("spark.master", "local") or "local"
    if master.startswith("local"):
        return
    folder = Path(workspace).resolve()
    marker = folder / f".attune-{uuid.uuid4().hex}"
    marker.touch()
    tasks = 2 * parallelism(spark)
    try:
        asked = spark.range(0, tasks, 1, tasks).mapInPandas(partial(hosts_without, str(marker)), "host string")
        blind = sorted({row["host"] for row in asked.collect()})
    finally:
        marker.unlink()
    if blind:
        raise SettingsError(
            f"workspace is {folder}, but executors on {', '.join(blind)} do not see this folder of the driver's, or may not "
            "write there: set workspace to one that all nodes share under the same path, such as a network mount"
        )


def hosts_without(marker: str, tasks: "Iterator[pd.DataFrame]") -> "Iterator[pd.DataFrame]":
    """``host``: name of this machine, unless it sees a file and may write beside it; nothing is read of ``tasks``."""
    import pandas as pd

    if not (os.path.exists(marker) and os.access(os.path.dirname(marker), os.W_OK)):
        yield pd.DataFrame({"host": [socket.gethostname()]})
