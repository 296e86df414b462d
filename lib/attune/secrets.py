"""Secrets, which settings refer to but never hold: ``env:NAME``, or ``secret:SCOPE/NAME`` on Databricks.

What was read by a reference is known to this process, and ``hide`` takes it out of whatever is told: log lines, errors,
tracebacks, summaries, tables. What looks like a secret in the settings themselves is refused before anything starts
(``found_in``): a command line is seen by every user of a machine, and in Spark's web pages.
"""

import json
import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, quote_plus

from attune.errors import SettingsError

REFERENCE = "^(env:[A-Za-z_][A-Za-z0-9_]*|secret:[^/]+/[^/]+)$"

NAMES = (
    "secret|passw(?:or)?d|passphrase|token(?!iz|s(?![a-z]))|credential|signature|authorization"
    "|(?:access|account|api|auth|private|encryption|shared|master|storage)[._-]?key"
)
"""Names of what is secret, case ignored: a regular expression for Python and Java. Tokens of texts are no secrets."""
SPARK_REDACTION = f"(?i)(?:{NAMES}|token)"
"""Spark's own default is a part of it. Of ``spark.redaction.regex``: Spark's pages and event logs show no option whose name or value matches."""

_NAME = re.compile(NAMES, re.IGNORECASE)
_ABOUT = (
    "provider|file|path|dir|location|class|impl|type|enabled|id|name|alias|format|algorithm|length|bits|size|timeout|interval|ms"
    "|seconds|url|uri|endpoint|scheme|mode"
)
_NOT_SECRET = re.compile(rf"(?:[._-](?:{_ABOUT})|(?:{_ABOUT.title()}))$")
"""Ends of names that say where a secret lies, or how it is made, and not what it is."""
_PLAIN = re.compile(r"(?:true|false|null|none|bearer|basic|-?[0-9]{1,3}|)$", re.IGNORECASE)
_USER_AND_PASSWORD = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]*://[^/\s:@?#]*:(?!\$)[^/\s@]+@|jdbc:[a-z:]*[^/\s:@]+/[^\s@/:]+@"
)
_ASSIGNED = re.compile(
    rf"(?:^|[^A-Za-z0-9])(?:[A-Za-z0-9._-]*(?:{NAMES})|sig|pwd)[A-Za-z0-9._-]*['\"]?\s*[=:]\s*['\"]?(?P<value>[^\s;&'\"]+)",
    re.IGNORECASE,
)
_OPTION = re.compile(rf"(?:^|\s)--?[A-Za-z0-9-]*(?:{NAMES})[A-Za-z0-9-]*\s+(?P<value>[^\s-]\S*)", re.IGNORECASE)
_BEARER = re.compile(r"(?:bearer|basic)\s+(?P<value>[A-Za-z0-9+/=._~-]{8,})", re.IGNORECASE)
_LEAST_CHARS = 4
"""Shorter ones are not hidden: taking each "a" out of a log would hide nothing and show which letter it was."""
_LEAST_LINE_CHARS = 8

_known: dict[str, None] = {}
"""Values and the forms in which they may be told, longest first."""


def read_secret(reference: str, setting: str, how: str = "put it there") -> str:
    """What a reference stands for. Raises SettingsError, which names the setting and never the secret, where it is absent."""
    kind, _, name = reference.partition(":")
    found = os.environ.get(name) if kind == "env" else _databricks_secret(reference, setting)
    if not found:
        raise SettingsError(f"setting {setting}: {reference} is not set; {how}")
    register(found)
    return found


def resolved(values: Mapping[str, Any], setting: str) -> dict[str, Any]:
    """Values with references among them replaced by what they stand for."""
    return {
        name: read_secret(value, f"{setting}.{name}") if is_reference(value) else value
        for name, value in values.items()
    }


def is_reference(value: object) -> bool:
    """Whether a value refers to a secret."""
    return isinstance(value, str) and re.match(REFERENCE, value) is not None


