"""A rank runs the driver's own code, even where the package is not installed."""

import pickle
import subprocess
import sys
from pathlib import Path

import cloudpickle

from attune.errors import nearest
from attune.training.ship import shipped


def test_a_process_without_the_package_runs_the_call(tmp_path: Path) -> None:
    (tmp_path / "call.pkl").write_bytes(cloudpickle.dumps(shipped(nearest, "sede", ["seed"])))
    program = "import pickle, sys; sys.stdout.buffer.write(pickle.load(open('call.pkl', 'rb'))())"
    done = subprocess.run([sys.executable, "-P", "-c", program], cwd=tmp_path, env={}, capture_output=True, check=True)
    assert pickle.loads(done.stdout) == "; did you mean 'seed'?"
