"""Who is to be forgotten: ids from the settings, their pseudonyms, and the hashes by which they are told."""

import datetime as dt
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from attune.catalog import require_folders
from attune.clean.forgotten import hash_id
from attune.clean.pseudonyms import pseudonym, read_key
from attune.config import Config
from attune.errors import SettingsError
from attune.tables import conform

if TYPE_CHECKING:
    from attune.run import Run


def read_ids(settings: Config) -> frozenset[str]:
    """The users to forget, as their ids stand in the source.

    Raises SettingsError where none is given, and where the tables are not in the workspace.
    """
    require_folders(settings, "forget")
    ids = {user.strip() for user in settings.forget.users}
    if (file := settings.forget.users_file) is not None:
        try:
            ids |= {line.strip() for line in Path(file).read_text(encoding="utf-8-sig").splitlines()}
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"setting forget.users_file: {file} cannot be read: {type(error).__name__}") from None
    ids.discard("")
    if not ids:
        raise SettingsError(
            "no user is given: set forget.users_file to a file with an id a line, or forget.users=[...]"
        )
    return frozenset(ids)


def with_pseudonyms(ids: frozenset[str], settings: Config) -> frozenset[str]:
    """Ids as they may stand in a workspace: as in the source and, with ``clean.pseudonym_key``, as in the tables."""
    key = read_key(settings.clean.pseudonym_key)
    return ids if key is None else ids | {pseudonym(user, key) for user in ids}


def keep_out(run: "Run", ids: frozenset[str], erased: dict[str, int]) -> list[str]:
    """Add users to table ``forgotten``, so that clean drops what it reads of them. Returns their hashes.

    Args:
        erased: the first version of each table that is without them. For one who was added before, later versions of a
            table replace earlier ones and the others stay.
    """
    rows = run.read("forgotten").collect() if run.has("forgotten") else []
    known = {row["hash"]: (row["salt"], row["ds"], row["erased"]) for row in rows}
    salt = rows[0]["salt"] if rows else secrets.token_hex(16)
    hashes = sorted(hash_id(user, salt) for user in ids)
    now = dict(known)
    for user in hashes:
        _, day, before = known.get(user, (salt, dt.datetime.now(dt.UTC).date(), []))
        versions = versions_of(before) | erased
        now[user] = (salt, day, [f"{table}@{version}" for table, version in sorted(versions.items())])
    if now != known:
        frame = run.spark.createDataFrame(
            [(user, *told) for user, told in sorted(now.items())],
            "hash string, salt string, ds date, erased array<string>",
        )
        run.write({"forgotten": conform(frame, "forgotten")})
    return hashes


def versions_of(erased: list[str]) -> dict[str, int]:
    """``TABLE@VERSION`` as numbers.

    >>> versions_of(["events@3", "users@0"])
    {'events': 3, 'users': 0}
    """
    pairs = (told.partition("@") for told in erased)
    return {table: int(version) for table, _, version in pairs}


def erased_versions(run: "Run") -> dict[str, int]:
    """The first version of each table that is without any of the users forgotten so far."""
    versions: dict[str, int] = {}
    for row in run.read("forgotten").collect() if run.has("forgotten") else []:
        for table, version in versions_of(row["erased"]).items():
            versions[table] = max(version, versions.get(table, 0))
    return versions
