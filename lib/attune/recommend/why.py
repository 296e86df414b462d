"""One user's recommendations with scores, sources and reasons, printed. Starts no JVM."""

import argparse
from typing import Any

from attune import config
from attune.catalog import catalog_session, open_tables
from attune.clean.pseudonyms import pseudonym, read_key
from attune.columns import aligned
from attune.errors import InputError
from attune.recommend.batch import ANYONE
from attune.tables import Tables

_HEAD = ("rank", "item", "title", "score", "sources", "reasons")


def main(argv: list[str] | None = None) -> int:
    """Print the list of a user, whose id may be that of the log or its pseudonym.

    Raises InputError where no recommendations were made yet.
    """
    parser = argparse.ArgumentParser(
        prog="attune why", description="Print a user's recommendations with scores, sources and reasons. Starts no JVM."
    )
    parser.add_argument(
        "user", help=f"user id, as in the log; {ANYONE} and {ANYONE}:REGION are the lists for strangers"
    )
    parser.add_argument(
        "--config", action="append", metavar="FILE", help="settings file, or a name in conf/ (default: demo)"
    )
    parser.add_argument("--set", action="append", metavar="KEY=VALUE", default=[], help="one setting")
    given = parser.parse_args(argv)
    settings = config.load(given.config or ["demo"], given.set)
    tables = open_tables(settings, catalog_session(settings))
    rows = recommendations_of(tables, given.user)
    if not rows and (key := read_key(settings.clean.pseudonym_key)):
        rows = recommendations_of(tables, pseudonym(given.user, key))
    if rows:
        print(f"{given.user}, as of {rows[0]['as_of']}")
    else:
        rows = recommendations_of(tables, ANYONE)
        print(f"{given.user} is not among the users with recommendations: what a stranger is shown")
    titles = titles_of(tables, [row["item_id"] for row in rows])
    lines = [
        (row["rank"], row["item_id"], titles.get(row["item_id"], ""), f"{row['score']:.4f}", ", ".join(row["sources"]),
         "; ".join(row["reasons"]))
        for row in rows
    ]  # fmt: skip
    print(aligned([_HEAD, *lines]))
    return 0


def recommendations_of(tables: Tables, user: str) -> list[dict[str, Any]]:
    """Rows of table recommendations of a user, best first. Raises InputError where the table does not exist."""
    if not tables.exists("recommendations"):
        raise InputError(f"no recommendations in {tables.place} yet: run the pipeline, or the job recommend")
    return sorted(tables.lookup("recommendations", "user_id", [user]), key=lambda row: int(row["rank"]))


def titles_of(tables: Tables, item_ids: list[str]) -> dict[str, str]:
    """Titles of items, of those that have one."""
    if not tables.exists("items"):
        return {}
    found = tables.lookup("items", "item_id", item_ids, ["item_id", "title"])
    return {row["item_id"]: row["title"] for row in found if row["title"]}
