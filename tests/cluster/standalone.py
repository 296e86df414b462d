"""A standalone cluster on loopback: a master, workers, and jobs sent to them by spark-submit.sh."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import psutil
import pyspark

from faults.clean_process import StartedJob, kill_tree

ROOT = Path(__file__).parents[2]
SPARK_CLASS = Path(pyspark.__file__).parent / "bin" / "spark-class"
VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"


def node_environment() -> dict[str, str]:
    """Variables of a node: its own Python and Java on the path, and nothing of the environment that the tests run in."""
    folders = os.defpath.split(os.pathsep)
    for program, known in ((f"python{VERSION}", f"{sys.base_prefix}/bin"), ("java", _java_folder())):
        if shutil.which(program, path=os.pathsep.join(folders)) is None:
            folders.append(known)
    return {"PATH": os.pathsep.join(folders), "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_DAEMON_MEMORY": "512m"}


def _java_folder() -> str:
    java = shutil.which(f"{os.environ['JAVA_HOME']}/bin/java" if "JAVA_HOME" in os.environ else "java")
    assert java is not None, "the tests need Java"
    return str(Path(java).resolve().parent)


@dataclass(frozen=True)
class Worker:
    """A worker of one core, with the executor that it started."""

    process: psutil.Popen
    folder: Path

    def executors(self) -> dict[str, psutil.Process]:
        """Its running executors, by id."""
        found = {}
        for child in self.process.children(recursive=True):
            try:
                words = child.cmdline()
            except psutil.Error:
                continue
            if "--executor-id" in words:
                found[words[words.index("--executor-id") + 1]] = child
        return found


@dataclass
class Cluster:
    """A master and its workers; jobs are sent to it with spark-submit.sh."""

    folder: Path
    workers: list[Worker] = field(default_factory=list)
    master: psutil.Popen | None = None
    num_started: int = 0

    def start(self, num_workers: int = 2) -> None:
        """Start the master and workers, and wait until they know each other."""
        self.port, self.web_port = free_port(), free_port()
        options = ["--host", "127.0.0.1", "--port", str(self.port), "--webui-port", str(self.web_port)]
        self.master = self._daemon("master", "org.apache.spark.deploy.master.Master", *options)
        for _ in range(num_workers):
            self.start_worker()

    @property
    def url(self) -> str:
        """Master of the jobs."""
        return f"spark://127.0.0.1:{self.port}"

    @property
    def local(self) -> Path:
        """Folder of what Spark keeps while it works, of the nodes and of the drivers."""
        return self.folder / "local"

    @property
    def events(self) -> Path:
        """Folder of the event logs."""
        return self.folder / "events"

    def start_worker(self) -> Worker:
        """One more worker, once the master has it."""
        name = f"worker{self.num_started}"
        self.num_started += 1
        process = self._daemon(
            name, "org.apache.spark.deploy.worker.Worker", "--host", "127.0.0.1", "--port", "0", "--webui-port", "0",
            "--cores", "1", "--memory", "1500m", "--work-dir", str(self.folder / name), self.url,
        )  # fmt: skip
        self.workers.append(Worker(process, self.folder / name))
        wait_until(lambda: self.alive() == len(self.workers), 300, f"{name} does not register, see {self.folder}")
        return self.workers[-1]

    def alive(self) -> int:
        """Workers that the master counts on."""
        told = get_json(f"http://127.0.0.1:{self.web_port}/json/")
        return int(told["aliveworkers"]) if told else 0

    def kill(self, worker: Worker) -> None:
        """What a node's loss is: SIGKILL to a worker, its executor and the Python processes of that."""
        self.workers.remove(worker)
        kill_tree(worker.process)

    def stop(self) -> None:
        """Kill all that was started, and remove what it left but logs and tables."""
        for worker in list(self.workers):
            self.kill(worker)
        if self.master is not None:
            kill_tree(self.master)
        self.clear()
        for folder in (self.local, self.folder / "node"):
            shutil.rmtree(folder, ignore_errors=True)

    def clear(self) -> None:
        """Remove the working folders of the executors, with the environments that were unpacked there."""
        for application in self.folder.glob("worker*/app-*"):
            shutil.rmtree(application)

    def submit(self, *words: str, python: str | None = None, within: Sequence[str] = ()) -> "Submitted":
        """Start a job as a user does. ``python``: that of nodes that have the packages; ``within``: a command to run it by."""
        ui_port = free_port()
        self.events.mkdir(exist_ok=True)
        conf = {
            "spark.executor.memory": "1g", "spark.ui.port": ui_port, "spark.eventLog.enabled": "true",
            "spark.eventLog.dir": self.events.as_uri(), "spark.eventLog.compress": "false",
        }  # fmt: skip
        flags = [part for name, value in conf.items() for part in ("--conf", f"{name}={value}")]
        environment = {name: os.environ[name] for name in ("HOME", "LANG", "JAVA_HOME") if name in os.environ}
        environment |= {
            "PATH": f"{_java_folder()}:{os.defpath}", "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_LOCAL_DIRS": str(self.local),
            **({"PYSPARK_PYTHON": python} if python else {}),
        }  # fmt: skip
        command = [*within, str(ROOT / "spark-submit.sh"), "--master", self.url, "--driver-memory", "2g", *flags]
        output = self.folder / f"job-{ui_port}.out"
        with output.open("w") as sink:
            process = psutil.Popen(
                [*command, *words], cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=sink,
                stderr=subprocess.STDOUT,
            )  # fmt: skip
        return Submitted(process, output, f"http://127.0.0.1:{ui_port}/api/v1/applications")

    @contextmanager
    def history_server(self) -> Iterator[str]:
        """Start one on the event logs, and yield the address of its REST interface."""
        port = free_port()
        options = {"fs.logDirectory": self.events.as_uri(), "ui.port": port, "fs.update.interval": "1s"}
        told = " ".join(f"-Dspark.history.{name}={value}" for name, value in options.items())
        server = self._daemon("history", "org.apache.spark.deploy.history.HistoryServer", SPARK_HISTORY_OPTS=told)
        try:
            yield f"http://127.0.0.1:{port}/api/v1"
        finally:
            kill_tree(server)

    def _daemon(self, name: str, *words: str, **variables: str) -> psutil.Popen:
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        own = {"HOME": str(home), "SPARK_LOCAL_DIRS": str(self.local), **variables}
        with (self.folder / f"{name}.log").open("w") as sink:
            return psutil.Popen(
                [str(SPARK_CLASS), *words], cwd=home, env=node_environment() | own,
                stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT,
            )  # fmt: skip


