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
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

HERE = Path(__file__).parent
DATA = HERE.parents[1] / "shared" / "data"
sys.path.insert(0, str(HERE.parent / "lib"))

import measured

from attune.models.encoder import load_encoder, load_tokenizer
from attune.models.networks import TextClassifier
from attune.models.precision import autocast, use_bfloat16
from attune.models.tokens import TextEncoder
from attune.training.classification import Classification, wilson_interval
from attune.training.communicator import SingleProcess
from attune.training.devices import reuse_memory
from attune.training.loop import Loop
from attune.training.optimizer import Optimizer
from attune.training.plan import LoopSettings, learning_rate_factor
from attune.training.reader import ROW_KEY, Rows, folder_url, read_shard
from attune.training.task import lengths_for_batching, take_batch

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
    ours = found["loop"]["seconds"]
    times = {p.replace("trainer", "times"): round(f["seconds"] / ours, 2) for p, f in found.items() if "trainer" in p}
    return {**found, **times, "of_memory": round(found["same_batches_from_memory"]["seconds"] / ours, 3)}


def run(program: str, texts: Texts) -> dict[str, Any]:
    """What one program takes and learns."""
    torch.set_num_threads(measured.machine()["cores"])
    load_encoder(ENCODER)  # what is loaded once is loaded before the clock runs
    encoder = TextEncoder(load_tokenizer(ENCODER), texts.max_tokens)
    train, test = (encoder.encode(part) for part in (texts.train, texts.test))
    if program.startswith("trainer"):
        return _trainer(texts, train, test, program == "trainer_longest_allowed", program == "trainer_like_lengths")
    reuse_memory()
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder), train, texts.train_labels)
        return (_loop if program == "loop" else _bare)(texts, Path(folder), test)


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


PROGRAMS = (
    "loop", "same_batches_from_memory", "trainer_longest_allowed", "trainer_longest_of_batch", "trainer_like_lengths",
)  # fmt: skip
SETS: dict[str, Callable[[int], Texts]] = {"banking77": banking77, "amazon": amazon}


def _write(folder: Path, tokens: Sequence[np.ndarray], labels: np.ndarray) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        ROW_KEY: np.arange(len(labels)),
        "label": labels,
        "tokens": [ids.astype("<i4").tobytes() for ids in tokens],
    }
    pq.write_table(pa.table(columns), folder / "part-0.parquet")


def _network(texts: Texts) -> Classification:
    torch.manual_seed(SEED)
    return Classification(ENCODER, texts.labels, dropout=0.1, label_smoothing=0.0)


def _loop(texts: Texts, folder: Path, test: Sequence[np.ndarray]) -> dict[str, Any]:
    """Ours, reading included."""
    import petastorm  # noqa: F401 - loaded before the clock runs

    task = _network(texts)
    loop = Loop(task, replace(texts.settings, precision="auto"), SingleProcess(), CPU)
    began = time.perf_counter()
    rows = read_shard(folder_url(folder), 0, 1, task.token_columns, task.value_columns)
    trained = loop.fit([rows], rows.take(np.empty(0, np.int64)))
    figures = _figures(time.perf_counter() - began, len(rows), texts, _probabilities(task.network, test))
    return {**figures, "tokens": rows.num_tokens, "steps": len(trained.losses)}


def _bare(texts: Texts, folder: Path, test: Sequence[np.ndarray]) -> dict[str, Any]:
    """The same network fed the same batches from memory."""
    task = _network(texts)
    rows = read_shard(folder_url(folder), 0, 1, task.token_columns, task.value_columns)
    plan = Loop(task, texts.settings, SingleProcess(), CPU)._plan([rows])
    batches = [take_batch(rows, part, 0, CPU) for epoch in plan for parts in epoch for part in parts]
    network, bfloat16 = task.network, use_bfloat16("auto", CPU)
    optimizer = Optimizer(network, texts.settings)
    network.train()
    began = time.perf_counter()
    for step, batch in enumerate(batches):
        with autocast(CPU, bfloat16):
            logits = network(*batch.tokens["tokens"])
            loss = torch.nn.functional.cross_entropy(logits, batch.values["label"])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step(learning_rate_factor(step, len(batches), 0.1))
    return _figures(time.perf_counter() - began, len(rows), texts, _probabilities(network, test))


