"""The clean job as a process of its own on a small log: started, waited for, killed with all its children."""

import datetime as dt
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from clean.daily import INPUTS, NUM_DAYS, START, make_log

ROOT = Path(__file__).parents[2]
AS_OF = str(START + dt.timedelta(days=NUM_DAYS))
_SPARK = {
    "spark.ui.enabled": False,
    "spark.sql.shuffle.partitions": 2,
    # Plans of a small log run once: interpreting them takes a third of the time that compiling them does.
    "spark.sql.codegen.wholeStage": False,
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}


@dataclass(frozen=True)
class Shop:
    """Two small logs of the same days, and workspaces into which they are cleaned."""

    folder: Path

    @classmethod
    def make(cls, folder: Path, num_events: int = 200) -> "Shop":
        """Write the logs ``old`` and ``new``."""
        for name, seed in (("old", 1), ("new", 2)):
            for day, lines in make_log(seed, num_events).items():
                file = folder / name / "log" / f"ds={day}" / "part.json"
                file.parent.mkdir(parents=True)
                file.write_text("\n".join(lines) + "\n")
        return cls(folder)

    @property
    def scratch(self) -> Path:
        """Folder of the temporary files of the jobs."""
        return self.folder / "scratch"

    def settle(self) -> None:
        """Wait until nothing that the jobs have started goes on: a JVM outlives its job by some seconds."""
        deadline = time.monotonic() + 60
        while left := [process for process in psutil.process_iter() if self._started(process)]:
            assert time.monotonic() < deadline, f"still there: {left}"
            time.sleep(0.1)

    def _started(self, process: psutil.Process) -> bool:
        try:
            return _alive(process) and process.environ().get("TMPDIR") == str(self.scratch)
        except psutil.Error:
            return False

    def copy(self, workspace: str, to: str) -> Path:
        """Another workspace with the same tables and no runs."""
        target = self.folder / to
        shutil.copytree(self.folder / workspace / "tables", target / "tables")
        return target

    def arguments(self, log: str, workspace: Path) -> list[str]:
        """Command line of the job, after its name."""
        settings = {
            "workspace": str(workspace),
            "inputs": {"root": str(self.folder / log), **INPUTS},
            "clean": {"max_quarantine_share": 0.9, "bots": {"events_per_day": 40}},
            "spark": _SPARK,
        }
        file = self.folder / f"{log}-{workspace.name}.json"
        file.write_text(json.dumps(settings))
        return ["--config", str(file), "--as-of", AS_OF]

    def start(
        self,
        log: str,
        workspace: Path,
        master: str = "local[2,4]",
        local_dir: Path | None = None,
        command: Sequence[str] = (sys.executable, "-m", "attune"),
    ) -> "CleanProcess":
        """Start cleaning a log into a workspace."""
        self.scratch.mkdir(exist_ok=True)
        environment = os.environ | {
            "PYTHONPATH": str(ROOT / "lib"),
            "MASTER": master,
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_CONF_DIR": str(ROOT / "conf"),
            "SPARK_LOCAL_DIRS": str(local_dir or self.scratch),
            "TMPDIR": str(self.scratch),
            "JDK_JAVA_OPTIONS": f"-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Djava.io.tmpdir={self.scratch}",
        }
        output = self.folder / f"{workspace.name}.out"
        with output.open("a") as sink:
            process = psutil.Popen(
                [*command, "clean", *self.arguments(log, workspace)],
                cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT,
            )  # fmt: skip
        return CleanProcess(process, workspace, output, output.stat().st_size)


@dataclass(frozen=True)
class StartedJob:
    """A job in a process of its own."""

    process: psutil.Popen

    def running(self) -> bool:
        """Whether the job has not ended."""
        return self.process.poll() is None

    def wait(self, timeout_seconds: float = 300) -> int:
        """Exit status; a job that takes longer is killed, so that it does not outlive the test that fails for it."""
        try:
            return int(self.process.wait(timeout_seconds))
        except psutil.TimeoutExpired:
            kill_tree(self.process)
            raise


@dataclass(frozen=True)
class CleanProcess(StartedJob):
    """A running clean job."""

    workspace: Path
    output: Path
    offset: int

    def told(self) -> str:
        """What the job wrote to standard output and standard error."""
        with self.output.open() as source:
            source.seek(self.offset)
            return source.read()

    def executors(self) -> list[psutil.Process]:
        """Processes of executors, where they are not threads of the driver."""
        found: list[psutil.Process] = []
        try:
            children = self.process.children(recursive=True)
        except psutil.NoSuchProcess:
            return found
        for child in children:
            try:
                if any(word.endswith(".CoarseGrainedExecutorBackend") for word in child.cmdline()):
                    found.append(child)
            except psutil.NoSuchProcess:
                continue
        return found


def summary(workspace: Path) -> dict[str, Any]:
    """Summary of the latest run in a workspace."""
    latest = max(workspace.glob("runs/*/summary.json"), key=lambda file: file.stat().st_mtime_ns)
    found: dict[str, Any] = json.loads(latest.read_text())
    return found


def kill_tree(root: psutil.Process) -> int:
    """SIGKILL a process and all below it; returns how many. They are stopped first, so that none starts another."""
    stopped: dict[int, psutil.Process] = {}
    found = [root]
    while found:
        for process in found:
            stopped[process.pid] = process
            _send(process, "suspend")
        found = [child for child in root.children(recursive=True) if child.pid not in stopped]
    for process in stopped.values():
        _send(process, "kill")
    deadline = time.monotonic() + 30
    while alive := [process for process in stopped.values() if _alive(process)]:
        assert time.monotonic() < deadline, f"not killed: {alive}"
        time.sleep(0.005)
    return len(stopped)


def _send(process: psutil.Process, signal: str) -> None:
    try:
        getattr(process, signal)()
    except psutil.NoSuchProcess:
        return


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
