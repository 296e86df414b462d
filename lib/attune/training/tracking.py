"""Curves and figures of a training in MLflow and TensorBoard, on the driver.

MLflow's runs lie in ``<workspace>/mlflow.db`` (SQLite) and their files in ``<workspace>/mlflow``, unless MLFLOW_TRACKING_URI
names a server; on Databricks they are in its own tracking. TensorBoard's files lie in
``<workspace>/tensorboard/<task>/<version>``. What is not installed is left out with a note. Tracking that fails on its way
is left out with a warning: a training of hours is worth more than its curves.
"""

import logging
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from attune.nested import flattened
from attune.training.progress import Point

_log = logging.getLogger("attune")

_MLFLOW_BATCH = 100
"""Parameters that MLflow takes at once."""
_MLFLOW_CHARS = 500
"""Characters of a parameter that every MLflow server takes."""


@dataclass(frozen=True)
class TrackedRun:
    """What is known of a training before it starts."""

    task: str
    version: str
    params: Mapping[str, Any]  # settings, nested
    data_versions: Mapping[str, int]


class Sink(Protocol):
    """A place that curves go to."""

    def points(self, points: Sequence[Point]) -> None:
        """Add points."""

    def finish(self, metrics: Mapping[str, float], succeeded: bool) -> None:
        """Add the final figures, and close."""


class Tracker:
    """Sends what a training tells to all sinks; one that fails is dropped."""

    def __init__(self, sinks: Mapping[str, Sink]) -> None:
        self._sinks = dict(sinks)
        self._metrics: dict[str, float] = {}

    def points(self, points: Sequence[Point]) -> None:
        """Forward points of rank 0."""
        if points:
            self._each(lambda sink: sink.points(points))

    def metrics(self, metrics: Mapping[str, Any]) -> None:
        """Final figures, nested as they stand in the model's card; what is no finite number is left out."""
        self._metrics = dict(_finite(flattened(metrics)))

    def finish(self, succeeded: bool) -> None:
        """Close the sinks."""
        self._each(lambda sink: sink.finish(self._metrics, succeeded))

    def _each(self, send: Callable[[Sink], None]) -> None:
        for name, sink in list(self._sinks.items()):
            try:
                send(sink)
            except Exception as error:  # noqa: BLE001 - whatever a server answers must not end the training
                del self._sinks[name]
                _log.warning("training goes on without %s, which failed: %s: %s", name, type(error).__name__, error)


@contextmanager
def tracked(names: Sequence[str], workspace: str, run: TrackedRun, watcher: Sink | None = None) -> Iterator[Tracker]:
    """A tracker for the time of a training; one that raises is kept as failed."""
    sinks: dict[str, Sink] = {} if watcher is None else {"the watcher": watcher}
    for name in names:
        try:
            sinks[name] = _SINKS[name](Path(workspace).resolve(), run)
        except ImportError as error:
            _log.info(
                "no curves in %s, which is not installed (%s): pip install 'attune[tracking]', or take it out of train.tracking",
                name, error,
            )  # fmt: skip
        except Exception as error:  # noqa: BLE001 - as above
            _log.warning("training goes on without %s, which failed: %s: %s", name, type(error).__name__, error)
    tracker = Tracker(sinks)
    try:
        yield tracker
    except BaseException:
        tracker.finish(succeeded=False)
        raise
    tracker.finish(succeeded=True)


class MlflowSink:
    """A run of the experiment ``attune/<task>``; made with a client of its own, so that nothing global is changed."""

    def __init__(self, workspace: Path, run: TrackedRun) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow.entities import Param
        from mlflow.tracking import MlflowClient

        for noisy in ("alembic", "mlflow"):
            logging.getLogger(noisy).setLevel(logging.WARNING)
        on_databricks = "DATABRICKS_RUNTIME_VERSION" in os.environ
        own = "databricks" if on_databricks else f"sqlite:///{workspace / 'mlflow.db'}"
        uri = os.environ.get("MLFLOW_TRACKING_URI") or own
        workspace.mkdir(parents=True, exist_ok=True)
        self._client = MlflowClient(tracking_uri=uri)
        artifacts = (workspace / "mlflow").as_uri() if uri.startswith("sqlite:") else None
        name = f"/Shared/attune-{run.task}" if uri == "databricks" else f"attune/{run.task}"
        experiment = self._client.get_experiment_by_name(name)
        number = experiment.experiment_id if experiment else self._client.create_experiment(name, artifacts)
        tags = {"attune.task": run.task, "attune.version": run.version}
        self._run = self._client.create_run(number, run_name=run.version, tags=tags).info.run_id
        told = flattened(run.params) | flattened({"data_version": run.data_versions})
        params = [Param(_mlflow_name(key), str(value)[:_MLFLOW_CHARS]) for key, value in told.items()]
        for start in range(0, len(params), _MLFLOW_BATCH):
            self._client.log_batch(self._run, params=params[start : start + _MLFLOW_BATCH])

    def points(self, points: Sequence[Point]) -> None:
        """Add points."""
        from mlflow.entities import Metric

        self._client.log_batch(
            self._run,
            metrics=[
                Metric(_mlflow_name(name), value, int(point.time * 1000), point.step)
                for point in points
                for name, value in _finite(point.values)
            ],
        )

    def finish(self, metrics: Mapping[str, float], succeeded: bool) -> None:
        """Add the final figures and end the run."""
        for name, value in metrics.items():
            self._client.log_metric(self._run, _mlflow_name(f"final/{name}"), value)
        self._client.set_terminated(self._run, "FINISHED" if succeeded else "FAILED")


class TensorboardSink:
    """Event files of one training."""

    def __init__(self, workspace: Path, run: TrackedRun) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(workspace / "tensorboard" / run.task / run.version))
        told = flattened(run.params) | flattened({"data_version": run.data_versions})
        table = "\n".join(
            ["| setting | value |", "|---|---|", *(f"| {key} | {value} |" for key, value in told.items())]
        )
        self._writer.add_text("params", table)

    def points(self, points: Sequence[Point]) -> None:
        """Add points, which a running TensorBoard sees at once."""
        for point in points:
            for name, value in _finite(point.values):
                self._writer.add_scalar(name, value, point.step, walltime=point.time)
        self._writer.flush()

    def finish(self, metrics: Mapping[str, float], succeeded: bool) -> None:
        """Add the final figures and close the file."""
        for name, value in metrics.items():
            self._writer.add_scalar(f"final/{name}", value)
        self._writer.close()


_SINKS: Mapping[str, Callable[[Path, TrackedRun], Sink]] = {"mlflow": MlflowSink, "tensorboard": TensorboardSink}


def _finite(values: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in values.items():
        if isinstance(value, int | float) and math.isfinite(value):
            yield name, float(value)


def _mlflow_name(name: str) -> str:
    """A name that MLflow takes: ``recall@10`` becomes ``recall_at_10``."""
    return re.sub(r"[^\w\-. /]", "_", name.replace("@", "_at_"))
