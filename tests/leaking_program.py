"""A job with every kind of secret, run by spark-submit; it asks Spark's own pages of itself, and fails with all secrets."""

import json
import os
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from attune.clean.pseudonyms import pseudonymise, read_key
from attune.recommend.sinks import find_targets, write_to
from attune.run import Run, job
from attune.schemas import TABLES


@job()
def leaking(run: Run) -> None:
    """Use all secrets, keep what Spark shows of them, and repeat them in an error."""
    settings, spark = run.settings, run.spark
    key = read_key(settings.clean.pseudonym_key)
    users = pseudonymise(spark.createDataFrame([("u1",), ("u2",)], "user_id string"), key)
    assert "u1" not in {row[0] for row in users.collect()}
    lists = spark.createDataFrame(
        [("u1", 1, "lamp", 0.5, ["als"], ["New"], settings.as_of)], TABLES["recommendations"].struct()
    )
    write_to(lists, find_targets(settings.recommend.sinks, settings.as_of))
    hadoop = spark._jsc.hadoopConfiguration()  # type: ignore[attr-defined]
    assert hadoop.get("fs.s3a.secret.key") == os.environ["S3_SECRET"], "the reference arrives as what it stands for"
    assert hadoop.get("fs.s3a.encryption.context") == os.environ["S3_CONTEXT"]
    assert hadoop.get("fs.azure.account.key.lake") == os.environ["GIVEN_KEY"], "what spark-submit was given"
    (Path(sys.argv[0]).parent / "given.txt").write_text(spark.conf.get("spark.sql.shuffle.partitions") or "")
    _keep_pages(spark.sparkContext, Path(sys.argv[0]).parent)
    raise RuntimeError("failed with " + " ".join(os.environ[name] for name in os.environ["ALL_SECRETS"].split()))


def _keep_pages(context: Any, folder: Path) -> None:
    root = f"{context.uiWebUrl}/api/v1/applications/{context.applicationId}"
    for name in ("environment", "sql?details=true", "jobs", "stages"):
        page = _get(f"{root}/{name}")
        if name.startswith("sql"):  # told by a thread of its own
            deadline = time.monotonic() + 20
            while "SaveIntoDataSourceCommand" not in page and time.monotonic() < deadline:
                time.sleep(0.2)
                page = _get(f"{root}/{name}")
        (folder / f"{name.partition('?')[0]}.json").write_text(page)
    (folder / "page.html").write_text(_get(f"{context.uiWebUrl}/environment/"))
    (folder / "command_lines.json").write_text(json.dumps(_command_lines()))


def _get(url: str) -> str:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=20) as answer:
        return str(answer.read().decode())


def _command_lines() -> list[str]:
    """Of this process and its JVM, as every user of the machine can read them."""
    return [Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ") for pid in (os.getpid(), os.getppid())]


if __name__ == "__main__":
    sys.exit(leaking.main())
