"""Secrets, which settings refer to but never hold: ``env:NAME``, or ``secret:SCOPE/NAME`` on Databricks."""

import os

from attune.errors import SettingsError

REFERENCE = "^(env:[A-Za-z_][A-Za-z0-9_]*|secret:[^/]+/[^/]+)$"


def read_secret(reference: str, setting: str, how: str = "put it there") -> str:
    """What a reference stands for. Raises SettingsError, which names the setting and never the secret, where it is absent."""
    kind, _, name = reference.partition(":")
    found = os.environ.get(name) if kind == "env" else _databricks_secret(reference, setting)
    if not found:
        raise SettingsError(f"setting {setting}: {reference} is not set; {how}")
    return found


def _databricks_secret(reference: str, setting: str) -> str:
    try:
        from databricks.sdk.runtime import dbutils  # type: ignore[import-not-found]
    except ImportError:
        raise SettingsError(
            f"setting {setting}: {reference} can be read on Databricks only; use env:NAME here"
        ) from None
    scope, name = reference.removeprefix("secret:").split("/", 1)
    return str(dbutils.secrets.get(scope, name))
