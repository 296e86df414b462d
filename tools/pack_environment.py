"""Pack the packages of an environment for executors: ``pack_environment.py VENV TARGET.tar.gz``; anew only after a change.

The archive holds no Python: ``bin/python`` in it is ``environment_python``, which starts that of the node it is unpacked on.
"""

import fcntl
import fnmatch
import hashlib
import importlib.metadata
import os
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

STARTER = Path(__file__).with_name("environment_python")
FOR_DEVELOPERS = ("hypothesis", "mypy", "pip", "pytest", "ruff", "types-PyYAML")
LEFT_OUT = (
    "__editable__*", "attune", "attune-*", "*/tests",  # attune itself is what --py-files brings
    "pyspark/bin", "pyspark/examples", "pyspark/jars", "pyspark/licenses", "pyspark/work",  # nodes have a Spark
    "torch/bin/protoc*", "torch/bin/test_*", "torch/include", "torch/test",
)  # fmt: skip
"""Paths below site-packages."""


def packed_files(site: Path) -> Iterator[tuple[Path, str]]:
    """Files of site-packages that executors may need, each with its path below it."""
    found = importlib.metadata.distributions(path=[str(site)])
    developers = {name.lower() for name in FOR_DEVELOPERS}
    tools = {str(f) for d in found if d.metadata["Name"].lower() in developers for f in d.files or ()}
    for folder, subfolders, names in os.walk(site):
        inside = Path(folder).relative_to(site)
        subfolders[:] = sorted(name for name in subfolders if not _left_out(str(inside / name)))
        links = [name for name in subfolders if Path(folder, name).is_symlink()]
        for path in (str(inside / name) for name in sorted([*names, *links])):
            if path not in tools and not _left_out(path):
                yield site / path, path


def _left_out(path: str) -> bool:
    return any(fnmatch.fnmatchcase(path, pattern) for pattern in LEFT_OUT)


def fingerprint(site: Path) -> str:
    """What the archive is made from: each package and when its folder was changed, and these tools."""
    entries = sorted(f"{e.name} {e.stat().st_mtime_ns}" for e in os.scandir(site) if e.name != "__pycache__")
    tools = Path(__file__).read_bytes() + STARTER.read_bytes()
    return hashlib.sha256("\n".join(entries).encode() + tools).hexdigest()


def pack(venv: Path, target: Path) -> bool:
    """Write the archive in one step, telling the progress. Returns whether it had to be written."""
    (site,) = venv.glob("lib/python*/site-packages")
    key_file, key = target.with_suffix(".key"), fingerprint(site)
    with target.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.is_file() and key_file.is_file() and key_file.read_text() == key:
            return False
        began, files = time.monotonic(), list(packed_files(site))
        draft = target.with_suffix(".draft")
        try:
            progress = _Progress(sum(path.lstat().st_size for path, _ in files))
            # Compressing is what takes long; the network of a cluster is fast.
            with tarfile.open(draft, "w:gz", compresslevel=1) as archive:
                archive.add(STARTER, "bin/python", filter=_anonymous)
                for path, name in files:
                    archive.add(path, f"{site.relative_to(venv)}/{name}", filter=_anonymous)
                    progress.add(path.lstat().st_size)
            key_file.unlink(missing_ok=True)
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
        key_file.write_text(key)
    megabytes, seconds = target.stat().st_size / 1e6, time.monotonic() - began
    print(f"      done in {seconds:.0f} s: {megabytes:,.0f} MB in {target}", file=sys.stderr)
    return True


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """An entry that belongs to whoever unpacks it; compiled modules stay valid by the times of their sources."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = int(entry.mtime)
    return entry


class _Progress:
    """Tells on standard error what is done and, on a terminal, how many percent of it."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self.told = total, 0, -1
        what = f"packing the environment for executors, {total / 1e6:,.0f} MB (once; the next starts take it as it is)"
        print(what, file=sys.stderr)

    def add(self, size: int) -> None:
        """Count a file."""
        self.done += size
        percent = 100 * self.done // max(1, self.total)
        if percent != self.told and sys.stderr.isatty():
            print(f"\r      {percent:3d}%", end="\r", file=sys.stderr, flush=True)
        self.told = percent


if __name__ == "__main__":
    pack(Path(sys.argv[1]), Path(sys.argv[2]))
