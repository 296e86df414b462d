"""The Databricks bundle: what its published schema allows, command lines that attune takes, and a wheel that leaves runtimes whole."""

import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import setuptools
import yaml
from databricks.bundles.jobs import Job
from databricks.bundles.schemas import Schema
from databricks.bundles.volumes import Volume
from packaging.requirements import Requirement

from attune import cli

ROOT = Path(__file__).parents[1]
BUNDLE: dict[str, Any] = yaml.safe_load((ROOT / "databricks.yml").read_text(encoding="utf-8"))
JOBS: dict[str, dict[str, Any]] = BUNDLE["resources"]["jobs"]
STEPS = ["clean", "featurize", "train", "score", "recommend", "evaluate", "report"]

# Keys of bundle/schema/jsonschema.json of github.com/databricks/cli that are not part of a resource.
TOP = {"artifacts", "bundle", "experimental", "include", "permissions", "presets", "python", "resources", "run_as", "scripts",
       "sync", "targets", "variables", "workspace"}  # fmt: skip
KEYS = {
    "bundle": {"cluster_id", "compute_id", "databricks_cli_version", "deployment", "git", "name", "uuid"},
    "artifact": {"build", "dynamic_version", "executable", "files", "path", "type"},
    "variable": {"default", "description", "lookup", "type"},
    "sync": {"exclude", "include", "paths"},
    "target": {"artifacts", "bundle", "cluster_id", "compute_id", "default", "git", "mode", "permissions", "presets",
               "resources", "run_as", "sync", "variables", "workspace"},
    "workspace": {"artifact_path", "auth_type", "file_path", "host", "profile", "resource_path", "root_path", "state_path"},
}  # fmt: skip

# Of the packages that attune asks for, what the runtimes bring: python/dbr/{15.4.x-cpu-ml-scala2.12,17.3.x-cpu-ml-scala2.13} of
# github.com/databricks/environments. PySpark is part of the runtime and not installed with pip, so pip knows nothing of it.
RUNTIMES = {
    "15.4": {
        "jinja2": "3.1.2", "lightgbm": "4.3.0", "numpy": "1.23.5", "pandas": "1.5.3", "pillow": "9.4.0", "pyarrow": "14.0.1",
        "pydantic": "1.10.6", "pyyaml": "6.0", "safetensors": "0.4.2", "scikit-learn": "1.3.0", "scipy": "1.11.1",
        "torch": "2.3.1", "transformers": "4.41.2",
    },
    "17.3": {
        "jinja2": "3.1.5", "lightgbm": "4.6.0", "numpy": "2.1.3", "pandas": "2.2.3", "pillow": "11.1.0", "pyarrow": "19.0.1",
        "pydantic": "2.10.6", "pyyaml": "6.0.2", "safetensors": "0.6.2", "scikit-learn": "1.6.1", "scipy": "1.15.1",
        "torch": "2.7.0", "transformers": "4.51.3",
    },
}  # fmt: skip
REPLACED = {
    "15.4": {"numpy", "pandas", "pillow", "pydantic", "safetensors", "scikit-learn", "transformers"},
    "17.3": {"transformers"},
}


def wheel() -> dict[str, Any]:
    """What setup.py says of the wheel."""
    asked: dict[str, Any] = {}
    original, setuptools.setup = setuptools.setup, asked.update
    try:
        runpy.run_path(str(ROOT / "setup.py"))
    finally:
        setuptools.setup = original
    return asked


@pytest.mark.parametrize("name", JOBS)
def test_jobs_are_as_the_published_models_want_them(name: str) -> None:
    """They refuse unknown keys, wrong types and unknown values; a typo would show only at the deployment."""
    job = Job.from_dict(JOBS[name])
    assert [task.task_key for task in job.tasks] == STEPS
    with pytest.raises(ValueError, match="paramters"):
        Job.from_dict(JOBS[name] | {"paramters": []})


def test_schema_and_volume_are_as_the_published_models_want_them() -> None:
    assert Schema.from_dict(BUNDLE["resources"]["schemas"]["attune"]).as_dict()["name"] == "${var.schema}"
    assert Volume.from_dict(BUNDLE["resources"]["volumes"]["workspace"]).volume_type.value == "MANAGED"


def test_all_else_has_only_keys_of_the_published_schema() -> None:
    assert set(BUNDLE) <= TOP
    assert set(BUNDLE["bundle"]) <= KEYS["bundle"]
    assert set(BUNDLE["sync"]) <= KEYS["sync"]
    for kind in ("artifact", "variable", "target"):
        for name, value in BUNDLE[f"{kind}s"].items():
            assert set(value) <= KEYS[kind], name
    assert {target["mode"] for target in BUNDLE["targets"].values()} == {"development", "production"}
    assert set(BUNDLE["targets"]["prod"]["workspace"]) <= KEYS["workspace"]


def test_every_reference_is_declared_and_every_variable_used() -> None:
    text = "\n".join(
        line.partition("#")[0] for line in (ROOT / "databricks.yml").read_text(encoding="utf-8").splitlines()
    )
    assert set(re.findall(r"\$\{var\.(\w+)\}", text)) == set(BUNDLE["variables"])
    assert set(BUNDLE["targets"]["prod"]["variables"]) <= set(BUNDLE["variables"])
    for kind, name in re.findall(r"\$\{resources\.(\w+)\.(\w+)\.", text):
        assert name in BUNDLE["resources"][kind]
    for job in JOBS.values():
        parameters = {parameter["name"] for parameter in job["parameters"]}
        assert set(re.findall(r"\{\{job\.parameters\.(\w+)\}\}", str(job["tasks"]))) == parameters


