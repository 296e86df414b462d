"""A workspace on a cluster must be a folder that all nodes share: rows that an executor writes elsewhere would be lost."""

import os
import socket
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from attune.errors import SettingsError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def check_shared(spark: "SparkSession", workspace: str) -> None:
    """Raise SettingsError where executors on a cluster do not see the driver's folder, or may not write there.

    All executors that run now are asked, as far as Spark gives each a task. Local masters and URIs need no asking.
    """
    master = spark.conf.get("spark.master", "local") or "local"
    if master.startswith("local") or "://" in workspace:
        return
    folder = Path(workspace).resolve()
    marker = folder / f".attune-{uuid.uuid4().hex}"
    marker.touch()
    tasks = 2 * spark.sparkContext.defaultParallelism
    try:
        asked = spark.sparkContext.range(tasks, numSlices=tasks)
        blind = sorted(set(asked.mapPartitions(partial(hosts_without, str(marker))).collect()))
    finally:
        marker.unlink()
    if blind:
        raise SettingsError(
            f"workspace is {folder}, but executors on {', '.join(blind)} do not see this folder of the driver's, or may not "
            "write there: set workspace to one that all nodes share under the same path, such as a network mount"
        )


def hosts_without(marker: str, numbers: Iterator[int]) -> Iterator[str]:
    """Name of this machine, unless it sees a file and may write beside it. ``numbers`` are those of the tasks."""
    if not (os.path.exists(marker) and os.access(os.path.dirname(marker), os.W_OK)):
        yield socket.gethostname()
