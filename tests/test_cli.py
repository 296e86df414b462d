"""The console command: listing without Spark, dispatch, tables, dry runs."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from attune import cli, config
from attune.columns import aligned
from attune.dry_run import describe
from attune.run import Job

ROOT = Path(__file__).parents[1]
JOBS = sorted(file.stem for file in (ROOT / "jobs").glob("[a-z]*.py"))
TINY_CONF = """
workspace: {folder}/workspace
as_of: 2026-01-01
inputs:
  events:
    path: {folder}/log
    format: json
    schema: user STRING
    columns: {{user_id: user}}
  items: {{table: shop.items, columns: {{item_id: item}}}}
"""


def run_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, env={"PYTHONPATH": "lib"}
    )
    return done.stdout


def test_the_listing_names_every_job_once_with_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    listed = {name: text for name, text in lines if not text.startswith("JOB")}
    assert set(listed) == {*JOBS, "doctor", "features", "tables", "why"}
    assert all(text.endswith(".") for text in listed.values())


def test_jobs_are_listed_in_the_order_they_run() -> None:
    order = [name for name in cli._ORDER if name in JOBS]
    assert list(cli.jobs())[: len(order)] == order


def test_listing_takes_under_a_second_and_imports_no_library() -> None:
    began = time.monotonic()
    loaded = run_python("import sys; from attune.cli import main; main(['--help']); print(sorted(sys.modules))")
    assert time.monotonic() - began < 1
    for library in ("pyspark", "pydantic", "numpy", "torch", "yaml"):
        assert f"'{library}'" not in loaded


@pytest.mark.parametrize("name", JOBS)
def test_help_of_a_job_starts_neither_spark_nor_torch(name: str) -> None:
    """``--help`` answers in under a second; those imports alone take longer."""
    code = (
        "import sys; from attune.cli import main\n"
        f"try: main(['{name}', '--help'])\n"
        "except SystemExit as end: assert not end.code\n"
        "print([m for m in ('pyspark', 'torch', 'pandas', 'sklearn', 'lightgbm') if m in sys.modules])"
    )
    output = run_python(code)
    assert f"usage: attune {name}" in output
    assert output.splitlines()[-1] == "[]"


def test_an_unknown_job_is_wrong_usage_and_the_nearest_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["claen"]) == 2
    assert "claen is not a job; did you mean 'clean'?" in capsys.readouterr().err


def test_wrong_settings_are_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["clean", "--set", "sede=3"]) == 2
    assert "did you mean 'seed'" in capsys.readouterr().err


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A settings file with a log of two files, a catalog table, and no workspace."""
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "a.json").write_text("x" * 1200)
    (tmp_path / "log" / "b.json").write_text("x" * 300)
    (tmp_path / "log" / "_SUCCESS").write_text("")
    file = tmp_path / "tiny.yaml"
    file.write_text(TINY_CONF.format(folder=tmp_path))
    return file


def publish(workspace: Path, rows: list[int]) -> None:
    """Versions of a table ``items`` with so many rows, written without Spark."""
    import json

    from deltalake import CommitProperties, DeltaTable, Schema
    from deltalake.transaction import AddAction, create_table_with_add_actions

    from attune.schemas import TABLES

    path, schema = str(workspace / "tables" / "items"), Schema.from_json(TABLES["items"].json())
    for number, count in enumerate(rows):
        action = AddAction(f"part-{number}.parquet", 10, {}, 0, True, json.dumps({"numRecords": count}))
        properties = CommitProperties(custom_metadata={"run_id": f"run-{number}"})
        if number == 0:
            create_table_with_add_actions(path, schema, [action], commit_properties=properties)
        else:
            DeltaTable(path).create_write_transaction([action], "overwrite", schema, [], commit_properties=properties)


def test_dry_run_tells_what_is_there_and_writes_nothing(tiny: Path) -> None:
    job = Job(
        "demo",
        "",
        ("inputs.events", "inputs.items", "inputs.users", "reviews"),
        ("events", "models/x"),
        lambda run: None,
    )
    text = describe(job, config.load([str(tiny)]))
    assert re.search(rf"inputs.events +{tiny.parent}/log +2 files, 1.5 kB\n", text)
    assert re.search(r"inputs.items +table shop.items +looked up when the job runs\n", text)
    assert re.search(r"inputs.users +not declared\n", text)
    assert re.search(r"reviews +\S+/tables/reviews +does not exist yet\n", text)
    assert re.search(r"events +\S+/tables/events +new\n", text)
    assert re.search(r"models/x +\S+/workspace/models/x +new\n", text)
    assert not (tiny.parent / "workspace").exists()


def test_dry_run_names_versions_and_what_is_missing(tiny: Path) -> None:
    publish(tiny.parent / "workspace", [5, 1234])
    version = tiny.parent / "workspace" / "models" / "x" / "v1"
    version.mkdir(parents=True)
    (version.parent / "latest").symlink_to("v1")
    (tiny.parent / "workspace" / "report.html").write_text("x" * 2500)
    job = Job("demo", "", ("inputs.events", "items", "models/x"), ("items", "report.html"), lambda run: None)
    settings = config.load([str(tiny)], [f"inputs.events.path={tiny.parent}/gone"])
    text = describe(job, settings)
    assert re.search(r"inputs.events +\S+/gone +does not exist\n", text)
    assert re.search(r"items +\S+/tables/items +version 1, 1,234 rows\n", text)
    assert re.search(r"models/x +\S+ +version v1\n", text)
    assert re.search(r"items +\S+ +now version 1, 1,234 rows\n", text)
    assert re.search(r"report.html +\S+ +now 2.5 kB\n", text)


def test_tables_lists_versions_rows_and_paths(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = tiny.parent / "workspace"
    assert cli.main(["tables", "--config", str(tiny)]) == 0
    assert "no tables" in capsys.readouterr().out
    publish(workspace, [5, 1234])
    assert cli.main(["tables", "--config", str(tiny)]) == 0
    assert re.search(r"items +1 +1,234 +20", capsys.readouterr().out)
    assert cli.main(["tables", "items", "--config", str(tiny)]) == 0
    output = capsys.readouterr().out
    assert re.search(r" 1 +1,234 .* run-1\n", output)
    assert re.search(r" 0 +5 .* run-0\n", output)
    assert cli.main(["tables", "items", "--path", "--config", str(tiny)]) == 0
    assert capsys.readouterr().out == f"{workspace}/tables/items\n"


def test_tables_refuses_what_is_no_table_or_not_there(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["tables", "reviws", "--config", str(tiny)]) == 3
    assert "did you mean 'reviews'" in capsys.readouterr().err
    assert cli.main(["tables", "reviews", "--config", str(tiny)]) == 3
    assert "run the job that writes it" in capsys.readouterr().err


def test_a_reader_who_has_seen_enough_is_no_error() -> None:
    command = [sys.executable, "-m", "attune", "features"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as job:
        assert job.stdout is not None
        assert job.stderr is not None
        job.stdout.close()
        assert job.stderr.read() == b""
    assert job.returncode == 0


def test_columns_align_by_what_the_eye_sees() -> None:
    assert aligned([("手机壳", 5, "x"), ("abc", 12345, "")]) == "  手机壳       5  x\n  abc     12,345"
