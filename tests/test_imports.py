"""The direction of imports inside the package, and what may not reach executors."""

import ast
import pickle
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from attune.clean.rules import Rules
from attune.clean.visits import settle_users
from attune.config import load
from attune.staging import write_partition

LIB = Path(__file__).parents[1] / "lib" / "attune"

# Each may import what stands above it. A component named nowhere is a part of the suite (clean, features, ...), above the jobs.
LAYERS = (
    {
        "__init__",
        "errors",
        "disk",
        "schemas",
        "feature_registry",
        "columns",
        "machine",
        "redaction",
        "secrets",
        "staging",
        "logs",
        "nested",
    },
    {"config"},
    {"catalog", "session", "shared_folder", "tables", "quality", "models", "inputs", "alerts"},
    {"run", "run_metrics", "dry_run"},
    {"*"},
    {"doctor"},
    {"jobs"},
    {"cli"},
    {"__main__"},
)
DRIVER_ONLY = {"deltalake", "jinja2", "matplotlib", "mlflow", "pydantic", "tensorboard"}
RUNS_ON_EXECUTORS = {"pandas_udf", "mapInPandas", "applyInPandas", "mapInArrow", "applyInArrow", "foreachPartition"}


def modules() -> dict[str, ast.Module]:
    """Every module of the package by its dotted name, parsed; links are followed."""
    found = {}
    for file in sorted([*LIB.glob("**/*.py"), *(LIB / "jobs").glob("*.py")]):
        parts = file.relative_to(LIB.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(file.read_text(encoding="utf-8"))
    return found


MODULES = modules()


def imported(node: ast.stmt) -> Iterator[str]:
    """Dotted names of the modules that an import statement loads."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        for alias in node.names:
            full = f"{node.module}.{alias.name}"
            yield full if full in MODULES else str(node.module)


def imports_when_loaded(tree: ast.Module) -> set[str]:
    """What a module imports when it is imported itself: not inside functions, not for type checking."""
    return {name for node in tree.body for name in imported(node)}


def all_imports(tree: ast.Module) -> set[str]:
    return {name for node in ast.walk(tree) if isinstance(node, ast.stmt) for name in imported(node)}


def component(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def layer(module: str) -> int:
    name = component(module)
    named = (number for number, names in enumerate(LAYERS) if name in names)
    return next(named, next(number for number, names in enumerate(LAYERS) if "*" in names))


def reached(module: str) -> dict[str, str]:
    """Modules loaded with one, each with the module of ours that imports it."""
    found: dict[str, str] = {}
    waiting = [module]
    while waiting:
        current = waiting.pop()
        for name in imports_when_loaded(MODULES[current]):
            if name not in found:
                found[name] = current
                if name in MODULES:
                    waiting.append(name)
    return found


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_one_way(module: str) -> None:
    """Without it a change of a job or a part could break what everything rests on."""
    upwards = {name for name in all_imports(MODULES[module]) if name in MODULES and layer(name) > layer(module)}
    assert not upwards, f"{module} imports {sorted(upwards)}, which stand above it"


def test_parts_do_not_import_each_other_in_a_circle() -> None:
    edges = {
        component(module): {component(name) for m in MODULES for name in imports_when_loaded(MODULES[m])
                            if component(m) == component(module) and name in MODULES} - {component(module), "__init__"}
        for module in MODULES
    }  # fmt: skip
    while leaves := {name for name, targets in edges.items() if not targets}:
        edges = {name: targets - leaves for name, targets in edges.items() if name not in leaves}
    assert not edges, f"in a circle: {sorted(edges)}"


def names_used(tree: ast.Module) -> set[str]:
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return attributes | {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


EXECUTOR_MODULES = [name for name, tree in MODULES.items() if names_used(tree) & RUNS_ON_EXECUTORS]


@pytest.mark.parametrize("module", EXECUTOR_MODULES)
def test_executors_need_no_driver_library(module: str) -> None:
    """A worker imports the module of a UDF; a cluster's workers have no deltalake, pydantic or plotting."""
    found = reached(module)
    bad = {name.split(".")[0]: via for name, via in found.items() if name.split(".")[0] in DRIVER_ONLY}
    assert not bad, f"{module} runs on executors and loads " + ", ".join(
        f"{name} (by {via})" for name, via in bad.items()
    )


def test_the_work_of_a_cleaning_task_needs_no_driver_library() -> None:
    """What is sent to a worker is read there, packages with all that their __init__ loads."""
    work = partial(write_partition, partial(settle_users, rules=Rules.of(load(["demo"]).clean)), {})
    blocked = "".join(f"sys.modules[{name!r}] = None; " for name in sorted(DRIVER_ONLY))
    script = f"import pickle, sys; sys.path.insert(0, {str(LIB.parent)!r}); {blocked}pickle.load(sys.stdin.buffer)"
    done = subprocess.run([sys.executable, "-c", script], check=False, input=pickle.dumps(work), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def test_only_one_module_creates_a_session() -> None:
    creators = {name for name, tree in MODULES.items() if "getOrCreate" in names_used(tree)}
    assert creators == {"attune.session"}


def test_the_check_sees_imports() -> None:
    """An empty walk would pass everything."""
    assert len(MODULES) > 10
    assert "attune.errors" in all_imports(MODULES["attune.config"])
    assert "pydantic" in reached("attune.config")
