"""Tasks that fail in their own way, and a driver program that trains one of them under a launcher, without Spark's jobs."""

import json
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from attune.training.classification import Classification
from attune.training.communicator import Communicator
from attune.training.plan import LoopSettings, RankJob
from attune.training.reader import Rows, folder_url
from attune.training.task import Batch, Loss
from models.tiny_bert import write_tiny_bert
from training.examples import review_rows

LABELS = ["negative", "positive"]
LAST_WORDS = "rank 1 has seen step 5"


class Failing(Classification):
    """Fails on one rank at one step, in a way named by ``how``."""

    def __init__(self, encoder: str, how: str, trace: str, rank: int = 1, step: int = 5) -> None:
        super().__init__(encoder, LABELS, dropout=0.0, label_smoothing=0.0)
        self._how, self._trace, self._rank, self._at, self._step = how, Path(trace), rank, step, 0

    def loss(self, batch: Batch, comm: Communicator) -> Loss:
        """The loss, or the failure."""
        self._step += 1
        living = self._how == "none" or (self._how == "kill once" and self._trace.exists())
        if self._step == self._at and comm.rank == self._rank and not living:
            print(LAST_WORDS, flush=True)
            time.sleep(2)  # let the launcher hear it
            self._fail()
        return super().loss(batch, comm)

    def _fail(self) -> None:
        self._trace.write_text(str(time.time()))
        if self._how in ("kill", "kill once"):
            os.kill(os.getpid(), signal.SIGKILL)
        if self._how == "exit":
            os._exit(3)
        if self._how == "exit0":
            os._exit(0)
        if self._how == "raise":
            raise KeyError("a mistake in the task")
        if self._how == "memory":
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:119] . DefaultCPUAllocator: can't allocate memory")


def write_rows(rows: Rows, folder: Path, num_files: int) -> str:
    """Rows as ``write_shards`` leaves them: a row group a file."""
    texts = rows.tokens["tokens"]
    cells = [
        texts.flat[a:b].astype("<i4").tobytes() for a, b in zip(texts.offsets[:-1], texts.offsets[1:], strict=True)
    ]
    for number, chosen in enumerate(np.array_split(np.arange(len(rows)), num_files)):
        file = folder / f"group={number}" / "part.parquet"
        file.parent.mkdir(parents=True)
        columns = {"row_key": chosen, "tokens": pa.array([cells[i] for i in chosen], pa.binary())}
        pq.write_table(pa.table(columns | {"label": rows.values["label"][chosen]}), file)
    return folder_url(folder)


def make_job(scratch: Path, task: Any, settings: Mapping[str, Any], num_rows: int = 400, **changed: Any) -> RankJob:
    """A job on synthetic reviews."""
    data, written = {}, {}
    for split, count in (("train", num_rows), ("valid", 40)):
        rows = review_rows(count, seed=len(split))
        data[split] = write_rows(rows, scratch / "rows" / f"split={split}", 2)
        written[split] = (len(rows), rows.num_tokens)
    loop = LoopSettings(
        epochs=2, tokens_per_batch=256, learning_rate=1e-3, head_learning_rate=1e-2, warmup_share=0.1, weight_decay=0.01,
        max_grad_norm=1.0, frozen_layers=0, precision="float32", seed=3,
    )  # fmt: skip
    return RankJob(
        task=task, task_settings=settings, encoder=write_tiny_bert(scratch / "encoder"), max_tokens=16, data=data,
        written=written, output=str(scratch / "output"), loop=loop, threads=1, settings_key="train.sentiment", **changed,
    )  # fmt: skip


def main(launcher: str, how: str, scratch: str, min_ranks: str = "") -> None:
    """Train with two ranks, and print what came of it as one line of JSON.

    With ``min_ranks`` a training goes on after a death, from a checkpoint of the step before.
    """
    from attune.session import get_session
    from attune.training.launch import run_ranks

    trace = Path(scratch) / "failed_at"
    trace.parent.mkdir(parents=True, exist_ok=True)
    spark = get_session("dying", {"spark.ui.enabled": False, "spark.ui.showConsoleProgress": False})
    job = make_job(Path(scratch) / "job", Failing, {"how": how, "trace": str(trace)})
    if min_ranks:
        loop = replace(job.loop, ranks=2, checkpoint_minutes=1e-9)
        job = replace(job, loop=loop, checkpoints=str(Path(scratch) / "checkpoints"))
    began, told = time.time(), {}
    try:
        results = run_ranks(job, spark, launcher, 2, 120, min_ranks=int(min_ranks) if min_ranks else None)
        metrics = results[0].metrics
        told = {
            "rows": [dict(r.rows) for r in results], "accuracy": metrics["valid"]["accuracy"],
            "losses": metrics["loss_by_quarter"], "steps": metrics["num_steps"], "resumed": metrics["resumed_at_step"],
        }  # fmt: skip
    except (ValueError, RuntimeError) as error:
        told = {"error": type(error).__name__, "message": str(error), "notes": getattr(error, "__notes__", [])}
        if trace.exists():
            told["seconds_to_end"] = round(time.time() - float(trace.read_text()), 1)
    told |= {
        "seconds": round(time.time() - began, 1),
        "sigterm_is_ours": signal.getsignal(signal.SIGTERM) == signal.SIG_DFL,
    }
    print("OUTCOME " + json.dumps(told), flush=True)
    spark.stop()
