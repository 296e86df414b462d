"""What int8 costs a model is measured on its validation rows after training, and only where they are enough."""

from pathlib import Path

import numpy as np
import pytest
import torch

from attune.models.networks import read_network, write_network
from attune.training import int8
from attune.training.classification import Classification
from attune.training.communicator import SingleProcess
from attune.training.int8 import measure_int8
from attune.training.loop import Loop
from attune.training.masked_language import MaskedLanguage
from attune.training.plan import LoopSettings
from attune.training.reader import Rows
from models.tiny_bert import tiny_tokenizer, write_tiny_bert
from training.examples import review_rows

SETTINGS = LoopSettings(3, 256, 2e-3, 1e-2, 0.1, 0.01, 1.0, precision="float32")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_tiny_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def trained(encoder: str) -> Classification:
    torch.manual_seed(1)
    task = Classification(encoder, ["negative", "positive"], dropout=0.1, label_smoothing=0.0)
    Loop(task, SETTINGS, SingleProcess(), torch.device("cpu")).fit([review_rows(300)], review_rows(40, seed=9))
    return task


def stored(task: Classification | MaskedLanguage, folder: Path) -> Path:
    write_network(task.network, tiny_tokenizer(), 16, folder)
    return folder


def test_a_trained_model_loses_little_and_stays_as_it_is(trained: Classification, tmp_path: Path) -> None:
    rows = review_rows(250, seed=9)
    network = trained.network
    found = measure_int8(trained, rows, stored(trained, tmp_path))
    assert found is not None
    assert trained.network is network
    assert found["metric"] == "accuracy"
    assert found["num"] == 250
    assert found["float32"] == Loop(trained, SETTINGS, SingleProcess(), torch.device("cpu")).evaluate(rows)["accuracy"]
    assert found["loss"] == pytest.approx(found["float32"] - found["int8"])  # type: ignore[operator]
    assert abs(found["loss"]) <= 0.02  # type: ignore[arg-type]
    assert 0 < found["mean_change"] < found["largest_change"] < 0.5  # type: ignore[operator]


def test_a_loss_is_told_as_it_is(trained: Classification, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoilt(network: torch.nn.Module) -> torch.nn.Module:
        turned = read_network(tmp_path)
        turned.head.weight.data *= -1  # type: ignore[union-attr,operator]
        turned.head.bias.data *= -1  # type: ignore[union-attr,operator]
        return turned

    monkeypatch.setattr(int8, "quantised", spoilt)
    found = measure_int8(trained, review_rows(250, seed=9), stored(trained, tmp_path))
    assert found is not None
    assert found["loss"] > 0.8  # type: ignore[operator]


def test_rows_are_bounded_by_their_tokens(
    trained: Classification, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, folder = review_rows(400, seed=9), stored(trained, tmp_path)
    lengths = rows.tokens["tokens"].lengths
    monkeypatch.setattr(int8, "_MAX_TOKENS", int(np.cumsum(lengths)[299]))
    found = measure_int8(trained, rows, folder)
    assert found is not None
    assert found["num"] == 300
    monkeypatch.setattr(int8, "_MAX_TOKENS", 50)
    found = measure_int8(trained, rows, folder)
    assert found is not None
    assert found["num"] == 200


def test_few_rows_and_networks_that_score_no_table_are_not_measured(
    trained: Classification, encoder: str, tmp_path: Path
) -> None:
    assert measure_int8(trained, review_rows(199), stored(trained, tmp_path)) is None
    rows: Rows = review_rows(200)
    assert measure_int8(MaskedLanguage(encoder, dropout=0.0), rows, tmp_path / "not read") is None
