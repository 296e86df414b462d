"""Send a call and the package it belongs to to another Python process.

Horovod starts a rank in a process of its own, which does not see what ``spark-submit --py-files`` gave to Spark's
workers; and a machine of the cluster may hold another release. So a rank runs the driver's own code.
"""

import io
import pickle
import zipfile
from collections.abc import Callable
from importlib import resources
from importlib.abc import Traversable
from pathlib import Path
from typing import Any


def shipped(function: Callable[..., Any], *arguments: Any) -> Callable[[], bytes]:
    """A call that carries this package with it; it returns the pickled result.

    A function that returns None is called again, in a fresh process that takes the place of this one. The call is a nested
    function, so that cloudpickle sends its code and not its name.
    """
    package, call = _package_zip(), pickle.dumps((function, arguments))

    def run() -> bytes:
        import os
        import pickle
        import sys
        import tempfile

        with tempfile.TemporaryDirectory(prefix="attune-") as folder:
            with open(f"{folder}/attune.zip", "wb") as file:
                file.write(package)
            sys.path.insert(0, f"{folder}/attune.zip")
            function, arguments = pickle.loads(call)
            result = function(*arguments)
        if result is None:
            os.execv(sys.executable, sys.orig_argv)
        return pickle.dumps(result)

    return run


def shipped_in_file(file: Path, function: Callable[..., Any], *arguments: Any) -> Callable[[], bytes]:
    """``shipped`` by way of a file that all machines see, for launchers that carry only a small call themselves."""
    from pyspark import cloudpickle

    file.write_bytes(cloudpickle.dumps(shipped(function, *arguments)))
    path = str(file)

    def run() -> bytes:
        import pickle

        with open(path, "rb") as stream:
            call = pickle.load(stream)
        result: bytes = call()
        return result

    return run


def _package_zip() -> bytes:
    """The modules of this package, whether it lies in a folder or in a zip file itself."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        _add(archive, resources.files("attune"), "attune")
    return buffer.getvalue()


def _add(archive: zipfile.ZipFile, item: Traversable, name: str) -> None:
    if item.is_dir():
        for child in item.iterdir():
            if child.name != "__pycache__":
                _add(archive, child, f"{name}/{child.name}")
    elif name.endswith(".py"):
        archive.writestr(name, item.read_bytes())