class _Pairs(torch.nn.Module):
    """Our network under the names that the Trainer calls by."""

    def __init__(self, network: TextClassifier) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor) -> dict[str, Any]:
        """Loss and logits of a batch."""
        logits = self.network(input_ids, attention_mask)
        return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}


def _trainer(
    texts: Texts, train: list[np.ndarray], test: Sequence[np.ndarray], to_limit: bool, by_length: bool
) -> dict[str, Any]:
    """The Trainer of transformers with the same network, rows and epochs."""
    from transformers import Trainer, TrainingArguments

    def collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        width = texts.max_tokens if to_limit else max(len(row["input_ids"]) for row in rows)
        ids = torch.zeros((len(rows), width), dtype=torch.int64)
        mask = torch.zeros_like(ids)
        for number, row in enumerate(rows):
            ids[number, : len(row["input_ids"])] = torch.from_numpy(row["input_ids"].astype(np.int64))
            mask[number, : len(row["input_ids"])] = 1
        return {"input_ids": ids, "attention_mask": mask, "labels": torch.tensor([row["labels"] for row in rows])}

    model = _Pairs(_network(texts).network)
    rows = [{"input_ids": ids, "labels": int(n)} for ids, n in zip(train, texts.train_labels, strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder, num_train_epochs=texts.settings.epochs, per_device_train_batch_size=BATCH,
            learning_rate=TRAINER_RATE, weight_decay=0.01, warmup_steps=0.1, lr_scheduler_type="linear", max_grad_norm=1.0,
            bf16=use_bfloat16("auto", CPU), use_cpu=True, seed=SEED, save_strategy="no", report_to="none",
            logging_strategy="no", disable_tqdm=True, remove_unused_columns=False, optim="adamw_torch_fused",
            train_sampling_strategy="group_by_length" if by_length else "random",
        )  # fmt: skip
        optimizer = Optimizer(
            model.network, replace(texts.settings, learning_rate=TRAINER_RATE, head_learning_rate=HEAD_RATE)
        )
        trainer = Trainer(
            model=model, args=arguments, train_dataset=rows, data_collator=collate, optimizers=(optimizer.inner, None)
        )
        began = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - began
    return _figures(seconds, len(rows), texts, _probabilities(model.network, test))


def _probabilities(network: Any, test: Sequence[np.ndarray]) -> np.ndarray:
    from attune.models.tokens import Ragged

    network.eval()
    rows = Rows({"tokens": Ragged.of(list(test))}, {"label": np.zeros(len(test), np.int64)})
    order = np.argsort(lengths_for_batching(rows))
    found = []
    with torch.inference_mode(), autocast(CPU, use_bfloat16("auto", CPU)):
        for part in np.array_split(order, max(1, len(order) // 128)):
            found.append(network(*take_batch(rows, part, 0, CPU).tokens["tokens"]).float().softmax(-1).numpy())
    merged: np.ndarray = np.concatenate(found)[np.argsort(order)]
    return merged


def _figures(seconds: float, num: int, texts: Texts, probabilities: np.ndarray) -> dict[str, Any]:
    right = int((probabilities.argmax(1) == texts.test_labels).sum())
    low, high = wilson_interval(right, len(texts.test_labels))
    return {
        "seconds": round(seconds, 1), "texts_per_second": round(num * texts.settings.epochs / seconds, 1),
        "accuracy": round(right / len(texts.test_labels), 4), "accuracy_low": round(low, 4), "accuracy_high": round(high, 4),
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
