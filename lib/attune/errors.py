"""Errors a user can cause, each with the exit status of its kind and a message that names the mend."""

from collections.abc import Iterable
from difflib import get_close_matches


class AttuneError(ValueError):
    """Base of every error that a user can cause."""

    exit_status = 1


class SettingsError(AttuneError):
    """A wrong command line or setting."""

    exit_status = 2


class InputError(AttuneError):
    """An input, table or model that is refused; nothing was published."""

    exit_status = 3


class MissingError(AttuneError):
    """Something that the machine or the installation lacks."""

    exit_status = 4


class StepError(AttuneError):
    """A step of a pipeline that failed; it has the exit status of the step."""

    def __init__(self, message: str, exit_status: int) -> None:
        super().__init__(message)
        self.exit_status = exit_status


_MOST_NAMES = 20
"""Names that an error lists: brands and categories may be thousands."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which known name is nearest to a misspelt one.

    >>> nearest("sede", ["seed", "as_of"])
    "; did you mean 'seed'?"
    >>> nearest("zzz", ["seed", "as_of"])
    '; known: as_of, seed'
    """
    names = sorted(known)
    matches = get_close_matches(name, names, n=1)
    if matches:
        return f"; did you mean {matches[0]!r}?"
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"; known: {', '.join(names[:_MOST_NAMES])}{more}"