def register(secret: str) -> None:
    """Have a value hidden from now on, also where it is escaped as in a URL, JSON or Python; of lines, each longer one."""
    lines = [line.strip() for line in secret.splitlines()] if "\n" in secret else []
    for value in (secret, secret.strip(), *(line for line in lines if len(line) >= _LEAST_LINE_CHARS)):
        if len(value) >= _LEAST_CHARS:
            forms = (value, quote(value, safe=""), quote(value), quote_plus(value), json.dumps(value)[1:-1],
                     json.dumps(value, ensure_ascii=False)[1:-1], repr(value)[1:-1])  # fmt: skip
            _known.update(dict.fromkeys(forms))
    by_length = sorted(_known, key=len, reverse=True)
    _known.clear()
    _known.update(dict.fromkeys(by_length))


def register_references(values: Any) -> None:
    """Have the environment variables hidden that nested settings refer to, also before they are read."""
    if isinstance(values, Mapping):
        values = list(values.values())
    if isinstance(values, list | tuple):
        for value in values:
            register_references(value)
    elif is_reference(values) and values.startswith("env:"):
        register(os.environ.get(values.removeprefix("env:"), ""))


def hide(text: str) -> str:
    """A text with ``<secret>`` in place of every secret that this process has read.

    >>> register("swordfish 7")
    >>> hide("no route to db?user=shop&password=swordfish%207")
    'no route to db?user=shop&password=<secret>'
    """
    for secret in tuple(_known):
        if secret in text:
            text = text.replace(secret, "<secret>")
    return text


def hide_within(value: Any) -> Any:
    """``hide`` for every text in nested mappings and lists; numbers stay numbers."""
    if isinstance(value, Mapping):
        return {hide(key) if isinstance(key, str) else key: hide_within(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [hide_within(inner) for inner in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return hide(str(value))


def names_secret(name: str) -> bool:
    """Whether an option of this name holds a secret.

    >>> [names_secret(name) for name in ("password", "spark.hadoop.fs.s3a.secret.key", "fs.s3a.aws.credentials.provider")]
    [True, True, False]
    """
    found = list(_NAME.finditer(name))
    if not found:
        return False
    rest = name[found[-1].end() :]
    return not _NOT_SECRET.search(rest)


def found_in(value: str, name: str = "") -> bool:
    """Whether an option's value looks like a secret, or holds one: a password of a URL, ``token=...``, a key in an address.

    >>> found_in("hunter2", "password"), found_in("env:DB_PASSWORD", "password"), found_in("jdbc:x://db?password=hunter2")
    (True, False, True)
    >>> found_in("https://shop:hunter2@db/x"), found_in("abfss://raw@lake.example/events"), found_in("curl -H 'X-Token: $T' u")
    (True, False, False)
    """
    if is_reference(value):
        return False
    if names_secret(name) and not _PLAIN.match(value):
        return True
    if _USER_AND_PASSWORD.search(value):
        return True
    return any(
        not _harmless(match["value"]) for pattern in (_ASSIGNED, _OPTION, _BEARER) for match in pattern.finditer(value)
    )


def looks_like_key(address: str) -> bool:
    """Whether a URL has a part that is hard to guess, as those of webhooks have: who knows it may use it.

    >>> looks_like_key("https://hooks.example.com/services/T0AB/B0CD/x8Kq2LmN4pQr6StU"), looks_like_key("https://ops.example.com/alerts")
    (True, False)
    """
    rest = address.partition("://")[2].partition("/")[2]
    parts = re.split(r"[/?&=#]", rest)
    return any(len(part) >= 16 and re.search("[0-9]", part) and re.search("[A-Za-z]", part) for part in parts)


def _harmless(value: str) -> bool:
    """A variable of a shell, a reference, or no secret at all."""
    return value.startswith(("$", "{", "<")) or is_reference(value) or bool(_PLAIN.match(value))


def _databricks_secret(reference: str, setting: str) -> str:
    try:
        from databricks.sdk.runtime import dbutils  # type: ignore[import-not-found]
    except ImportError:
        raise SettingsError(
            f"setting {setting}: {reference} can be read on Databricks only; use env:NAME here"
        ) from None
    scope, name = reference.removeprefix("secret:").split("/", 1)
    return str(dbutils.secrets.get(scope, name))
