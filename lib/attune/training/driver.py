"""What every training does on the driver: write the rows, run the ranks, store the model, decide whether to use it."""

import math
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attune.config import Config, GatedTask, TrainTask
from attune.errors import InputError, SettingsError
from attune.models.encoder import load_tokenizer, max_positions
from attune.models.networks import TOKENIZER
from attune.models.store import ModelStore
from attune.training.launch import check_launcher, run_ranks
from attune.training.plan import LoopSettings, RankJob, RankResult
from attune.training.rank import NETWORK_FOLDER
from attune.training.reader import ROW_KEY, folder_url
from attune.training.shards import Shards, write_shards
from attune.training.split import bucket
from attune.training.task import Task
from attune.training.tracking import Sink, TrackedRun, tracked

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
    chosen_by: str  # metric that chose its epoch
    promoted: bool
    reason: str  # why it was promoted or not


@dataclass(frozen=True)
class Training:
    """One training on the driver: what it makes, by which settings, and where its files lie while it lasts."""

    name: str  # of the model
    setting: str  # its settings stand under train.<setting>
    version: str
    settings: Config
    data_versions: Mapping[str, int]  # of the tables it learns from
    scratch: Path
    watcher: Sink | None = None  # told of the curves, besides the sinks of train.tracking

    @property
    def config(self) -> TrainTask:
        """Settings of the task."""
        config: TrainTask = getattr(self.settings.train, self.setting)
        return config

    @property
    def output(self) -> Path:
        """Folder that rank 0 writes to."""
        return self.scratch / "output"

    def tokenizer(self) -> str:
        """Put the encoder's tokenizer where the executors find it. Returns the path of its file.

        Raises SettingsError where the task's texts may be longer than the encoder reads.
        """
        encoder, max_tokens = self.settings.train.encoder, self.config.max_tokens
        limit, key = max_positions(encoder), f"train.{self.setting}.max_tokens"
        if limit is not None and max_tokens > limit:
            raise SettingsError(
                f"{key} is {max_tokens}, but the encoder {encoder} reads {limit} tokens at most: set {key}={limit}"
            )
        file = self.scratch / TOKENIZER
        load_tokenizer(encoder).save(str(file))
        return str(file)

    def run(
        self, rows: "DataFrame", task: Callable[..., Task], arguments: Mapping[str, Any],
        slices: Mapping[str, Sequence[str]] | None = None, encoder: str | None = None,
    ) -> list[RankResult]:  # fmt: skip
        """Write pre-tokenised rows, and train on them with all ranks. Raises InputError where there are too few.

        ``slices``: columns by whose values the test rows are measured apart, see ``RankJob``. ``encoder`` takes the place of
        that of the settings. A training of the same settings on the same rows that was cut off goes on from its last
        checkpoint. Metrics of the results tell the ``shards`` of each split, and the ``places`` of the ranks: host and Spark executor.
        """
        train = self.settings.train
        check_launcher(rows.sparkSession, train.launcher)
        num_ranks = 1 if train.launcher == "single" else train.num_ranks
        shards = _write(rows, str(self.scratch / "rows"), num_ranks * train.accumulation)
        counts = {split: written.rows for split, written in shards.items()}
        if counts.get("train", 0) < MIN_TRAIN_ROWS_PER_RANK * num_ranks or not counts.get("valid"):
            raise InputError(
                f"too few examples to train: {counts.get('train', 0)} to train on and {counts.get('valid', 0)} to choose "
                f"the best epoch by; {MIN_TRAIN_ROWS_PER_RANK * num_ranks} and 1 are the least for {num_ranks} ranks"
            )
        in_use, start_from_it = self._in_use()
        job = RankJob(
            task=task,
            task_settings=dict(arguments),
            encoder=train.encoder if encoder is None else encoder,
            max_tokens=self.config.max_tokens,
            data={split: folder_url(self.scratch / "rows" / f"split={split}") for split in shards},
            written={split: (written.rows, written.tokens) for split, written in shards.items()},
            output=str(self.output),
            loop=replace(loop_settings(self.settings, self.config), ranks=num_ranks),
            checkpoints=str(self._checkpoints),
            threads=train.threads_per_rank,
            slices=slices or {},
            fusion_mb=train.fusion_mb,
            reader=train.reader,
            identity=self._identity(arguments, encoder),
            settings_key=f"train.{self.setting}",
            rival=in_use,
            start=in_use if start_from_it else None,
        )
        params = {"train": train.model_dump(mode="json"), "seed": self.settings.seed}
        tracked_run = TrackedRun(self.name, self.version, params, self.data_versions)
        with tracked(train.tracking, self.settings.workspace, tracked_run, self.watcher) as tracker:
            results = run_ranks(
                job, rows.sparkSession, train.launcher, num_ranks, train.start_timeout_seconds, train.hosts, tracker,
                train.min_ranks,
            )  # fmt: skip
            tracker.metrics(results[0].metrics)
        shutil.rmtree(self._checkpoints, ignore_errors=True)
        told = {
            "shards": {split: written.summary() for split, written in shards.items()},
            "places": [dict(result.place) for result in results],
        }
        return [replace(result, metrics={**result.metrics, **told}) for result in results]

    def store(
        self, results: Sequence[RankResult], metrics: Mapping[str, Any], chosen_by: str, refusal: str | None,
        acceptance: str,
    ) -> TrainedModel:  # fmt: skip
        """Store what rank 0 wrote, and make it the latest unless there is a reason to refuse it.

        One reason is found here: the model in use does better on the same held-out rows, by more than ``max_loss``.
        """
        store, network = ModelStore(self.settings.workspace), self.output / NETWORK_FOLDER
        rows_per_rank = [dict(result.rows) for result in results]
        metrics = _without_nan(metrics)
        before, now = (metrics.get(of, {}).get(chosen_by) for of in ("in_use", "test"))
        if refusal is None and isinstance(self.config, GatedTask) and before is not None and now is not None:
            acceptance += f"; the model in use had {before:.4f} on the same rows"
            if now < before - self.config.max_loss:
                refusal = f"{acceptance}, which is more than train.{self.setting}.max_loss better"
        card = {
            "encoder": self.settings.train.encoder, "settings": self.settings.train.model_dump(mode="json"),
            "seed": self.settings.seed, "data_versions": dict(self.data_versions), "metrics": metrics,
            "rows_per_rank": rows_per_rank,
        }  # fmt: skip
        folder = store.save(self.name, self.version, lambda hidden: _copy_files(network, hidden), card)
        if refusal is None:
            store.promote(self.name, self.version)
        return TrainedModel(
            self.name, self.version, folder, metrics, rows_per_rank, chosen_by, refusal is None, refusal or acceptance
        )

    def _in_use(self) -> tuple[str | None, bool]:
        """Folder of the model in use that the new one is compared with, if any, and whether training starts from it."""
        if not isinstance(self.config, GatedTask):
            return None, False
        store, learns_on = ModelStore(self.settings.workspace), self.config.start_from == "latest"
        if store.has_latest(self.name):
            return str(store.latest(self.name).resolve()), learns_on
        if learns_on:
            raise InputError(
                f"train.{self.setting}.start_from is latest, but no model {self.name} is in use: train one with encoder first"
            )
        return None, False

    def _identity(self, arguments: Mapping[str, Any], encoder: str | None) -> str:
        """What the network and its loss are made from, in the same words in a later run: the scratch folder is not."""
        named = self.settings.train.encoder if encoder is None else encoder
        return f"{named} {self.config!r} {dict(arguments)}".replace(str(self.scratch), "")

    @property
    def _checkpoints(self) -> Path:
        """Folder of the checkpoints, which outlives a run that is cut off."""
        return Path(self.settings.workspace).resolve() / "checkpoints" / self.name


