"""Where the tables lie that a notebook shows, and what else it reads of them."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from attune.errors import InputError
from attune.schemas import TABLES
from attune.tables import Tables

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

VARIABLE = "ATTUNE_WORKSPACE"
"""Environment variable that wins over the workspace that a notebook names."""


def find_workspace(folder: str = "workspace") -> str:
    """The workspace to show: what ``ATTUNE_WORKSPACE`` names, else ``folder``, here or in the folder above.

    Jupyter starts a notebook in its own folder, Spark's jobs run in the checkout's. Raises InputError where no tables
    lie there; a URI is taken as it is.
    """
    wanted = os.environ.get(VARIABLE) or folder
    if "://" in wanted or wanted.startswith("dbfs:"):
        return wanted
    for place in (Path(wanted), Path("..") / wanted):
        if (place / "tables").is_dir():
            return str(place.resolve())
    raise InputError(
        f"{wanted} holds no tables: run ./spark-submit.sh pipeline first, or set {VARIABLE} to the folder of a workspace"
    )


def contents(tables: Tables) -> pd.DataFrame:
    """The tables that a workspace has. Grain: table; columns table, rows, version, one row is. Needs no Spark."""
    found = [(name, tables.rows(name), tables.version(name), TABLES[name].grain) for name in tables.names()]
    return pd.DataFrame(found, columns=["table", "rows", "version", "one row is"])


def read_if_there(tables: Tables, name: str) -> "DataFrame | None":
    """Rows of a table, None where it is not published: an input that was not declared."""
    return tables.read(name) if tables.exists(name) else None


def fetch(rows: "DataFrame") -> pd.DataFrame:
    """Rows as a pandas frame; they are few enough for the driver."""
    found: pd.DataFrame = rows.toPandas()
    return found


def end_of_data(tables: Tables) -> str:
    """First day that the latest recommendations do not count (YYYY-MM-DD): what settings call ``as_of``."""
    latest = tables.read("recommendations").agg({"as_of": "max"}).collect()[0][0]
    if latest is None:
        raise InputError(f"table recommendations in {tables.root} is empty: run the job recommend")
    return str(latest)
