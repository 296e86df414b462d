"""Speed of the training loop: beside the same batches from memory, and beside the Trainer of transformers.

Usage: python benchmarks/bench_training.py [--epochs N] [--only banking77|amazon]
One process trains MiniLM on banking77 (64 tokens at most) and on the Amazon reviews (128), each program from the same
weights for the same epochs in the same precision and at the same rates; every one is measured on the same test texts
after. The Trainer gets 32 texts a batch, padded to the limit, to the longest of the batch, and with texts of like length
together. The loop's budget of tokens holds twice as many of banking77, at rates higher by the root of two, and as many
of Amazon. Writes benchmarks/results/training.json, printed as one
line.

The loop reads its rows with petastorm, as every rank does; the bare loop beside it goes through the very same batches,
held as tensors, with nothing but forward, backward, clipping and AdamW.
"""

import argparse
import csv
import gzip
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

HERE = Path(__file__).parent
DATA = HERE.parents[1] / "shared" / "data"
sys.path.insert(0, str(HERE.parent / "lib"))

import measured
from training_programs import PROGRAMS, Work, probabilities, ratios, write_rows

from attune.models.encoder import load_encoder, load_tokenizer
from attune.models.precision import use_bfloat16
from attune.models.tokens import TextEncoder
from attune.training.classification import wilson_interval
from attune.training.devices import reuse_memory
from attune.training.plan import LoopSettings

SEED = 7
CPU = torch.device("cpu")
ENCODER = "minilm"
BATCH = 32
"""Texts of a batch of the Trainer."""
TRAINER_RATE, HEAD_RATE = 1e-4, 1e-3
"""Peak rates of the encoder and of what is new."""
PACKAGES = ("torch", "transformers", "accelerate", "petastorm", "pyarrow")


@dataclass(frozen=True)
class Texts:
    """Labelled texts, to learn from and to be measured on."""

    train: list[str]
    train_labels: np.ndarray
    test: list[str]
    test_labels: np.ndarray
    labels: list[str]
    max_tokens: int
    settings: LoopSettings


def main() -> int:
    """Measure, write the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--only", choices=tuple(SETS))
    parser.add_argument("--program", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if not DATA.is_dir():
        print(f"skipped, no real data in {DATA}", file=sys.stderr)
        return 0
    if given.program:
        print(json.dumps(run(given.program, SETS[given.only](given.epochs))))
        return 0
    found = {name: measure(name, given.epochs) for name in SETS if given.only in (None, name)}
    bfloat16 = use_bfloat16("auto", CPU)
    figures = {"precision": "bfloat16" if bfloat16 else "float32", "epochs": given.epochs, "sets": found}
    result = measured.save("training", SEED, figures, PACKAGES) if given.only is None else figures
    print(json.dumps(result))
    return 0


def measure(name: str, epochs: int) -> dict[str, Any]:
    """Seconds and quality of each program on one set of texts, each in a process of its own."""
    found: dict[str, Any] = {}
    for program in PROGRAMS:
        if name == "amazon" and program in ("trainer_longest_allowed", "trainer_longest_of_batch"):
            continue
        command = [sys.executable, __file__, "--only", name, "--epochs", str(epochs), "--program", program]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found[program] = json.loads(done.stdout.splitlines()[-1])
        print(json.dumps({name: {program: found[program]}}), file=sys.stderr)
    return {**found, **ratios(found)}


def run(program: str, texts: Texts) -> dict[str, Any]:
    """What one program takes and learns."""
    import petastorm  # noqa: F401 - what is loaded once is loaded before the clock runs
    import sklearn.metrics  # noqa: F401

    torch.set_num_threads(measured.machine()["cores"])
    load_encoder(ENCODER)
    encoder = TextEncoder(load_tokenizer(ENCODER), texts.max_tokens)
    train, test = (encoder.encode(part) for part in (texts.train, texts.test))
    work = Work(
        ENCODER, texts.labels, texts.max_tokens, texts.settings, BATCH, (TRAINER_RATE, HEAD_RATE), CPU
    )  # fmt: skip
    if not program.startswith("trainer"):
        reuse_memory()
    with tempfile.TemporaryDirectory() as folder:
        write_rows(Path(folder), train, texts.train_labels)
        done = PROGRAMS[program](work, Path(folder))
    right = int((probabilities(done.network, test, CPU).argmax(1) == texts.test_labels).sum())
    low, high = wilson_interval(right, len(test))
    return {
        "seconds": round(done.seconds, 1), "texts_per_second": round(len(train) * texts.settings.epochs / done.seconds, 1),
        "accuracy": round(right / len(test), 4), "accuracy_low": round(low, 4), "accuracy_high": round(high, 4),
        "tokens": done.tokens, "steps": done.steps,
    }  # fmt: skip


def banking77(epochs: int) -> Texts:
    """Queries of customers, 77 intents, the official split."""

    def rows(name: str) -> list[dict[str, str]]:
        with (DATA / "banking77" / f"{name}.csv").open(encoding="utf-8") as file:
            return list(csv.DictReader(file))

    train, test = rows("train"), rows("test")
    labels = sorted({row["category"] for row in train})
    numbers = [np.array([labels.index(row["category"]) for row in part]) for part in (train, test)]
    texts = [[row["text"] for row in part] for part in (train, test)]
    settings = LoopSettings(epochs, 1024, TRAINER_RATE * 2**0.5, HEAD_RATE * 2**0.5, 0.1, 0.01, 1.0, seed=SEED)
    return Texts(texts[0], numbers[0], texts[1], numbers[1], labels, 64, settings)


def amazon(epochs: int) -> Texts:
    """Reviews, negative up to 2 stars and positive from 4; every fourth one is for the test, 3,000 are learned from."""
    with gzip.open(DATA / "amazon_reviews" / "reviews.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    rows = [row for row in rows if float(row["rating"]) != 3]
    texts = [f"{row['title']}\n{row['review_text']}" for row in rows]
    labels = np.array([int(float(row["rating"]) > 3) for row in rows])
    order = np.random.default_rng(SEED).permutation(len(rows))
    test, train = order[::4], np.delete(order, np.arange(0, len(order), 4))[:3000]
    settings = LoopSettings(epochs, 4096, TRAINER_RATE, HEAD_RATE, 0.1, 0.01, 1.0, seed=SEED)
    return Texts(
        [texts[i] for i in train], labels[train], [texts[i] for i in test], labels[test], ["negative", "positive"], 128,
        settings,
    )  # fmt: skip


SETS: dict[str, Callable[[int], Texts]] = {"banking77": banking77, "amazon": amazon}


if __name__ == "__main__":
    sys.exit(main())
