"""Two Horovod ranks beside two processes that know nothing of each other, and beside one rank at the same global batch.

Usage: python benchmarks/bench_ranks.py [--steps N]
MiniLM learns banking77, one thread a rank. Speed: rows a second of two ranks that add up their gradients, over those of two
processes that train alone, at the same time and on the same cores, each on the rows of one rank; start-up is not counted.
Losses: of the first steps of two ranks, and of one rank that goes through the parts of both, in float32 without dropout.
Writes benchmarks/results/ranks.json, printed as one line.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "lib"), str(HERE)]

import measured
from bench_training import CPU, DATA, ENCODER, SEED, banking77

from attune.models.encoder import load_tokenizer
from attune.models.tokens import TextEncoder
from attune.training.classification import Classification
from attune.training.communicator import Communicator, HorovodRanks, SingleProcess
from attune.training.devices import reuse_memory
from attune.training.loop import Loop
from attune.training.plan import LoopSettings, own_streams
from attune.training.reader import ROW_KEY, Rows, folder_url, read_shard
from attune.training.task import take_batch

RANKS = 2
_ROWS = "rows"
COMPARED = 20
"""Steps whose losses are compared."""


def main() -> int:
    """Measure, write the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        print(json.dumps(work(given.worker, Path(given.folder), given.steps)))
        return 0
    if not DATA.is_dir():
        print(f"skipped, no real data in {DATA}", file=sys.stderr)
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_rows(folder / _ROWS)
        together = _together("ranks", folder, given.steps)
        alone = [
            json.loads(out) for out in _at_once([["--worker", f"alone{n}"] for n in range(RANKS)], folder, given.steps)
        ]
        losses = _together("losses", folder, COMPARED)[0]["losses"]
        (single,) = _at_once([["--worker", "both_parts"]], folder, COMPARED)
    speed = [
        sum(found["rows"] for found in part) / max(found["seconds"] for found in part) for part in (together, alone)
    ]
    differences = np.abs(np.array(losses) - np.array(json.loads(single)["losses"]))
    figures = {
        "steps": given.steps,
        "horovod_settings": {name: value for name, value in os.environ.items() if name.startswith("HOROVOD_")},
        "rows_per_second_of_two_ranks": round(speed[0], 1),
        "rows_per_second_of_two_alone": round(speed[1], 1),
        "ratio": round(speed[0] / speed[1], 3),
        "losses_compared": COMPARED,
        "largest_difference_of_losses": float(differences.max()),
        "first_and_last_loss": [losses[0], losses[-1]],
    }
    print(json.dumps(measured.save("ranks", SEED, figures, ("torch", "horovod", "petastorm"))))
    return 0


def write_rows(folder: Path) -> None:
    """The training texts as token ids, two row groups."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = banking77(1)
    tokens = TextEncoder(load_tokenizer(ENCODER), texts.max_tokens).encode(texts.train)
    columns = {
        ROW_KEY: np.arange(len(tokens)), "label": texts.train_labels,
        "tokens": [ids.astype("<i4").tobytes() for ids in tokens],
    }  # fmt: skip
    folder.mkdir()
    pq.write_table(pa.table(columns), folder / "part-0.parquet", row_group_size=-(-len(tokens) // RANKS))


def work(kind: str, folder: Path, steps: int) -> dict[str, Any]:
    """What one process does."""
    reuse_memory()
    torch.set_num_threads(1)
    comm: Communicator = HorovodRanks() if kind in ("ranks", "losses") else SingleProcess()
    compared = kind in ("losses", "both_parts")
    settings = LoopSettings(
        1, 4096, 1e-4, 1e-3, 0.1, 0.01, 1.0, precision="float32", seed=SEED,
        accumulation=RANKS if kind == "both_parts" else 1,
    )  # fmt: skip
    torch.manual_seed(SEED)
    task = Classification(ENCODER, banking77(1).labels, dropout=0.0 if compared else 0.1, label_smoothing=0.0)
    loop = Loop(task, settings, comm, CPU)
    if kind.startswith("alone"):
        streams, sizes = [int(kind[-1])], RANKS
        loop.settings = LoopSettings(**{**asdict(settings), "tokens_per_batch": settings.tokens_per_batch // RANKS})
    else:
        streams, sizes = own_streams(settings, comm.rank, comm.size), RANKS
    parts = [read_shard(folder_url(folder / _ROWS), n, sizes, task.token_columns, task.value_columns) for n in streams]
    rows, plan = Rows.concatenate(parts), loop._plan(parts)[0][:steps]
    taken = [[take_batch(rows, part, task.network.pad_id, CPU) for part in step] for step in plan]
    loop.step(taken[0]) if not compared else None
    _wait_for_the_others(comm, folder, kind)
    began = time.perf_counter()
    losses = [loop.step(batches)[0] for batches in taken]
    seconds = time.perf_counter() - began
    found = {
        "rank": comm.rank,
        "rows": sum(len(b) for step in taken for b in step),
        "seconds": seconds,
        "losses": losses,
    }
    comm.close()
    return found


def _wait_for_the_others(comm: Communicator, folder: Path, kind: str) -> None:
    """Ranks meet anyway; processes that train alone begin once each is ready."""
    if not kind.startswith("alone"):
        return
    (folder / f"{kind}.ready").touch()
    while len(list(folder.glob("alone*.ready"))) < RANKS:
        time.sleep(0.01)


def _together(kind: str, folder: Path, steps: int) -> list[dict[str, Any]]:
    import horovod.runner

    os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE.parent / "lib"), str(HERE)])
    found: list[dict[str, Any]] = horovod.runner.run(work, args=(kind, folder, steps), np=RANKS, use_gloo=True)
    return sorted(found, key=lambda one: int(one["rank"]))


def _at_once(arguments: list[list[str]], folder: Path, steps: int) -> list[str]:
    command = [sys.executable, __file__, "--folder", str(folder), "--steps", str(steps)]
    running = [subprocess.Popen([*command, *more], stdout=subprocess.PIPE, text=True) for more in arguments]
    told = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        raise RuntimeError(f"a process failed: {[process.returncode for process in running]}")
    return told


if __name__ == "__main__":
    sys.exit(main())
