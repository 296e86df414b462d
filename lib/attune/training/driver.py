"""What every training does on the driver: write the rows, run the ranks, store the model, decide whether to use it."""

import math
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attune.config import Config, TrainTask
from attune.errors import InputError, SettingsError
from attune.models.encoder import load_tokenizer, max_positions
from attune.models.networks import TOKENIZER
from attune.models.store import ModelStore
from attune.training.launch import run_ranks
from attune.training.plan import LoopSettings, RankJob, RankResult
from attune.training.rank import NETWORK_FOLDER
from attune.training.reader import ROW_KEY, folder_url
from attune.training.shards import Shards, write_shards
from attune.training.task import Task

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

MIN_TRAIN_ROWS_PER_RANK = 8


@dataclass(frozen=True)
class TrainedModel:
    """A model that was trained and stored, and whether it is now the one in use."""

    task: str
    version: str
    folder: Path
    metrics: Mapping[str, Any]
    rows_per_rank: Sequence[Mapping[str, int]]  # for each rank: split -> rows that it read
    promoted: bool
    reason: str  # why it was promoted or not


@contextmanager
def scratch_folder(settings: Config, task: str) -> Iterator[Path]:
    """Folder in the workspace for what only lives while training does; executors see it under the same path."""
    folder = Path(settings.workspace).resolve() / "scratch" / f"{task}-{uuid.uuid4().hex[:8]}"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def save_tokenizer(settings: Config, scratch: Path, task: str, max_tokens: int) -> str:
    """Put the encoder's tokenizer where the executors find it. Returns the path of its file.

    Raises SettingsError where the task's texts may be longer than the encoder reads.
    """
    limit = max_positions(settings.train.encoder)
    if limit is not None and max_tokens > limit:
        raise SettingsError(
            f"train.{task}.max_tokens is {max_tokens}, but the encoder {settings.train.encoder} reads {limit} tokens "
            f"at most: set train.{task}.max_tokens={limit}"
        )
    file = scratch / TOKENIZER
    load_tokenizer(settings.train.encoder).save(str(file))
    return str(file)


def loop_settings(settings: Config, task: TrainTask) -> LoopSettings:
    """Settings of the loop as plain values."""
    values = {
        name: getattr(group, name)
        for group in (settings.train, task)
        for name in LoopSettings.__dataclass_fields__
        if name in type(group).model_fields
    }
    return LoopSettings(**values, seed=settings.seed)


def limit_rows(rows: "DataFrame", split: str, max_rows: int | None, seed: int) -> "DataFrame":
    """Keep at most so many rows of a split, chosen by seed."""
    from pyspark.sql import functions as F

    if max_rows is None:
        return rows
    chosen = rows.where(F.col("split") == split).orderBy(F.xxhash64(F.lit(seed), ROW_KEY), ROW_KEY).limit(max_rows)
    return chosen.unionByName(rows.where(F.col("split") != split))


def train_rows(
    rows: "DataFrame", task: Callable[..., Task], task_settings: Mapping[str, Any], settings: Config,
    task_config: TrainTask, scratch: Path, report_columns: tuple[str, ...] = (),
    encoder: str | None = None,
) -> list[RankResult]:  # fmt: skip
    """Write pre-tokenised rows, and train on them with all ranks. Raises InputError where there are too few.

    ``encoder`` is used in place of that of the settings. A training of the same settings on the same rows that was cut off goes on from its last checkpoint. Metrics of the
    results tell the ``shards`` of each split.
    """
    num_ranks = 1 if settings.train.launcher == "single" else settings.train.num_ranks
    shards = _write(rows, str(scratch / "rows"), num_ranks * settings.train.accumulation)
    counts = {split: written.rows for split, written in shards.items()}
    if counts.get("train", 0) < MIN_TRAIN_ROWS_PER_RANK * num_ranks or not counts.get("valid"):
        raise InputError(
            f"too few examples to train: {counts.get('train', 0)} to train on and {counts.get('valid', 0)} to choose "
            f"the best epoch by; {MIN_TRAIN_ROWS_PER_RANK * num_ranks} and 1 are the least for {num_ranks} ranks"
        )
    job = RankJob(
        task=task,
        task_settings=dict(task_settings),
        encoder=encoder or settings.train.encoder,
        max_tokens=task_config.max_tokens,
        data={split: folder_url(scratch / "rows" / f"split={split}") for split in shards},
        written={split: (written.rows, written.tokens) for split, written in shards.items()},
        output=str(scratch / "output"),
        loop=loop_settings(settings, task_config),
        checkpoints=str(_checkpoints(settings, scratch)),
        threads=settings.train.threads_per_rank,
        report_columns=report_columns,
    )
    train = settings.train
    results = run_ranks(job, rows.sparkSession, train.launcher, num_ranks, train.start_timeout_seconds)
    shutil.rmtree(_checkpoints(settings, scratch), ignore_errors=True)
    told = {"shards": {split: written.summary() for split, written in shards.items()}}
    return [replace(result, metrics={**result.metrics, **told}) for result in results]


def store_model(
    results: Sequence[RankResult], task: str, version: str, settings: Config, scratch: Path,
    metrics: Mapping[str, Any], data_versions: Mapping[str, int], refusal: str | None, acceptance: str,
) -> TrainedModel:  # fmt: skip
    """Store what rank 0 wrote, and make it the latest unless there is a reason to refuse it."""
    store = ModelStore(settings.workspace)
    network = scratch / "output" / NETWORK_FOLDER
    rows_per_rank = [dict(result.rows) for result in results]
    metrics = _without_nan(metrics)
    card = {
        "encoder": settings.train.encoder, "settings": settings.train.model_dump(mode="json"), "seed": settings.seed,
        "data_versions": dict(data_versions), "metrics": metrics, "rows_per_rank": rows_per_rank,
    }  # fmt: skip
    folder = store.save(task, version, lambda hidden: _copy_files(network, hidden), card)
    if refusal is None:
        store.promote(task, version)
    return TrainedModel(task, version, folder, metrics, rows_per_rank, refusal is None, refusal or acceptance)


def _without_nan(value: Any) -> Any:
    """Undefined figures as null, which JSON can say."""
    if isinstance(value, Mapping):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _checkpoints(settings: Config, scratch: Path) -> Path:
    """Folder of the checkpoints of a task's training, which outlives a run that is cut off."""
    return Path(settings.workspace).resolve() / "checkpoints" / scratch.name.rpartition("-")[0]


def _copy_files(source: Path, target: Path) -> None:
    shutil.copytree(source, target, dirs_exist_ok=True)


def _write(rows: "DataFrame", folder: str, num_ranks: int) -> dict[str, Shards]:
    rows = rows.persist()
    try:
        return write_shards(rows, folder, num_ranks)
    finally:
        rows.unpersist()
