"""The DAG in Airflow itself: its graph, the days that it hands to the jobs, what a back-fill leaves alone, which failures are retried."""

import csv
import datetime as dt
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("airflow_program.py")
TODAY = dt.datetime.now(dt.UTC).date()
YESTERDAY = TODAY - dt.timedelta(days=1)
OLD = dt.date(2026, 3, 1)
LISTS = ("score", "recommend", "report")

# Takes the place of spark-submit.sh: notes the command line; ends with the status in file status-JOB; runs only what REAL names.
STUB = """#!/usr/bin/env bash
cd "$(dirname "${BASH_SOURCE[0]}")"
printf '%s\\n' "$*" >>calls
for word; do
  [[ ! -f status-$word ]] || exit "$(cat "status-$word")"
  if [[ " $REAL " == *" $word "* ]]; then exec "$ATTUNE_PYTHON" -m attune "$@"; fi
done
"""

SHOP = """
workspace: {folder}/ws
inputs:
  events:
    path: {folder}/raw/ds=*/*.csv
    format: csv
    options: {{header: "true"}}
    schema: user STRING, item STRING, action STRING, ts TIMESTAMP
    columns: {{user_id: user, item_id: item, event_type: action, event_ts: ts}}
spark: {{spark.ui.enabled: false}}
"""


@pytest.fixture(scope="session")
def airflow() -> Path:
    """Python of an environment with Airflow alone."""
    made = subprocess.run([str(ROOT / "tools" / "airflow.sh")], capture_output=True, text=True, check=False)
    if made.returncode == 4:
        pytest.skip(f"Airflow cannot be installed here: {made.stderr.strip().splitlines()[-1]}")
    assert made.returncode == 0, made.stderr
    return ROOT / "build" / "airflow" / "bin" / "python"


