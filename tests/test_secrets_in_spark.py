"""No secret in anything that a failed run leaves or shows: Spark's pages and event log, log, summary, tables, output."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pyspark
import pytest

ROOT = Path(__file__).parents[1]
SECRETS = {
    "PSEUDONYM_KEY": "key-4f1d0b7c-of-32-bytes-or-more",
    "DB_PASSWORD": "hunter2-in-the-dark",
    "DB_USER": "shop_admin_7731",
    "S3_SECRET": "s3cr3t-of-the-bucket",
    "S3_CONTEXT": "context-that-nobody-knows",
    "GIVEN_KEY": "QUtJQS1naXZlbi1ieS1jb25m",
}
SETTINGS = """
workspace: {folder}/workspace
as_of: 2026-03-01
clean: {{pseudonym_key: "env:PSEUDONYM_KEY"}}
recommend:
  sinks:
    - format: jdbc
      mode: append
      options: {{url: "jdbc:derby:memory:lists;create=true", dbtable: lists, user: "env:DB_USER", password: "env:DB_PASSWORD"}}
spark:
  spark.hadoop.fs.s3a.secret.key: env:S3_SECRET
  spark.hadoop.fs.s3a.encryption.context: env:S3_CONTEXT   # its name does not tell that it is secret
  spark.eventLog.enabled: true
  spark.eventLog.compress: false   # or nothing could be found in it
  spark.eventLog.dir: file:{folder}/events
  spark.ui.port: 0
"""


def content(file: Path) -> bytes:
    """What a file says; a table is compressed."""
    return repr(pq.read_table(file).to_pylist()).encode() if file.suffix == ".parquet" else file.read_bytes()


@pytest.mark.slow
def test_a_run_shows_its_secrets_nowhere(tmp_path: Path) -> None:
    (tmp_path / "events").mkdir()
    (tmp_path / "mine.yaml").write_text(SETTINGS.format(folder=tmp_path))
    program = tmp_path / "leaking_program.py"
    shutil.copy(Path(__file__).parent / "leaking_program.py", program)
    environment = os.environ | SECRETS | {
        "ALL_SECRETS": " ".join(SECRETS), "PYTHONPATH": str(ROOT / "lib"), "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable, "SPARK_CONF_DIR": str(ROOT / "conf"),
    }  # fmt: skip
    done = subprocess.run(
        [
            str(Path(pyspark.__file__).parent / "bin" / "spark-submit"), "--master", "local[2]",
            "--conf", f"spark.hadoop.fs.azure.account.key.lake={SECRETS['GIVEN_KEY']}",
            "--conf", "spark.sql.shuffle.partitions=3", str(program), "--config", str(tmp_path / "mine.yaml"),
        ],
        env=environment, cwd=tmp_path, capture_output=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr.decode()
    output = done.stdout + done.stderr  # spark-submit joins them
    assert b"RuntimeError: failed with <secret> <secret> <secret> <secret> <secret> <secret>" in output
    left = {str(file.relative_to(tmp_path)): content(file) for file in tmp_path.rglob("*") if file.is_file()}
    told = {"stdout": done.stdout, "stderr": done.stderr} | left
    # What spark-submit was given stands on its command line, which is for its caller to know.
    given = {"command_lines.json"}
    found = [
        (name, of)
        for of, secret in SECRETS.items()
        for name, text in told.items()
        if secret.encode() in text and not (of == "GIVEN_KEY" and name in given)
    ]
    assert found == []
    assert left["given.txt"] == b"3", "what spark-submit is given wins over the settings"
    # It was looked for where it could be.
    assert b"spark.hadoop.fs.azure.account.key.lake" in left["environment.json"]
    assert b"sun.java.command" in left["environment.json"]
    assert b"spark.hadoop.fs.s3a.encryption.context" in left["page.html"]
    assert b"SaveIntoDataSourceCommand" in left["sql.json"]
    events = [text for name, text in left.items() if name.startswith("events/")]
    assert any(b"SparkListenerEnvironmentUpdate" in text and b"SaveIntoDataSourceCommand" in text for text in events)
    assert any(name.endswith("traceback.txt") for name in left)
    assert any("run_metrics" in name for name in left)
