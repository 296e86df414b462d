"""The console command ``attune``: lists the jobs, runs one, or looks at the tables. Listing needs the standard library only."""

import argparse
import ast
import importlib
import os
import sys
from collections.abc import Callable
from importlib import resources
from importlib.resources.abc import Traversable

from attune import __version__
from attune.columns import aligned
from attune.errors import AttuneError, SettingsError, nearest

_ORDER = ("generate", "clean", "featurize", "train", "score", "recommend", "evaluate", "report", "pipeline")

_USAGE = """\
usage: ./spark-submit.sh [spark-submit options] JOB [--config FILE]... [--set KEY=VALUE]... [--as-of DATE] [--dry-run]
       attune JOB ...                     the same, where the package is installed

On a cluster (--master, or --properties-file conf/cluster/yarn.conf) the packages go along; where the nodes have them,
set PYSPARK_PYTHON to the Python there. docs/cluster.md tells more.

{jobs}

JOB --help tells more. Settings files in conf/ go by their names, such as --config online_retail; default: demo."""


def main(argv: list[str] | None = None) -> int:
    """Run a command line; returns the exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    name, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if name in ("-h", "--help", "help"):
        print(_USAGE.format(jobs=aligned([*jobs().items(), *((n, text) for n, (text, _) in _COMMANDS.items())])))
        return 0
    if name == "--version":
        print(f"attune {__version__}")
        return 0
    try:
        if name in _COMMANDS:
            status = _COMMANDS[name][1](rest)
            sys.stdout.flush()
            return status
        known = jobs()
        if name not in known:
            raise SettingsError(f"{name} is not a job{nearest(name, [*known, *_COMMANDS])}")
    except AttuneError as error:
        print(f"attune: error: {error}", file=sys.stderr)
        return error.exit_status
    except BrokenPipeError:  # who reads it, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if {"-h", "--help"} & set(rest):
        return _help(name)
    job = getattr(importlib.import_module(f"attune.jobs.{name}"), name)
    return int(job.main(rest))


def run() -> None:
    """The console command. Ends with SystemExit where the status is not 0: a Databricks wheel task ignores what is returned."""
    if status := main():
        sys.exit(status)


def jobs() -> dict[str, str]:
    """Name and first line of help of each job, in the order in which the pipeline runs them; imports none."""
    names = (file.name.removesuffix(".py") for file in _folder().iterdir() if file.name.endswith(".py"))
    ordered = sorted((name for name in names if not name.startswith("_")), key=_rank)
    return {name: (ast.get_docstring(_function(name)) or "").partition("\n")[0] for name in ordered}


def _help(name: str) -> int:
    """Help of a job, from its source: importing what it works with would take seconds."""
    from attune.run import Job

    function = _function(name)
    keywords = {k.arg: k.value for d in function.decorator_list if isinstance(d, ast.Call) for k in d.keywords}
    options = ast.literal_eval(keywords["options"]) if "options" in keywords else {}
    return Job(name, ast.get_docstring(function) or "", (), (), lambda run: None, options).main(["--help"])


def _folder() -> Traversable:
    return resources.files("attune") / "jobs"


def _function(name: str) -> ast.FunctionDef:
    """The function of a job, which is named like its file."""
    source = ast.parse((_folder() / f"{name}.py").read_text(encoding="utf-8"))
    return next(node for node in source.body if isinstance(node, ast.FunctionDef) and node.name == name)


def _rank(name: str) -> tuple[int, str]:
    return (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)


def _doctor(argv: list[str]) -> int:
    from attune import doctor

    return doctor.main(argv)


def _features(argv: list[str]) -> int:
    from attune.features import dictionary

    return dictionary.main(argv)


def _tables(argv: list[str]) -> int:
    """List the tables of a workspace, or the versions of one."""
    parser = argparse.ArgumentParser(prog="attune tables", description=f"{_COMMANDS['tables'][0]} Starts no JVM.")
    parser.add_argument("table", nargs="?", help="one table: its versions")
    parser.add_argument("--path", action="store_true", help="print only the path of the table")
    parser.add_argument(
        "--config", action="append", metavar="FILE", help="settings file, or a name in conf/ (default: demo)"
    )
    parser.add_argument("--set", action="append", metavar="KEY=VALUE", default=[], help="one setting")
    given = parser.parse_args(argv)

    from attune import config
    from attune.catalog import catalog_session, open_tables

    settings = config.load(given.config or ["demo"], given.set)
    tables = open_tables(settings, catalog_session(settings))
    if given.path:
        print(tables.path(given.table) if given.table else tables.place)
        return 0
    if given.table:
        versions = tables.history(given.table)
        print(f"{given.table} in {tables.path(given.table)}")
        rows = [(v.version, v.rows, v.timestamp, v.operation.lower(), v.run_id or "") for v in versions]
        print(aligned([("version", "rows", "time (UTC)", "operation", "run"), *rows]))
        return 0
    names = tables.names()
    if not names:
        print(f"no tables in {tables.place} yet; the pipeline or a job writes them")
        return 0
    latest = [(name, tables.history(name)[0]) for name in names]
    print(f"tables in {tables.place}")
    print(
        aligned([("table", "version", "rows", "time (UTC)"), *((n, v.version, v.rows, v.timestamp) for n, v in latest)])
    )
    return 0


def _why(argv: list[str]) -> int:
    from attune.recommend import why

    return why.main(argv)


_COMMANDS: dict[str, tuple[str, Callable[[list[str]], int]]] = {
    "doctor": ("Check this machine and environment, and name the mend of what is wrong.", _doctor),
    "features": ("Print the data dictionary of the features; --markdown with formulas.", _features),
    "tables": ("List the tables with versions and rows, or the versions of one.", _tables),
    "why": ("Print a user's recommendations with scores, sources and reasons.", _why),
}