class Scheduler:
    """An Airflow with a database of its own, and a checkout whose spark-submit.sh notes what it is given."""

    def __init__(self, python: Path, folder: Path) -> None:
        self.python, self.folder, self.home = python, folder, folder / "checkout"
        self.home.mkdir()
        script = self.home / "spark-submit.sh"
        script.write_text(STUB)
        script.chmod(0o755)
        self.environment = {
            **{key: os.environ[key] for key in ("PATH", "HOME", "LANG", "JAVA_HOME") if key in os.environ},
            "AIRFLOW_HOME": str(folder / "airflow"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "schedulers" / "airflow"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "ATTUNE_HOME": str(self.home),
            "ATTUNE_SPARK_OPTIONS": "--master local[2]",
            "ATTUNE_OPTIONS": "--config shop",
            "ATTUNE_ALERT": f"cat >>{folder}/alerts",
            "ATTUNE_TRAIN_WEEKDAY": str(TODAY.isoweekday()),
        }
        subprocess.run(
            [str(python.with_name("airflow")), "db", "migrate"], check=True, capture_output=True, env=self.environment
        )

    def test(self, *runs: dict[str, Any], **environment: str) -> dict[str, Any]:
        """What the DAG is, and what became of its runs."""
        command = [str(self.python), str(PROGRAM), str(ROOT / "schedulers" / "airflow"), json.dumps(runs, default=str)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=self.environment | environment, cwd=self.folder
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return told

    def calls(self) -> list[str]:
        """Command lines since the last look."""
        file = self.home / "calls"
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return lines

    def fail(self, job: str, status: int) -> None:
        (self.home / f"status-{job}").write_text(str(status))


@pytest.fixture(scope="module")
def scheduler(airflow: Path, tmp_path_factory: pytest.TempPathFactory) -> Scheduler:
    return Scheduler(airflow, tmp_path_factory.mktemp("scheduler"))


def test_each_run_hands_its_days_to_the_jobs_and_a_back_fill_makes_no_lists(scheduler: Scheduler) -> None:
    told = scheduler.test({"day": OLD}, {"day": YESTERDAY})
    assert told["errors"] == {}
    assert told["edges"] == {
        "clean": ["featurize"],
        "featurize": ["latest"],
        "latest": ["score", "training_day"],
        "training_day": ["train"],
        "train": ["evaluate", "score"],
        "score": ["recommend"],
        "recommend": ["evaluate", "report"],
        "evaluate": ["report"],
        "report": [],
    }
    assert (told["catchup"], told["max_active_runs"], told["pools"]) == (True, 1, ["default_pool"])
    old, new = told["runs"]
    assert [word[:10] for word in old["interval"]] == ["2026-03-01", "2026-03-02"]
    options = "--master local[2] {} --config shop {}--as-of {}".format
    of_old = [options(job, "--since 2026-03-01 ", "2026-03-02") for job in ("clean", "featurize")]
    of_new = [options("clean", f"--since {YESTERDAY} ", TODAY)]
    # On a training day the features of earlier dates are made, too.
    of_new += [options(job, "", TODAY) for job in ("featurize", "train", "score", "recommend", "evaluate", "report")]
    assert scheduler.calls() == of_old + of_new
    assert {name for name, task in old["tasks"].items() if task["state"] == "skipped"} == {
        "training_day", "train", "evaluate", *LISTS
    }  # fmt: skip
    assert {task["state"] for task in new["tasks"].values()} == {"success"}


def test_on_other_days_the_models_stay_and_a_run_can_be_told_to_train_or_publish(scheduler: Scheduler) -> None:
    other = {"ATTUNE_TRAIN_WEEKDAY": str(TODAY.isoweekday() % 7 + 1)}
    day = {"day": YESTERDAY - dt.timedelta(days=7), "conf": {"publish": True}}
    told = scheduler.test(day, **other)
    assert [call.split()[2] for call in scheduler.calls()] == ["clean", "featurize", *LISTS]
    assert told["runs"][0]["tasks"]["evaluate"]["state"] == "skipped"
    first = {"day": YESTERDAY - dt.timedelta(days=8), "conf": {"publish": True, "train": True}}
    scheduler.test(first, **other)
    assert "train" in [call.split()[2] for call in scheduler.calls()]


@pytest.mark.parametrize(
    ("status", "tries", "why"),
    [
        (2, 1, "exit status 2: a setting or an option is wrong"),
        (3, 1, "exit status 3: an input is refused"),
        (1, 3, "Bash command failed. The command returned a non-zero exit code 1."),
        (4, 3, "Bash command failed. The command returned a non-zero exit code 4."),
    ],
)
def test_only_what_may_change_is_tried_again(scheduler: Scheduler, status: int, tries: int, why: str) -> None:
    """Another try of a refused input costs an hour and ends the same; people are told once, at the end."""
    scheduler.fail("featurize", status)
    alerts = scheduler.folder / "alerts"
    alerts.unlink(missing_ok=True)
    day = OLD + dt.timedelta(days=status)
    try:
        told = scheduler.test({"day": day})
    finally:
        (scheduler.home / "status-featurize").unlink()
    assert told["runs"][0]["tasks"]["featurize"] == {"state": "failed", "tries": tries}
    assert len([call for call in scheduler.calls() if " featurize " in call]) == tries
    (line,) = alerts.read_text().splitlines()
    assert line.startswith(f"attune.featurize of {day} failed: {why}")


def test_a_day_cleaned_twice_is_the_same_table(scheduler: Scheduler, tmp_path: Path) -> None:
    """Retries, re-runs and back-fills: with the real job."""
    for day in (OLD, OLD + dt.timedelta(days=1)):
        folder = tmp_path / "raw" / f"ds={day}"
        folder.mkdir(parents=True)
        with open(folder / "log.csv", "w", encoding="utf-8") as file:
            rows = [(f"u{n % 5}", f"i{n % 7}", "click", f"{day} {n % 24:02}:{n % 60:02}:00") for n in range(60)]
            csv.writer(file, lineterminator="\n").writerows([("user", "item", "action", "ts"), *rows])
    shop = tmp_path / "shop.yaml"
    shop.write_text(SHOP.format(folder=tmp_path))
    real = {
        "REAL": "clean", "ATTUNE_OPTIONS": f"--config {shop}", "ATTUNE_SPARK_OPTIONS": "",
        "ATTUNE_PYTHON": sys.executable, "PYTHONPATH": str(ROOT / "lib"), "SPARK_LOCAL_IP": "127.0.0.1",
    }  # fmt: skip
    from faults.contents import content

    contents = []
    for again in range(2):
        # Another run of the same interval: Airflow keeps one run for each, and tests it anew.
        told = scheduler.test({"day": OLD + dt.timedelta(days=1)}, **real)
        assert told["runs"][0]["tasks"]["clean"]["state"] == "success", again
        contents.append(content(tmp_path / "ws" / "tables" / "events"))
    assert contents[0].rows == 60  # of the second day alone
    assert (contents[1].rows, contents[1].digest) == (contents[0].rows, contents[0].digest)
