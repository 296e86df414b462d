"""Runs in Airflow's own environment: loads the DAG, runs it for the intervals asked for, and prints as JSON what became of them.

Arguments: folder of the DAG, and a JSON list of {"day": first day of the interval, "conf": configuration of the run}.
"""

import datetime as dt
import json
import sys

from airflow.models import DagBag


def main(folder: str, runs: str) -> None:
    bag = DagBag(folder)
    dag = bag.dags["attune"]
    for task in dag.tasks:  # what is tried again is tried at once
        task.retry_delay, task.retry_exponential_backoff = dt.timedelta(0), False
    outcomes = []
    for run in json.loads(runs):
        day = dt.datetime.fromisoformat(run["day"]).replace(tzinfo=dt.UTC)
        # Of a run by hand Airflow takes the last interval that has ended by its date.
        done = dag.test(logical_date=day + dt.timedelta(days=1), run_conf=run.get("conf"))
        tasks = {ti.task_id: {"state": str(ti.state), "tries": ti.try_number} for ti in done.get_task_instances()}
        outcomes.append({"interval": [str(done.data_interval_start), str(done.data_interval_end)], "tasks": tasks})
    told = {
        "errors": bag.import_errors,
        "edges": {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks},
        "max_active_runs": dag.max_active_runs,
        "catchup": dag.catchup,
        "retries": {task.task_id: task.retries for task in dag.tasks},
        "pools": sorted({task.pool for task in dag.tasks}),
        "runs": outcomes,
    }
    print("\n" + json.dumps(told))


main(*sys.argv[1:])
