"""Where a rank runs."""

import os
import socket
from pathlib import Path


def place() -> dict[str, str | None]:
    """Name of this machine, and id of the Spark executor that this process runs under (None: under none)."""
    return {"host": socket.gethostname(), "executor": _executor_id()}


def _executor_id() -> str | None:
    """From the command line of the executor's JVM, which is above the Python workers: they are not told it otherwise."""
    process = os.getppid()
    try:
        while process > 1:
            words = Path(f"/proc/{process}/cmdline").read_text(errors="replace").split("\0")
            if "--executor-id" in words:
                return words[words.index("--executor-id") + 1]
            # The name, in brackets, may hold anything; after it come the state and the parent.
            process = int(Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    except OSError:  # another system than Linux, or a parent that has ended
        pass
    return None
