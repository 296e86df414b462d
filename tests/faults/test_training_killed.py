"""A training that is killed at any step and started again ends with the weights of one that was not."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import measured
import numpy as np
import torch
from safetensors.torch import load_file, save_file

from attune.training.classification import Classification
from attune.training.communicator import SingleProcess
from attune.training.loop import Loop
from attune.training.plan import LoopSettings
from attune.training.reader import Rows
from models.tiny_bert import write_tiny_bert
from training.examples import review_rows

ROOT = Path(__file__).parents[2]
SEED, NUM_KILLS = 11, 10
SETTINGS = LoopSettings(
    epochs=3, tokens_per_batch=64, learning_rate=1e-3, head_learning_rate=1e-2, warmup_share=0.1, weight_decay=0.01,
    max_grad_norm=1.0, precision="float32", seed=SEED, checkpoint_minutes=1e-9,
)  # fmt: skip


class Slow(Classification):
    """Notes the rows of each step, and takes long enough for a kill to hit any of them."""

    value_columns = ("label", "row")
    notes: Path

    def loss(self, batch: Any, comm: Any) -> Any:
        """Loss of a batch whose rows are noted."""
        with self.notes.open("a") as file:
            file.write(" ".join(map(str, batch.values["row"].tolist())) + "\n")
        time.sleep(0.02)
        return super().loss(batch, comm)


def train(encoder: str, folder: Path) -> None:
    """Train to the end, from the last checkpoint in the folder where there is one."""
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    task = Slow(encoder, ["negative", "positive"], dropout=0.2, label_smoothing=0.0)
    task.notes = folder / "notes.txt"
    made, valid = review_rows(120), review_rows(40, seed=5)
    rows = Rows(made.tokens, {**made.values, "row": np.arange(120)})
    held_out = Rows(valid.tokens, {**valid.values, "row": np.arange(40)})
    loop = Loop(task, SETTINGS, SingleProcess(), torch.device("cpu"), str(folder / "checkpoints"))
    trained = loop.fit([rows], held_out)
    print(f"resumed at {trained.resumed_at}", flush=True)
    save_file(task.network.state_dict(), folder / "weights.safetensors")


def start(encoder: str, folder: Path) -> "subprocess.Popen[str]":
    folder.mkdir(exist_ok=True)
    code = f"import sys; sys.path[:0] = {[str(ROOT / 'lib'), str(ROOT / 'tests'), str(ROOT / 'benchmarks')]!r}\n"
    code += f"from pathlib import Path\nfrom faults.test_training_killed import train\ntrain({encoder!r}, Path({str(folder)!r}))"
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def noted(folder: Path) -> list[list[int]]:
    file = folder / "notes.txt"
    return [[int(n) for n in line.split()] for line in file.read_text().splitlines()] if file.exists() else []


def test_a_killed_training_ends_with_the_same_weights(tmp_path: Path) -> None:
    encoder = write_tiny_bert(tmp_path / "bert")
    print(f"seed {SEED}")
    whole = start(encoder, tmp_path / "whole")
    out, told = whole.communicate()
    assert whole.returncode == 0, told
    steps, expected = noted(tmp_path / "whole"), load_file(tmp_path / "whole" / "weights.safetensors")
    per_epoch = len(steps) // SETTINGS.epochs
    outcomes = []
    for number, step in enumerate(sorted(random.Random(SEED).sample(range(1, len(steps)), NUM_KILLS))):
        folder = tmp_path / f"killed{number}"
        job = start(encoder, folder)
        while job.poll() is None and len(noted(folder)) < step:
            time.sleep(0.002)
        job.send_signal(signal.SIGKILL)
        job.communicate()
        assert job.returncode == -signal.SIGKILL, "the training ended before it was killed"
        before = len(noted(folder))
        again = start(encoder, folder)
        out, told = again.communicate()
        assert again.returncode == 0, told
        resumed_at = int(out.split()[-1])
        found = load_file(folder / "weights.safetensors")
        equal = all(torch.equal(found[name], value) for name, value in expected.items())
        outcomes.append({"killed_in_step": before, "resumed_at": resumed_at, "bit_equal": equal})
        print(outcomes[-1])
        assert equal
        assert before - 2 <= resumed_at <= before, "at most the step under way is done again"
        course = noted(folder)[:resumed_at] + noted(folder)[before:]
        assert course == steps
        for epoch in range(SETTINGS.epochs):
            seen = [row for batch in course[epoch * per_epoch : (epoch + 1) * per_epoch] for row in batch]
            assert sorted(seen) == list(range(120)), "every row once in each epoch"
    measured.save("faults_training_killed", SEED, {"steps": len(steps), "kills": outcomes}, ("torch",))