@dataclass(frozen=True)
class Submitted(StartedJob):
    """A job on the cluster."""

    output: Path
    rest: str

    def wait(self, timeout_seconds: float = 1800) -> int:
        """As of any job; on the cluster of two cores they take their time."""
        return super().wait(timeout_seconds)

    def told(self) -> str:
        """What it wrote to standard output and standard error."""
        return self.output.read_text()

    @property
    def summary(self) -> dict[str, Any]:
        """Summary of its run."""
        printed = [line for line in self.told().splitlines() if line.endswith("/summary.json")]
        found: dict[str, Any] = json.loads(Path(printed[-1]).read_text())
        return found

    def application(self) -> str | None:
        """Id of its application, once it has one."""
        told = get_json(self.rest)
        return str(told[0]["id"]) if told else None

    def busy_executors(self) -> set[str]:
        """Ids of the executors that compute a task right now, as its REST interface tells."""
        told = get_json(f"{self.rest}/{self.application()}/executors") or []
        return {executor["id"] for executor in told if executor["activeTasks"] > 0}


def free_port() -> int:
    """A port of the loopback that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get_json(url: str) -> Any:
    """What a server says; None where it does not answer, as before it is up and after it is gone."""
    try:
        with urlopen(url, timeout=10) as answer:
            return json.load(answer)
    except (URLError, OSError, ValueError):
        return None


def wait_until(reached: Callable[[], bool], seconds: float, complaint: str) -> None:
    """Look until something is so; fails where it takes too long."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, complaint
        time.sleep(0.02)
