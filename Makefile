# The set-up makes .venv on the first use and again after a change of its files; else it takes no time.
PYTHON := .venv/bin/python
PYTEST := SPARK_LOCAL_IP=127.0.0.1 $(PYTHON) -m pytest

.PHONY: help setup check test lanes airflow faults cluster bench quality docs notebooks clean

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: ## make or mend the environment in .venv
	@tools/setup.sh

check: setup ## style, types, import rules, tests without Spark: about a minute
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	$(PYTEST) -q -m "not spark and not slow" --ignore tests/faults --ignore tests/cluster

test: setup ## all tests, and every job on Spark 3.5
	$(PYTEST) --ignore tests/faults --ignore tests/cluster
	tools/lane.sh 3.5

airflow: setup ## the DAG in an Airflow of its own
	$(PYTEST) tests/schedulers

lanes: lane-3.5 lane-4.1 lane-connect ## every job on another Spark, and through Spark Connect

lane-%: setup
	tools/lane.sh $*

faults: setup ## jobs killed, files cut short, disks full: slow
	$(PYTEST) tests/faults

cluster: setup ## the demo on a standalone cluster of two workers on this machine, one of them killed: slow
	$(PYTEST) tests/cluster

bench: setup ## side-by-side measurements, one JSON line each
	@for file in benchmarks/bench_*.py; do $(PYTHON) $$file || exit 1; done

quality: setup ## model quality on the real data
	@for file in benchmarks/quality_*.py; do $(PYTHON) $$file || exit 1; done

docs: setup ## write the pages of the jobs and tables anew
	$(PYTHON) tools/job_pages.py

notebooks: setup ## write notebooks/*.ipynb from their text
	$(PYTHON) tools/notebooks.py

clean: ## remove what was built; keeps .venv and the workspace
	rm -rf build dist lib/attune.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find lib jobs tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
