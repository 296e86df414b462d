"""attune by the day on Airflow 3: each run hands the days of its data interval to the jobs.

    clean -> featurize -> latest -> training_day -> train -> score -> recommend -> evaluate -> report

Every run cleans its day and brings the features up to date, in any order of days. Lists are made by the run of the latest day only,
so that a back-fill never puts old lists in place of new ones; models are trained once a week. Copy this file, or link it, into the
folder of DAGs. docs/airflow.md tells how to set it up; it needs no package of attune's.

Set in the environment of the scheduler and the workers:

ATTUNE_HOME           the checkout, with its spark-submit.sh (default: where this file lies)
ATTUNE_OPTIONS        of every job, such as "--config online_retail --set inputs.root=/data" (default: none, which is the demo)
ATTUNE_SPARK_OPTIONS  of spark-submit, such as "--master yarn --driver-memory 8g" (default: none)
ATTUNE_START          first day that is cleaned (default: 2026-01-01)
ATTUNE_TRAIN_WEEKDAY  1 (Monday) to 7: the day, UTC, on which the run that starts after midnight trains (default: 1)
ATTUNE_POOL           pool whose slots the jobs take (default: default_pool)
ATTUNE_ALERT          shell command that gets a line on its standard input where a task has failed for good (default: none)
"""

import datetime as dt
import os
import subprocess
from pathlib import Path
from typing import Any

from airflow.exceptions import AirflowException, AirflowFailException
from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import ShortCircuitOperator
from airflow.sdk import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

_OF_INTERVAL = "{{ data_interval_end | ds }}"
_SINCE = "--since {{ data_interval_start | ds }} "
_NEVER_BETTER = {
    2: "a setting or an option is wrong",
    3: "an input is refused, and nothing was published: see the lines above for the file or column, and the mend",
}
"""Exit statuses of attune that another try would only repeat. 1 (anything else) and 4 (something missing, such as room on a disk)
are tried again."""


class AttuneOperator(BashOperator):
    """A job of attune; its exit status says whether another try makes sense."""

    ui_color = "#e6f2ef"

    def execute(self, context: Any) -> Any:
        """Run the job. Raises AirflowFailException, which is not retried, where the status says that nothing would change."""
        try:
            return super().execute(context)
        except AirflowException as error:
            process = self.subprocess_hook.sub_process
            status = process.returncode if process is not None else None
            if status in _NEVER_BETTER:
                raise AirflowFailException(f"exit status {status}: {_NEVER_BETTER[status]}") from error
            raise


def alert(context: Any) -> None:
    """Tell people of a task that has failed for good; the task fails all the same where that cannot be done."""
    task, error = context["task_instance"], context.get("exception")
    line = f"{task.dag_id}.{task.task_id} of {context['data_interval_start']:%Y-%m-%d} failed: {error}\n"
    if command := os.environ.get("ATTUNE_ALERT"):
        subprocess.run(command, shell=True, input=line, text=True, check=True, timeout=60)


def is_latest(data_interval_end: dt.datetime, dag_run: Any, **_: Any) -> bool:
    """Whether no later day has ended yet. A run with {"publish": true} in its configuration counts as that of the latest day."""
    ended = dt.datetime.now(dt.UTC) - data_interval_end
    return ended < dt.timedelta(days=1) or bool((dag_run.conf or {}).get("publish"))


def trains(data_interval_end: dt.datetime, dag_run: Any, **_: Any) -> bool:
    """Whether the run of the latest day makes models: once a week, or where its configuration has {"train": true}, as the first must."""
    weekday = int(os.environ.get("ATTUNE_TRAIN_WEEKDAY", "1"))
    due = data_interval_end.isoweekday() == weekday or bool((dag_run.conf or {}).get("train"))
    return due and is_latest(data_interval_end, dag_run)


def job(name: str, since: str = "", **options: Any) -> AttuneOperator:
    """A task of one job, over its data interval."""
    home = os.environ.get("ATTUNE_HOME") or str(Path(__file__).resolve().parents[2])
    words = [f"{home}/spark-submit.sh", os.environ.get("ATTUNE_SPARK_OPTIONS", ""), name]
    words += [os.environ.get("ATTUNE_OPTIONS", ""), f"{since}--as-of {_OF_INTERVAL}"]
    return AttuneOperator(
        task_id=name,
        bash_command=" ".join(filter(None, words)),
        append_env=True,
        pool=os.environ.get("ATTUNE_POOL", "default_pool"),
        **options,
    )


with DAG(
    dag_id="attune",
    description="Personalised marketing: a day of logs cleaned, features, models by the week, lists of the latest day",
    # Whole days from midnight to midnight, UTC; "@daily" has no interval in Airflow 3.
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=dt.datetime.fromisoformat(os.environ.get("ATTUNE_START", "2026-01-01")).replace(tzinfo=dt.UTC),
    catchup=True,
    # Days may come in any order, but two runs at once would change the same tables, and the later commit fails.
    max_active_runs=1,
    default_args={
        "retries": 2,
        "retry_delay": dt.timedelta(minutes=5),
        "retry_exponential_backoff": True,
        "execution_timeout": dt.timedelta(hours=6),
        "on_failure_callback": alert,
    },
    user_defined_macros={"trains": trains},
    tags=["attune"],
) as dag:
    clean = job("clean", since=_SINCE)
    # Training learns from features and examples of earlier dates, too, which a run over all days makes.
    featurize = job(
        "featurize",
        since="{% if not trains(data_interval_end, dag_run) %}" + _SINCE + "{% endif %}",
    )
    latest = ShortCircuitOperator(task_id="latest", python_callable=is_latest, ignore_downstream_trigger_rules=False)
    training_day = ShortCircuitOperator(
        task_id="training_day", python_callable=trains, ignore_downstream_trigger_rules=False
    )
    train = job("train", execution_timeout=dt.timedelta(hours=12))
    score = job("score", trigger_rule="none_failed")
    recommend = job("recommend")
    evaluate = job("evaluate")
    report = job("report", trigger_rule="none_failed_min_one_success")

    clean >> featurize >> latest >> training_day >> train >> score >> recommend >> report
    latest >> score
    [train, recommend] >> evaluate >> report
