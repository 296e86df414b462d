"""The data dictionary of the features, printed from the registry. Starts no JVM."""

import argparse
import sys
from collections.abc import Iterable

from attune.columns import aligned
from attune.errors import SettingsError, nearest
from attune.feature_registry import FEATURES, ITEM_SUMS, USER_SUMS, Feature
from attune.schemas import TABLES

_SUMS = {"user_features": USER_SUMS, "item_features": ITEM_SUMS}
_HEAD = ("feature", "type", "unit", "window", "meaning")


def main(argv: list[str] | None = None) -> int:
    """Print the dictionary of all feature tables, or of one. Raises SettingsError for a table without features."""
    parser = argparse.ArgumentParser(prog="attune features", description="Print the data dictionary of the features.")
    parser.add_argument("table", nargs="?", help=f"one table: {', '.join(FEATURES)}")
    parser.add_argument("--markdown", action="store_true", help="as Markdown, with the formula of each feature")
    given = parser.parse_args(argv)
    if given.table and given.table not in FEATURES:
        raise SettingsError(f"{given.table} is not a table of features{nearest(given.table, FEATURES)}")
    chosen = [given.table] if given.table else list(FEATURES)
    sys.stdout.write("\n".join((markdown if given.markdown else terminal)(name) for name in chosen))
    return 0


def terminal(table: str) -> str:
    """Features of a table in aligned columns, under its grain."""
    rows = [(f.name, f.type, f.unit, f.window, f.meaning) for f in FEATURES[table]]
    return f"{table}: {TABLES[table].grain}\n{aligned([_HEAD, *rows])}\n"


def markdown(table: str) -> str:
    """Features of a table as Markdown, with what they are computed from."""
    lines = [f"## {table}", "", f"Grain: {TABLES[table].grain}. Keys: {_keys(table)}.", ""]
    rows = ((f"`{f.name}`", f.type, f.unit, f.window, f.meaning, _formula(f)) for f in FEATURES[table])
    lines += [*_rows((*_HEAD, "formula (Spark SQL)"), rows), ""]
    if sums := _SUMS.get(table):
        lines += [
            "Sums that formulas use:",
            "",
            *_rows(("sum", "formula"), ((f"`{n}`", f"`{q}`") for n, q in sums.items())),
            "",
        ]
    return "\n".join(lines)


def _formula(feature: Feature) -> str:
    return f"`{feature.sql}`" if feature.sql else "in code"


def _keys(table: str) -> str:
    names = {feature.name for feature in FEATURES[table]}
    return ", ".join(f"`{name}`" for name in TABLES[table].names if name not in names)


def _rows(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    titles = list(head)
    cells = [titles, ["---"] * len(titles), *(list(row) for row in rows)]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in cells]
