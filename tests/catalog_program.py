"""Runs CatalogTables on Sail, an engine that speaks Spark Connect and has Delta Lake; prints as JSON what it found.

In a process of its own, since a session of Spark Connect and a classic one exclude each other. Argument: a folder for the tables.
"""

import json
import os
import sys

from pysail.spark import SparkConnectServer
from pyspark.sql import DataFrame, SparkSession

from attune.catalog import CatalogTables

COLUMNS = "id string, kind string, vector array<double>, model_version string"


def main(folder: str) -> None:
    os.chdir(folder)
    server = SparkConnectServer(ip="127.0.0.1", port=0)
    server.start(background=True)
    spark = SparkSession.builder.remote("sc://{}:{}".format(*server.listening_address)).getOrCreate()
    tables = CatalogTables(folder, f"{spark.catalog.currentCatalog()}.{spark.catalog.currentDatabase()}", spark)

    def rows(*ids: str) -> DataFrame:
        return spark.createDataFrame([(name, name[0], [1.0], "v1") for name in ids], COLUMNS)

    def ids(version: int | None = None, partitions: list[str] | None = None) -> list[str]:
        return sorted(row["id"] for row in tables.read("embeddings", version, partitions).collect())

    before = tables.exists("embeddings")
    tables._save(rows("a1", "b1"), "embeddings", "overwrite", {"overwriteSchema": "true", "userMetadata": "{}"})
    tables._save(rows("b2"), "embeddings", "append", {"mergeSchema": "true", "userMetadata": "{}"})
    tables._save(rows("it's"), "embeddings", "overwrite", {"overwriteSchema": "true", "userMetadata": "{}"})
    found = {
        "exists": [before, tables.exists("embeddings")],
        "versions": [ids(version) for version in (0, 1, 2)],
        "latest": ids(),
        "partition": ids(1, ["b"]),
        "partitions": sorted(tables.partitions("embeddings")),
        "rows": tables.rows("embeddings", 1, {"b"}),
        "lookup": tables.lookup("embeddings", "id", ["it's", "none"], ["id", "kind"]),
    }
    print(json.dumps(found), flush=True)


main(sys.argv[1])
os._exit(0)  # at a usual end the client waits for the server's answers, which may be gone before it: for ten minutes
