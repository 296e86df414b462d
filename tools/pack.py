"""Pack lib/ into the zip that executors import: ``pack.py ZIP``. Links are followed; written anew only after a change."""

import importlib.util
import os
import sys
import tempfile
import zipfile
from pathlib import Path

LIB = Path(__file__).resolve().parents[1] / "lib"


def source_files(lib: Path) -> list[Path]:
    """Everything that belongs to the package, by path."""
    found = []
    for folder, subfolders, names in os.walk(lib, followlinks=True):
        subfolders[:] = [name for name in subfolders if name != "__pycache__" and not name.endswith(".egg-info")]
        found += [Path(folder, name) for name in names if not name.endswith((".pyc", ".swp"))]
    return sorted(found)


def compiled(file: Path, name: str) -> bytes:
    """Bytecode that is taken without comparing times, since a zip keeps them to 2 seconds."""
    code = compile(file.read_bytes(), name, "exec", dont_inherit=True)
    import marshal

    return importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8) + marshal.dumps(code)


def pack(target: Path, lib: Path = LIB) -> bool:
    """Write the zip in one step. Returns whether it had to be written."""
    files = source_files(lib)
    listing = "\n".join(f"{f.relative_to(lib)} {f.stat().st_mtime_ns} {f.stat().st_size}" for f in files).encode()
    if target.is_file():
        with zipfile.ZipFile(target) as existing:
            if existing.comment == listing[-65535:]:
                return False
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=target.parent, suffix=".zip")
    with os.fdopen(handle, "wb") as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
        for file in files:
            name = str(file.relative_to(lib))
            packed.write(file, name)
            if name.endswith(".py"):
                packed.writestr(f"{name}c", compiled(file, name))
        packed.comment = listing[-65535:]
    os.replace(temporary, target)
    return True


if __name__ == "__main__":
    pack(Path(sys.argv[1]))
