"""Full disks: found in whatever error they cause, and told in one line that names the place and the mend."""

import errno
import re
import shutil
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from attune.errors import MissingError

_TOLD = re.compile(r"No space left on device|Disk quota exceeded|not enough space on the disk|os error 28\b")
_EXECUTOR = re.compile(r"\((\S+) executor (?!driver\b)\w+\)")
_MIB = 2**20
_LITTLE = 256 * _MIB
"""Bytes free on a disk that was full a moment ago, at most, unless the failed run has taken much back."""


@dataclass(frozen=True)
class _Place:
    """A folder that a setting names, and its disk as it is now."""

    setting: str
    folder: Path
    device: int
    free_bytes: int


def is_full_disk(error: BaseException) -> bool:
    """Whether a full disk is the cause of an error, in Python, in Spark's JVM or in a worker of it."""
    return any(
        (isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)) or _TOLD.search(str(cause))
        for cause in _causes(error)
    )


def explain_full_disk(error: BaseException, folders: Mapping[str, Sequence[str]]) -> MissingError | None:
    """Say which disk is full; None where the error has another cause.

    Args:
        folders: for each setting the folders that it names. Errors of the JVM tell no path, so the one with the least
            room is told, unless all have much room and the error names one.
    """
    if not is_full_disk(error):
        return None
    text = "\n".join(f"{getattr(cause, 'filename', '')} {cause}" for cause in _causes(error))
    places = sorted(_places(folders), key=lambda place: place.free_bytes)
    full = places[0]
    if full.free_bytes > _LITTLE:
        full = next((place for place in places if f"{place.folder}/" in text), full)
        if f"{full.folder}/" not in text and (host := _other_host(text)):
            return MissingError(f"no space left on a disk of {host}: free space there, or set {' or '.join(folders)}")
    settings = dict.fromkeys([full.setting, *(place.setting for place in places if place.device == full.device)])
    return MissingError(
        f"no space left on {full.folder} ({full.free_bytes / _MIB:.1f} MiB free now): free space there, "
        f"or set {' and '.join(settings)} to a folder on a larger disk"
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, what it was raised from, and what was being handled when it was raised."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _places(folders: Mapping[str, Sequence[str]]) -> Iterator[_Place]:
    for setting, named in folders.items():
        for folder in named:
            path = Path(folder).absolute()
            existing = next(parent for parent in (path, *path.parents) if parent.exists())
            yield _Place(setting, path, existing.stat().st_dev, shutil.disk_usage(existing).free)


def _other_host(text: str) -> str | None:
    """The machine of the executor on which the disk was full, where that is not this machine."""
    found = _EXECUTOR.search(text)
    if found is None or found[1] in ("localhost", "127.0.0.1", socket.gethostname()):
        return None
    return found[1]