@contextmanager
def training(
    settings: Config, name: str, setting: str, version: str, data_versions: Mapping[str, int] | None = None,
    watcher: Sink | None = None,
) -> Iterator[Training]:  # fmt: skip
    """A training, with a folder in the workspace for what only lives while it does; executors see it under the same path."""
    folder = Path(settings.workspace).resolve() / "scratch" / f"{name}-{uuid.uuid4().hex[:8]}"
    folder.mkdir(parents=True)
    try:
        yield Training(name, setting, version, settings, data_versions or {}, folder, watcher)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def replayed(examples: "DataFrame", known: "DataFrame", key: str, share: float, seed: int) -> "DataFrame":
    """Examples of which those to train on that the model in use has learned from are thinned to a share.

    ``known``: the rows that it learned from, by ``key``. Held-out rows stay, so that the old and the new model are
    compared on them all.
    """
    from pyspark.sql import functions as F

    marked = examples.join(known.select(key, F.lit(True).alias("_known")).distinct(), key, "left")
    kept = (F.col("split") != "train") | F.col("_known").isNull() | (bucket(seed + 1, F.col(key)) < share)
    return marked.where(kept).drop("_known")


def loop_settings(settings: Config, task: TrainTask) -> LoopSettings:
    """Settings of the loop as plain values."""
    values = {
        name: getattr(group, name)
        for group in (settings.train, task)
        for name in LoopSettings.__dataclass_fields__
        if name in type(group).model_fields
    }
    # What is new learns at a rate of its own only where the rest is not.
    return LoopSettings(**{"head_learning_rate": task.learning_rate} | values, seed=settings.seed)


def limit_rows(rows: "DataFrame", split: str, max_rows: int | None, seed: int) -> "DataFrame":
    """Keep at most so many rows of a split, chosen by seed."""
    from pyspark.sql import functions as F

    if max_rows is None:
        return rows
    chosen = rows.where(F.col("split") == split).orderBy(F.xxhash64(F.lit(seed), ROW_KEY), ROW_KEY).limit(max_rows)
    return chosen.unionByName(rows.where(F.col("split") != split))


def _without_nan(value: Any) -> Any:
    """Undefined figures as null, which JSON can say."""
    if isinstance(value, Mapping):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _copy_files(source: Path, target: Path) -> None:
    shutil.copytree(source, target, dirs_exist_ok=True)


def _write(rows: "DataFrame", folder: str, num_ranks: int) -> dict[str, Shards]:
    rows = rows.persist()
    try:
        return write_shards(rows, folder, num_ranks)
    finally:
        rows.unpersist()
