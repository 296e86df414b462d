"""Stored models: one folder a version, complete or absent, verified before anything in it is loaded."""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from attune.errors import InputError

CARD = "card.json"
MANIFEST = "manifest.json"
_LATEST = "latest"
_PICKLED = {".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".joblib"}


class ModelStore:
    """Models of one workspace: ``<workspace>/models/<task>/<version>/``.

    The workspace is a local or mounted folder that the driver and all executors see under the same path.
    """

    def __init__(self, workspace: str) -> None:
        self.root = Path(workspace) / "models"

    def folder(self, task: str, version: str) -> Path:
        """Where a version lies, whether it exists or not."""
        return self.root / task / version

    def save(self, task: str, version: str, write: Callable[[Path], None], card: Mapping[str, Any]) -> Path:
        """Store a version: ``write`` fills a hidden folder, which then gets its name in one step. Returns the folder.

        ``card`` says what the model is: settings, metrics, version of each table it learned from. It is not the
        latest until ``promote``. Raises InputError where the version exists.
        """
        folder = self.folder(task, version)
        if folder.exists():
            raise InputError(
                f"model {task} has a version {version} already, in {folder}: give the new one another name"
            )
        hidden = folder.parent / f".{version}-{uuid.uuid4().hex}"
        hidden.mkdir(parents=True)
        try:
            write(hidden)
            text = json.dumps({"task": task, "version": version, **card}, indent=2, default=str, ensure_ascii=False)
            (hidden / CARD).write_text(text + "\n", encoding="utf-8")
            seal(hidden)
            hidden.rename(folder)
        except BaseException:
            shutil.rmtree(hidden)
            raise
        return folder

    def promote(self, task: str, version: str) -> None:
        """Make a version the one that is used. Raises InputError where it is damaged or absent."""
        verify(self.folder(task, version))
        pointer = self.root / task / _LATEST
        hidden = pointer.with_name(f".{_LATEST}-{uuid.uuid4().hex}")
        hidden.write_text(version + "\n", encoding="utf-8")
        os.replace(hidden, pointer)

    def has_latest(self, task: str) -> bool:
        """Whether a version has been promoted."""
        return (self.root / task / _LATEST).is_file()

    def latest(self, task: str) -> Path:
        """Folder of the version in use, verified. Raises InputError where there is none or it is damaged."""
        if not self.has_latest(task):
            raise InputError(
                f"no model {task} in {self.root}: run the train job first, and see whether its gate passed"
            )
        version = self.latest_version(task)
        if version not in self.versions(task):
            pointer = self.root / task / _LATEST
            raise InputError(f"{pointer} names the version {version!r}, which is not there: write a stored one into it")
        return self.verified(task, version)

    def latest_version(self, task: str) -> str | None:
        """Name of the version in use, whether it is there or not; None where none has been promoted."""
        if not self.has_latest(task):
            return None
        return (self.root / task / _LATEST).read_bytes().decode("utf-8", "replace").strip()

    def verified(self, task: str, version: str) -> Path:
        """Folder of a version, verified. Raises InputError where it is damaged or absent."""
        folder = self.folder(task, version)
        verify(folder)
        return folder

    def tasks(self) -> list[str]:
        """Names of the models that there are versions of."""
        return sorted(f.name for f in self.root.iterdir() if self.versions(f.name)) if self.root.is_dir() else []

    def versions(self, task: str) -> list[str]:
        """All versions of a task, in the order of their names."""
        parent = self.root / task
        return sorted(f.name for f in parent.iterdir() if f.is_dir() and f.name[0] != ".") if parent.is_dir() else []


def seal(folder: Path) -> None:
    """Write the manifest of a folder: the SHA-256 of each file in it, and of these entries."""
    (folder / MANIFEST).write_bytes(_manifest({name: file_sha256(folder / name) for name in _files(folder)}))


def verify(folder: Path | str) -> None:
    """Check that a model folder holds exactly the files it was stored with. Raises InputError naming the first that differs.

    Damage is what this finds. Who can write to the folder can write a manifest, too: that is for its permissions to stop.
    All the same no file that only pickle reads is let through, so that a model can at worst be wrong, not run programs.
    """
    folder = Path(folder)
    mend = "train the model again, or restore the folder from a copy"
    if not (folder / MANIFEST).is_file():
        raise InputError(f"{folder} is not a stored model: it has no {MANIFEST}; {mend}")
    expected = _read_manifest(folder / MANIFEST, mend)
    found = set(_files(folder)) - {MANIFEST}
    for name in sorted(found | set(expected)):
        if Path(name).suffix in _PICKLED or Path(name).name == "pytorch_model.bin":
            raise InputError(f"model file {folder / name} is a pickle, which may run any program: remove it, or {mend}")
        if name not in found:
            raise InputError(f"model file {folder / name} is missing: {mend}")
        if name not in expected:
            raise InputError(f"model file {folder / name} was not stored with the model: remove it, or {mend}")
        if file_sha256(folder / name) != expected[name]:
            raise InputError(f"model file {folder / name} has changed since it was stored (SHA-256 differs): {mend}")


def read_card(folder: Path | str) -> dict[str, Any]:
    """What a stored model is: task, version, settings, metrics, tables it learned from."""
    card: dict[str, Any] = json.loads((Path(folder) / CARD).read_text(encoding="utf-8"))
    return card


def _manifest(files: Mapping[str, str]) -> bytes:
    """The manifest of files with their SHA-256; it ends with the hash of its own entries."""
    entries = json.dumps(files, sort_keys=True).encode()
    signed = {"files": dict(sorted(files.items())), "sha256": hashlib.sha256(entries).hexdigest()}
    return (json.dumps(signed, indent=2) + "\n").encode()


def _read_manifest(file: Path, mend: str) -> dict[str, str]:
    """Files and hashes of a manifest, which must be what ``_manifest`` writes, byte for byte."""
    content = file.read_bytes()
    try:
        files: dict[str, str] = json.loads(content)["files"]
        sound = _manifest(files) == content
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        sound = False
    if not sound:
        raise InputError(f"model file {file} has changed since it was stored: {mend}")
    return files


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(folder: Path) -> Iterator[str]:
    return (path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file())
