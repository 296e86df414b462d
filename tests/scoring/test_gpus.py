"""On a cluster only the network's stage asks for GPUs: tokenising has all cores, however few GPUs there are."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from models.tiny_bert import tiny_tokenizer

pytestmark = pytest.mark.slow
LIB = Path(__file__).parents[2] / "lib"


def test_tokenising_asks_for_no_gpu_and_the_network_for_one(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    tiny_tokenizer().save(str(tmp_path / "model" / "tokenizer.json"))
    script = tmp_path / "gpus"
    script.write_text('#!/bin/sh\necho \'{"name": "gpu", "addresses": ["5"]}\'\n')
    script.chmod(0o755)
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("gpus_program.py")), str(tmp_path)], check=False,
        capture_output=True, text=True, timeout=500, cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(LIB), "MASTER": "local-cluster[1,2,1024]", "SPARK_LOCAL_IP": "127.0.0.1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    assert json.loads(done.stdout.splitlines()[-1]) == [{"before": "", "after": "5"}] * 4
