"""A disk of some megabytes that can be filled: a tmpfs, which only root may mount."""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

_PAGE = 4096
_MIB = 2**20


@dataclass
class Disk:
    """A small disk, and what was seen of its room."""

    folder: Path
    size_mib: int
    full_at: float | None = None
    """When it was first seen without room, by the clock of time.monotonic."""
    least_free_bytes: int = 2**62

    def free_bytes(self) -> int:
        """Room that is left."""
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def fill(self, leave_bytes: int = 0) -> None:
        """Take all room but so many bytes, in whole pages."""
        with (self.folder / "ballast").open("ab", buffering=0) as ballast:
            while (more := (self.free_bytes() - leave_bytes) // _PAGE) > 0:
                with suppress(OSError):  # somebody else was quicker
                    ballast.write(bytes(more * _PAGE))

    def empty(self) -> None:
        """Give back what was filled."""
        (self.folder / "ballast").unlink()

    @contextmanager
    def watched(
        self, begun: Callable[[], bool] = lambda: True, fill_once: Callable[[], bool] = lambda: False
    ) -> Iterator[None]:
        """Note the least room, and when there was none: a write that does not fit takes what is left before it fails.

        Args:
            begun: from when on to note that there was none.
            fill_once: from when on to take all room, again and again.
        """
        stop = threading.Event()

        def watch() -> None:
            filling, looking = False, False
            while not stop.wait(0.0005):
                filling, looking = filling or fill_once(), looking or begun()
                if filling:
                    self.fill()
                free = self.free_bytes()
                self.least_free_bytes = min(self.least_free_bytes, free)
                if looking and free < _PAGE and self.full_at is None:
                    self.full_at = time.monotonic()

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            stop.set()
            watcher.join()


@contextmanager
def mounted(folder: Path, size_mib: int = 16, options: str = "") -> Iterator[Disk]:
    """A small disk for as long as the context lasts; the test is skipped where none can be mounted."""
    folder.mkdir()
    options = f"size={size_mib}m{options}"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=False, capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
    try:
        yield Disk(folder, size_mib)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
