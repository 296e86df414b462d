"""Speed and quality of the number formats that texts are scored in, in turns on the same texts; a part of bench_score."""

import tempfile
from pathlib import Path
from typing import Any

import bench_training
import measured
import numpy as np
import pandas as pd
import torch
from training_programs import Work, run_loop, write_rows

from attune.models.encoder import load_tokenizer
from attune.models.networks import TextClassifier
from attune.models.tokens import TextEncoder
from attune.scoring.engine import Scorer
from attune.scoring.tokens import token_bytes
from attune.training.classification import wilson_interval
from attune.training.devices import reuse_memory

PRECISIONS = ("float32", "bfloat16", "int8")
CHUNK, TOKENS_PER_BATCH = 250, 8192
CPU = torch.device("cpu")


def measure(num_test: int, seed: int) -> dict[str, Any]:
    """Rows a second and accuracy of each precision, and how the answers of the others differ from those of float32."""
    texts = bench_training.amazon(1)
    torch.set_num_threads(measured.machine()["cores"])
    reuse_memory()
    encoder = TextEncoder(load_tokenizer(bench_training.ENCODER), texts.max_tokens)
    network = _trained(texts, encoder)
    tokens = token_bytes(encoder, pd.Series(texts.test[:num_test]))
    labels = texts.test_labels[: len(tokens)]
    outputs, seconds = score_in_turns(network, tokens, seed)
    figures = {
        p: _quality(outputs[p], labels) | {"rows_per_second": round(len(tokens) / seconds[p], 1)} for p in PRECISIONS
    }
    exact = outputs["float32"]
    return {
        "rows": len(tokens), "mean_tokens": round(float(tokens.map(len).mean()) / 4, 1), "learned_from": len(texts.train),
        "precisions": figures, "against_float32": {p: _difference(exact, outputs[p], labels) for p in PRECISIONS[1:]},
        "times_float32": {p: round(seconds["float32"] / seconds[p], 2) for p in PRECISIONS[1:]},
    }  # fmt: skip


def score_in_turns(
    network: TextClassifier, tokens: pd.Series, seed: int
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Outputs (rows, 2) and seconds of each precision, chunk by chunk in an order that is drawn anew for each."""
    scorers = {precision: Scorer(network, TOKENS_PER_BATCH, precision, CPU) for precision in PRECISIONS}
    for scorer in scorers.values():
        scorer.score(tokens[:50])
    rng, pieces = np.random.default_rng(seed), {precision: [] for precision in PRECISIONS}
    seconds = dict.fromkeys(PRECISIONS, 0.0)
    for start in range(0, len(tokens), CHUNK):
        chunk = tokens[start : start + CHUNK]
        for number in rng.permutation(len(PRECISIONS)):
            precision = PRECISIONS[number]
            seconds[precision] += measured.seconds_of(
                lambda precision=precision, chunk=chunk: pieces[precision].append(
                    scorers[precision].score(chunk).values
                )  # type: ignore[misc]
            )
    return {precision: np.concatenate(found) for precision, found in pieces.items()}, seconds


def _trained(texts: bench_training.Texts, encoder: TextEncoder) -> TextClassifier:
    work = Work(
        bench_training.ENCODER, texts.labels, texts.max_tokens, texts.settings, bench_training.BATCH,
        (bench_training.TRAINER_RATE, bench_training.HEAD_RATE), CPU,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        write_rows(Path(folder), encoder.encode(texts.train), texts.train_labels)
        return run_loop(work, Path(folder)).network


def _quality(outputs: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    right = int((outputs.argmax(1) == labels).sum())
    low, high = wilson_interval(right, len(labels))
    return {"accuracy": round(right / len(labels), 4), "accuracy_low": round(low, 4), "accuracy_high": round(high, 4)}


def _difference(exact: np.ndarray, rounded: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Change of the accuracy with the 95% interval of a paired difference, and of the probabilities."""
    gain = (rounded.argmax(1) == labels).astype(float) - (exact.argmax(1) == labels)
    half = 1.959964 * float(gain.std()) / len(gain) ** 0.5
    change = np.abs(exact - rounded)
    return {
        "accuracy_gain": round(float(gain.mean()), 4), "low": round(float(gain.mean()) - half, 4),
        "high": round(float(gain.mean()) + half, 4), "labels_changed": int((exact.argmax(1) != rounded.argmax(1)).sum()),
        "largest_change_of_probability": round(float(change.max()), 4),
        "mean_change_of_probability": round(float(change.mean()), 5),
    }  # fmt: skip
