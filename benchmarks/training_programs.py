"""The programs that the benchmarks of training compare, on a CPU or a GPU: the loop, its batches from memory, the Trainer.

All start from the same weights and see the same rows as often, in the same precision and with the same optimiser.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from attune.models.networks import TextClassifier
from attune.models.precision import autocast, use_bfloat16
from attune.models.tokens import Ragged
from attune.training.classification import Classification
from attune.training.communicator import SingleProcess
from attune.training.loop import Loop
from attune.training.optimizer import Optimizer
from attune.training.plan import LoopSettings, learning_rate_factor
from attune.training.reader import ROW_KEY, Rows, folder_url, read_shard
from attune.training.task import lengths_for_batching, take_batch

SCORING_BATCH = 128


@dataclass(frozen=True)
class Work:
    """What a program is to do, and where.

    ``settings`` are the loop's; the Trainer takes ``trainer_batch`` texts at a time, at ``trainer_rates`` of the encoder and
    of what is new, and pads to ``max_tokens`` where it pads to the limit.
    """

    encoder: str
    labels: Sequence[str]
    max_tokens: int
    settings: LoopSettings
    trainer_batch: int
    trainer_rates: tuple[float, float]
    device: torch.device
    warm_up: bool = False  # whether every program goes through all rows once before the clock runs


@dataclass(frozen=True)
class Done:
    """What a program took, and the network as it left it."""

    seconds: float
    network: TextClassifier
    tokens: int
    steps: int


def write_rows(folder: Path, tokens: Sequence[np.ndarray], labels: np.ndarray, num_files: int = 1) -> None:
    """Rows as the loop reads them, a row group a file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for number, part in enumerate(np.array_split(np.arange(len(labels)), num_files)):
        columns = {ROW_KEY: part, "label": labels[part], "tokens": [tokens[n].astype("<i4").tobytes() for n in part]}
        pq.write_table(pa.table(columns), folder / f"part-{number}.parquet")


def read_rows(folder: Path) -> Rows:
    """All rows of a folder, as a rank reads them."""
    return read_shard(folder_url(folder), 0, 1, Classification.token_columns, Classification.value_columns)


def run_loop(work: Work, folder: Path) -> Done:
    """Ours, reading included."""
    task = _new_task(work)
    loop = Loop(task, work.settings, SingleProcess(), work.device)
    nothing = read_rows(folder).take(np.empty(0, np.int64))
    if work.warm_up:
        loop.settings = replace(work.settings, epochs=1)
        loop.fit([read_rows(folder)], nothing)
        loop.settings = work.settings
    with _Clock(work.device) as clock:
        rows = read_rows(folder)
        trained = loop.fit([rows], nothing)
    return Done(clock.seconds, task.network, rows.num_tokens, len(trained.losses))


def run_from_memory(work: Work, folder: Path) -> Done:
    """The batches of the loop, held as tensors, with nothing but forward, backward, clipping and AdamW."""
    task, rows = _new_task(work), read_rows(folder)
    plan = Loop(task, replace(work.settings, compile=False), SingleProcess(), work.device)._plan([rows])
    batches = [take_batch(rows, part, 0, work.device) for epoch in plan for parts in epoch for part in parts]
    network, bfloat16 = task.network, use_bfloat16(work.settings.precision, work.device)
    if work.settings.compile:
        network.encoder.compile(dynamic=True)
    optimizer = Optimizer(network, work.settings)
    network.train()

    def step(number: int) -> None:
        batch = batches[number]
        with autocast(work.device, bfloat16):
            logits = network(*batch.tokens["tokens"])
            loss = torch.nn.functional.cross_entropy(logits, batch.values["label"])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), work.settings.max_grad_norm)
        optimizer.step(learning_rate_factor(number, len(batches), work.settings.warmup_share))

    if work.warm_up:
        for number in range(len(plan[0])):
            step(number)
    with _Clock(work.device) as clock:
        for number in range(len(batches)):
            step(number)
    return Done(clock.seconds, network, rows.num_tokens, len(batches))