def filled(text: str, job: dict[str, Any]) -> str:
    """A parameter of a task as the job gets it."""
    values = {f"var.{name}": str(variable.get("default", name)) for name, variable in BUNDLE["variables"].items()}
    values |= {"resources.schemas.attune.name": "attune", "resources.volumes.workspace.name": "workspace"}
    values |= {f"job.parameters.{parameter['name']}": parameter["default"] for parameter in job["parameters"]}
    values["job.start_time.iso_date"] = "2026-03-01"
    for _ in range(2):  # parameters refer to values themselves
        text = re.sub(r"\$?\{\{?([\w.]+)\}\}?", lambda match: values[match[1]], text)
    return text


@pytest.mark.parametrize("name", JOBS)
def test_each_task_is_a_command_line_that_attune_takes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    keys: list[str] = []
    for task in JOBS[name]["tasks"]:
        assert task.get("depends_on", []) == [{"task_key": key} for key in keys[-1:]]
        keys.append(task["task_key"])
        assert task["job_cluster_key"] in {cluster["job_cluster_key"] for cluster in JOBS[name]["job_clusters"]}
        assert (task["max_retries"], task["timeout_seconds"] > 0) == (1, True)
        words = [filled(word, JOBS[name]) for word in task["python_wheel_task"]["parameters"]]
        assert words[0] == task["task_key"]
        assert cli.main([*words, "--dry-run"]) == 0
        told = capsys.readouterr().out
        assert f"{words[0]} as of 2026-03-01 would read" in told
        assert re.search(r" catalog\.attune\.\w+ +looked up when the job runs", told)
        assert "summary in /Volumes/catalog/attune/workspace/runs" in told


def test_the_two_jobs_differ_in_runtime_and_launcher_alone() -> None:
    launchers = {}
    for name, job in JOBS.items():
        given = {parameter["name"]: parameter["default"] for parameter in job["parameters"]}
        versions = {cluster["new_cluster"]["spark_version"][:4] for cluster in job["job_clusters"]}
        launchers[name] = (*versions, given["launcher"], given["reader"])
    assert launchers == {
        "attune": ("15.4", "horovod", "petastorm"),
        "attune_torch": ("17.3", "torch", "pyarrow"),
    }
    assert JOBS["attune"]["tasks"] == JOBS["attune_torch"]["tasks"]


def test_the_schedule_is_paused_except_in_production() -> None:
    assert JOBS["attune"]["schedule"]["pause_status"] == "${var.schedule_status}"
    assert BUNDLE["variables"]["schedule_status"]["default"] == "PAUSED"
    assert BUNDLE["targets"]["prod"]["variables"]["schedule_status"] == "UNPAUSED"
    assert "schedule" not in JOBS["attune_torch"]


def test_the_entry_point_is_in_the_wheel_and_a_failed_job_is_a_failed_task() -> None:
    """A wheel task ignores what its function returns: an exit status would be lost, and the next task would start."""
    scripts = dict(script.split("=") for script in wheel()["entry_points"]["console_scripts"])
    for job in JOBS.values():
        for task in job["tasks"]:
            run = task["python_wheel_task"]
            assert (run["package_name"], run["entry_point"] in scripts) == (wheel()["name"], True)
    module, function = scripts["attune"].split(":")
    code = f"import sys; from {module} import {function}; sys.argv = ['attune', *sys.argv[1:]]; {function}(); print('next')"
    for words, status in ((["--version"], 0), (["clean", "--set", "sede=3"], 2)):
        done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stderr
        assert ("next" in done.stdout) == (status == 0)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_installing_the_wheel_leaves_the_runtime_its_spark_torch_and_pyarrow(runtime: str) -> None:
    python = {"python_version": {"15.4": "3.11", "17.3": "3.12"}[runtime]}
    asked = [r for r in map(Requirement, wheel()["install_requires"]) if r.marker is None or r.marker.evaluate(python)]
    requirements = {r.name.lower(): r for r in asked}
    assert not {"pyspark", "petastorm", "horovod"} & set(requirements)
    brought = RUNTIMES[runtime]
    replaced = {name for name, r in requirements.items() if name in brought and brought[name] not in r.specifier}
    assert replaced == REPLACED[runtime]
    # pyarrow 14 and torch 2.3 were built for numpy 1; pip takes the newest that it may.
    assert ("2.0.0" in requirements["numpy"].specifier) == (runtime == "17.3")


def test_transformers_is_pinned_below_what_needs_a_newer_torch() -> None:
    """Version 5 needs torch 2.4, and 15.4 has 2.3.1; pip does not know, since torch is no requirement of transformers."""
    asked = next(r for r in map(Requirement, wheel()["install_requires"]) if r.name == "transformers")
    for job in JOBS.values():
        for task in job["tasks"]:
            (pinned,) = [Requirement(lib["pypi"]["package"]) for lib in task["libraries"] if "pypi" in lib]
            assert pinned.name == "transformers"
            assert "5.0.0" not in pinned.specifier
            assert "4.57.1" in pinned.specifier & asked.specifier
