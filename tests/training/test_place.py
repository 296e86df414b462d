"""Where a rank ran is told: on a cluster one wants to know which node was slow, or died."""

import socket
import subprocess
import sys

from attune.training.place import place


def test_a_process_outside_of_spark_has_a_host_and_no_executor() -> None:
    assert place() == {"host": socket.gethostname(), "executor": None}


def test_the_executor_is_found_above_the_processes_between() -> None:
    inner = "from attune.training.place import place; print(place()['executor'])"
    run = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1], *sys.argv[2:]], check=True)"
    command = [sys.executable, "-c", run, run, inner, "--executor-id", "7"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "7\n"
