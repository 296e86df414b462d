"""The curves of a training arrive in MLflow and TensorBoard while it runs, and their failure does not end it."""

import logging
import sys
from pathlib import Path

import pytest

from attune.training import launch
from attune.training.communicator import SingleProcess
from attune.training.plan import LoopSettings, RankJob, RankResult
from attune.training.progress import Point, Progress, Reporter
from attune.training.tracking import TrackedRun, Tracker, tracked

RUN = TrackedRun("sentiment", "v1", {"train": {"epochs": 2, "encoder": "minilm"}, "seed": 7}, {"reviews": 4})
LOSSES = [0.9, 0.7, 0.5, 0.4, 0.3, 0.2]


def fake_training(job: RankJob, comm: SingleProcess) -> RankResult:
    """What rank 0 tells of two epochs of three steps; a step takes four seconds."""
    now = [0.0]
    progress = Progress(6, Reporter(Path(job.output)), every_seconds=8, clock=lambda: now[0])
    for number, loss in enumerate(LOSSES, start=1):
        now[0] += 4
        progress.step(loss, rows=8, tokens=100, rate=0.001 * number)
        if number % 3 == 0:
            progress.epoch(number // 3, 2, {"recall@10": 0.1 * number, "area": float("nan")})
    return RankResult(0)


def job(tmp_path: Path) -> RankJob:
    loop = LoopSettings(2, 256, 0.001, 0.01, 0.1, 0.01, 1.0, 0)
    return RankJob(dict, {}, "minilm", 16, {}, {}, str(tmp_path / "output"), loop)  # type: ignore[arg-type]


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Path:
    """Workspace of a tracked fake training."""
    for name in ("MLFLOW_TRACKING_URI", "DATABRICKS_RUNTIME_VERSION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(launch, "run_rank", fake_training)
    caplog.set_level(logging.INFO, "attune")
    with tracked(["mlflow", "tensorboard"], str(tmp_path), RUN) as tracker:
        launch.run_ranks(job(tmp_path), None, "single", 1, 1, tracker=tracker)  # type: ignore[arg-type]
        tracker.metrics({"test": {"accuracy": 0.9, "f1": None}, "epochs": [{"loss": 0.5}]})
    return tmp_path


EXPECTED = {
    "train/loss": [(2, 0.8), (3, 0.5), (5, 0.35), (6, 0.2)],
    "train/learning_rate": [(2, 0.002), (3, 0.003), (5, 0.005), (6, 0.006)],
    "train/rows_per_second": [(2, 2.0), (3, 2.0), (5, 2.0), (6, 2.0)],
    "train/tokens_per_second": [(2, 25.0), (3, 25.0), (5, 25.0), (6, 25.0)],
    "valid/recall@10": [(3, 0.3), (6, 0.6)],
    "epoch": [(3, 1.0), (6, 2.0)],
}


def test_curves_arrive_in_mlflow(trained: Path, caplog: pytest.LogCaptureFixture) -> None:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{trained / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("attune/sentiment")
    assert experiment is not None
    assert experiment.artifact_location == (trained / "mlflow").as_uri()
    (run,) = client.search_runs([experiment.experiment_id])
    for name, curve in EXPECTED.items():
        history = client.get_metric_history(run.info.run_id, name.replace("@", "_at_"))
        assert [(point.step, pytest.approx(point.value)) for point in history] == curve
    assert run.info.status == "FINISHED"
    assert run.data.params == {"train.epochs": "2", "train.encoder": "minilm", "seed": "7", "data_version.reviews": "4"}
    assert run.data.metrics["final/test.accuracy"] == 0.9
    assert run.data.tags["attune.version"] == "v1"
    said = [record.getMessage() for record in caplog.get_records("setup")]
    assert "epoch 2 of 2: recall@10 0.6, area nan" in said


def test_curves_arrive_in_tensorboard(trained: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(trained / "tensorboard" / "sentiment" / "v1"))
    events.Reload()
    for name, curve in EXPECTED.items():
        assert [(point.step, pytest.approx(point.value)) for point in events.Scalars(name)] == curve
    assert events.Scalars("final/test.accuracy")[0].value == pytest.approx(0.9)
    assert "valid/area" not in events.Tags()["scalars"]


def test_a_training_that_fails_is_a_failed_run(tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    with pytest.raises(RuntimeError, match="diverged"), tracked(["mlflow"], str(tmp_path), RUN):
        raise RuntimeError("diverged")
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    (run,) = client.search_runs([e.experiment_id for e in client.search_experiments()])
    assert run.info.status == "FAILED"


@pytest.mark.parametrize(
    ("name", "module"), [("mlflow", "mlflow.tracking"), ("tensorboard", "torch.utils.tensorboard")]
)
def test_what_is_not_installed_is_left_out_with_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    caplog.set_level(logging.INFO, "attune")
    with tracked([name], str(tmp_path), RUN) as tracker:
        tracker.points([Point(1, 0.0, {"train/loss": 1.0})])
    assert f"no curves in {name}, which is not installed" in caplog.text
    assert "attune[tracking]" in caplog.text


def test_a_sink_that_fails_does_not_end_the_training(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def points(self, points: object) -> None:
            raise ConnectionError("no route to the server")

        def finish(self, metrics: object, succeeded: bool) -> None:
            raise AssertionError("dropped already")

    tracker = Tracker({"mlflow": Broken()})
    for _ in range(2):
        tracker.points([Point(1, 0.0, {"train/loss": 1.0})])
    tracker.finish(succeeded=True)
    assert caplog.text.count("training goes on without mlflow") == 1
    assert "no route to the server" in caplog.text


def test_a_training_that_goes_on_goes_on_with_its_curve() -> None:
    now, lines = [0.0], list[str]()
    progress = Progress(100, lines.append, every_seconds=10, clock=lambda: now[0], resumed_at=90)
    for _ in range(5):
        now[0] += 2
        progress.step(0.5, rows=8, tokens=100)
    assert lines == ["step 95 of 100: loss 0.5000, 4 examples/s, 50 tokens/s, 10 s left"]


def test_half_a_line_waits_for_its_end(tmp_path: Path) -> None:
    """A rank may be read while it writes."""
    file = tmp_path / "points.jsonl"
    tail = launch._Tail(file)
    assert tail.new() == []
    file.write_text('{"step": 1}\n{"st')
    assert tail.new() == ['{"step": 1}']
    with file.open("a") as stream:
        stream.write('ep": 2}\n')
    assert tail.new() == ['{"step": 2}']
