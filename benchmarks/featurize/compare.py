"""Compare the feature tables that two programs wrote: the same keys, and the same values but for the last digits.

Usage: python compare.py FOLDER_A FOLDER_B COLUMNS.json. Prints what differs as JSON; nothing where all is equal.
"""

import json
import sys
from pathlib import Path

import duckdb

KEYS = {
    "user_features": ("user_id", "as_of"),
    "item_features": ("item_id", "as_of"),
    "user_item_features": ("user_id", "item_id", "as_of"),
}
ABSOLUTE, RELATIVE = 2e-6, 1e-7
"""Money is told to a millionth; decayed counts are sums of weights rounded to 2**-32."""


def main() -> None:
    """Compare all tables, column by column."""
    first, second, columns = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(Path(sys.argv[3]).read_text())["columns"]
    differing = {name: found for name in KEYS if (found := compare(first, second, name, columns[name]))}
    print(json.dumps(differing))


def compare(first: Path, second: Path, name: str, columns: list[str]) -> dict[str, int]:
    """Number of rows that differ, by column; ``rows`` tells those that only one side has."""
    keys, db = KEYS[name], duckdb.connect()
    db.execute("SET TimeZone = 'UTC'")
    for side, folder in (("a", first), ("b", second)):
        files = [str(f) for f in folder.glob(f"{name}*/**/*.parquet")] or [str(folder / f"{name}.parquet")]
        db.execute(f"CREATE VIEW {side} AS SELECT * FROM read_parquet({files!r}, hive_partitioning = true)")
    types = {row[0]: row[1] for row in db.execute("DESCRIBE a").fetchall()}
    values = [column for column in columns if column not in keys]
    checks = ", ".join(f"count(*) FILTER ({_differ(column, types[column])}) AS {column}" for column in values)
    counts = db.execute(f"SELECT count(*) AS n, {checks} FROM a JOIN b USING ({', '.join(keys)})").fetchone()
    assert counts is not None
    sizes = [db.execute(f"SELECT count(*) FROM {side}").fetchone()[0] for side in "ab"]
    found = {"rows": max(sizes) - counts[0], **dict(zip(values, counts[1:], strict=True))}
    return {column: num for column, num in found.items() if num}


def _differ(column: str, sql_type: str) -> str:
    a, b = f"a.{column}", f"b.{column}"
    if sql_type != "DOUBLE":
        return f"{a} IS DISTINCT FROM {b}"
    if column == "price_spread":
        # The root of a difference of two sums: what the sums differ by shows in its square.
        a, b = f"pow({a}, 2)", f"pow({b}, 2)"
    near = f"abs({a} - {b}) <= {ABSOLUTE} + {RELATIVE} * abs({a})"
    return f"({a} IS NULL) != ({b} IS NULL) OR NOT coalesce({near}, true)"


if __name__ == "__main__":
    main()