def run_trainer(work: Work, folder: Path, to_limit: bool = False, by_length: bool = False) -> Done:
    """The Trainer of transformers, which pads to the longest text of a batch unless it pads to the limit."""
    from transformers import Trainer, TrainingArguments

    found = read_rows(folder)
    tokens, labels = found.tokens["tokens"], found.values["label"]
    rows = [
        {"input_ids": tokens.flat[start:end], "labels": int(label)}
        for start, end, label in zip(tokens.offsets[:-1], tokens.offsets[1:], labels, strict=True)
    ]

    def collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        width = work.max_tokens if to_limit else max(len(row["input_ids"]) for row in rows)
        ids = torch.zeros((len(rows), width), dtype=torch.int64)
        mask = torch.zeros_like(ids)
        for number, row in enumerate(rows):
            ids[number, : len(row["input_ids"])] = torch.from_numpy(row["input_ids"].astype(np.int64))
            mask[number, : len(row["input_ids"])] = 1
        return {"input_ids": ids, "attention_mask": mask, "labels": torch.tensor([row["labels"] for row in rows])}

    model = _Named(_new_task(work).network)
    rates = dict(zip(("learning_rate", "head_learning_rate"), work.trainer_rates, strict=True))
    optimizer = Optimizer(model.network, replace(work.settings, **rates))
    with tempfile.TemporaryDirectory() as output:

        def trainer(epochs: int) -> Trainer:
            arguments = TrainingArguments(
                output_dir=output, num_train_epochs=epochs, per_device_train_batch_size=work.trainer_batch,
                learning_rate=work.trainer_rates[0], weight_decay=work.settings.weight_decay,
                warmup_steps=work.settings.warmup_share, lr_scheduler_type="linear",
                max_grad_norm=work.settings.max_grad_norm, bf16=use_bfloat16("auto", work.device),
                use_cpu=work.device.type == "cpu", seed=work.settings.seed, save_strategy="no", report_to="none",
                logging_strategy="no", disable_tqdm=True, remove_unused_columns=False, optim="adamw_torch_fused",
                train_sampling_strategy="group_by_length" if by_length else "random",
            )  # fmt: skip
            return Trainer(
                model=model, args=arguments, train_dataset=rows, data_collator=collate,
                optimizers=(optimizer.inner, None),
            )  # fmt: skip

        if work.warm_up:
            trainer(1).train()
        timed = trainer(work.settings.epochs)
        with _Clock(work.device) as clock:
            timed.train()
    return Done(clock.seconds, model.network, found.num_tokens, int(timed.state.global_step))


PROGRAMS: dict[str, Callable[[Work, Path], Done]] = {
    "loop": run_loop,
    "same_batches_from_memory": run_from_memory,
    "trainer_longest_allowed": lambda work, folder: run_trainer(work, folder, to_limit=True),
    "trainer_longest_of_batch": run_trainer,
    "trainer_like_lengths": lambda work, folder: run_trainer(work, folder, by_length=True),
}


def ratios(found: dict[str, dict[str, Any]]) -> dict[str, float]:
    """How many times as long as the loop the other programs took, of figures with ``seconds`` by program."""
    ours = found["loop"]["seconds"]
    times = {p.replace("trainer", "times"): round(f["seconds"] / ours, 2) for p, f in found.items() if "trainer" in p}
    return {**times, "of_memory": round(found["same_batches_from_memory"]["seconds"] / ours, 3)}


def probabilities(network: TextClassifier, test: Sequence[np.ndarray], device: torch.device) -> np.ndarray:
    """Probability of each label of some texts, in their order."""
    network.eval()
    rows = Rows({"tokens": Ragged.of(list(test))}, {"label": np.zeros(len(test), np.int64)})
    order = np.argsort(lengths_for_batching(rows))
    found = []
    with torch.inference_mode(), autocast(device, use_bfloat16("auto", device)):
        for part in np.array_split(order, max(1, len(order) // SCORING_BATCH)):
            batch = take_batch(rows, part, 0, device)
            found.append(network(*batch.tokens["tokens"]).float().softmax(-1).cpu().numpy())
    merged: np.ndarray = np.concatenate(found)[np.argsort(order)]
    return merged


class _Named(torch.nn.Module):
    """Our network under the names that the Trainer calls by."""

    def __init__(self, network: TextClassifier) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor) -> dict[str, Any]:
        """Loss and logits of a batch."""
        logits = self.network(input_ids, attention_mask)
        return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}


class _Clock:
    """Seconds of a block, until its device has done all that was asked of it."""

    def __init__(self, device: torch.device) -> None:
        self._device, self.seconds = device, 0.0

    def __enter__(self) -> Self:
        self._wait()
        self._began = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self._wait()
        self.seconds = time.perf_counter() - self._began

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


def _new_task(work: Work) -> Classification:
    torch.manual_seed(work.settings.seed)
    task = Classification(work.encoder, work.labels, dropout=0.1, label_smoothing=0.0)
    task.network.to(work.device)
    return task
