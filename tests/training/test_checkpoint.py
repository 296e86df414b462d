"""A training that was cut off goes on and ends with the same weights, bit for bit, every row once an epoch."""

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from attune.training.classification import Classification
from attune.training.communicator import Communicator, SingleProcess
from attune.training.loop import Loop, Trained
from attune.training.plan import LoopSettings
from attune.training.reader import Rows
from attune.training.task import Batch, Loss
from models.tiny_bert import write_tiny_bert
from training.examples import review_rows
from training.test_communicator import run_threads
from training.test_loop import settings

CPU, EVERY_STEP = torch.device("cpu"), 1e-9


class CutOffError(Exception):
    """The run ends here."""


class Recorded(Classification):
    """Notes the rows of every batch, and ends the run at one of them."""

    value_columns = ("label", "row")

    def __init__(self, encoder: str, stop_at: int | None = None) -> None:
        torch.manual_seed(1)
        super().__init__(encoder, ["negative", "positive"], dropout=0.2, label_smoothing=0.0)
        self.seen: list[list[int]] = []
        self._stop_at = stop_at

    def loss(self, batch: Batch, comm: Communicator) -> Loss:
        if len(self.seen) == self._stop_at:
            raise CutOffError
        self.seen.append(batch.values["row"].tolist())
        return super().loss(batch, comm)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_tiny_bert(tmp_path_factory.mktemp("bert"))


def rows(num: int, first: int = 0) -> Rows:
    made = review_rows(num, seed=first)
    return Rows(made.tokens, {**made.values, "row": np.arange(first, first + num)})


def train(
    task: Recorded, given: LoopSettings, folder: Path | None, say: Callable[[str], None] = lambda line: None
) -> Trained:
    loop = Loop(task, given, SingleProcess(), CPU, str(folder) if folder else None)
    return loop.fit([rows(100)], rows(40, 1000), say)


def weights(task: Recorded) -> dict[str, torch.Tensor]:
    return task.network.state_dict()


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("stop_at", [1, 7, 8, 19])
def test_a_training_cut_off_ends_as_if_it_had_not_been(
    encoder: str, tmp_path: Path, stop_at: int, optimizer: str
) -> None:
    given = settings(
        epochs=3, tokens_per_batch=128, checkpoint_minutes=EVERY_STEP, optimizer=optimizer, learning_rate=1e-3
    )
    whole = Recorded(encoder)
    undisturbed = train(whole, given, None)
    steps_of_epoch = len(whole.seen) // 3
    assert steps_of_epoch >= 6

    cut, lines = Recorded(encoder, stop_at), []
    with pytest.raises(CutOffError):
        train(cut, given, tmp_path)
    resumed = Recorded(encoder)
    torch.manual_seed(99)
    trained = train(resumed, given, tmp_path, lines.append)
    assert f"going on after step {stop_at}" in lines[0]
    assert trained.resumed_at == stop_at
    assert trained.losses == undisturbed.losses
    assert trained.epochs == undisturbed.epochs
    assert trained.best_epoch == undisturbed.best_epoch
    assert cut.seen + resumed.seen == whole.seen
    for epoch in range(3):
        of_epoch = whole.seen[epoch * steps_of_epoch : (epoch + 1) * steps_of_epoch]
        assert Counter(row for batch in of_epoch for row in batch) == Counter(range(100))
    for name, value in weights(resumed).items():
        assert torch.equal(value, weights(whole)[name]), name


def test_several_ranks_go_on_as_well(encoder: str, tmp_path: Path) -> None:
    given = settings(epochs=2, checkpoint_minutes=EVERY_STEP)
    lock = threading.Lock()

    def work(folder: Path | None, stop_at: int | None) -> Callable[[Communicator], Any]:
        def of_rank(comm: Communicator) -> Any:
            with lock:  # threads share the generator that weights are drawn from
                task = Recorded(encoder, stop_at)
                task.network.eval()
                task.network.train = lambda mode=True: task.network  # type: ignore[method-assign]
            loop = Loop(task, given, comm, CPU, str(folder) if folder else None)
            try:
                return loop.fit([rows(50, 50 * comm.rank)], rows(40, 1000)).losses, weights(task)
            except CutOffError:
                return None

        return of_rank

    whole = run_threads(2, work(None, None))
    assert run_threads(2, work(tmp_path, 5)) == [None, None]
    again = run_threads(2, work(tmp_path, None))
    assert again[0][0] == whole[0][0]
    for name, value in whole[1][1].items():
        assert torch.equal(again[1][1][name], value), name


@pytest.mark.parametrize("changed", ["settings", "rows", "identity"])
def test_a_checkpoint_of_another_training_is_not_gone_on_from(encoder: str, tmp_path: Path, changed: str) -> None:
    given = settings(epochs=2, checkpoint_minutes=EVERY_STEP)
    with pytest.raises(CutOffError):
        train(Recorded(encoder, 5), given, tmp_path)
    if changed == "settings":
        given = settings(epochs=2, checkpoint_minutes=EVERY_STEP, learning_rate=1e-4)
        assert train(Recorded(encoder), given, tmp_path).resumed_at == 0
    elif changed == "rows":
        loop = Loop(Recorded(encoder), given, SingleProcess(), CPU, str(tmp_path))
        assert loop.fit([rows(100, 1)], rows(40, 1000)).resumed_at == 0
    else:
        loop = Loop(Recorded(encoder), given, SingleProcess(), CPU, str(tmp_path), "another encoder")
        assert loop.fit([rows(100)], rows(40, 1000)).resumed_at == 0


def test_a_damaged_checkpoint_is_left_aside_with_the_reason(encoder: str, tmp_path: Path) -> None:
    given, lines = settings(epochs=1, checkpoint_minutes=EVERY_STEP), []
    with pytest.raises(CutOffError):
        train(Recorded(encoder, 3), given, tmp_path)
    (kept,) = tmp_path.glob("step-*")
    file = kept / "tensors.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert train(Recorded(encoder), given, tmp_path, lines.append).resumed_at == 0
    assert "checkpoint left aside" in lines[0]
    assert str(file) in lines[0]


def test_nothing_is_kept_before_its_time(encoder: str, tmp_path: Path) -> None:
    train(Recorded(encoder), settings(epochs=1, checkpoint_minutes=60), tmp_path)
    assert list(tmp_path.iterdir()) == []
