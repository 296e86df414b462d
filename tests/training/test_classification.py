"""Classes that are rare can be made to count, and texts can have several labels."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score, log_loss

from attune.errors import SettingsError
from attune.training.classification import Classification
from attune.training.communicator import SingleProcess
from attune.training.multi_label import MultiLabelClassification, label_bits, label_mask, multi_label_metrics
from attune.training.reader import Rows
from attune.training.task import take_batch
from models.tiny_bert import write_tiny_bert
from training.examples import COLOURS, THINGS, review_rows, tokens
from training.task_contract import CPU, check_contract, loop_of

LABELS = ["negative", "positive"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_tiny_bert(tmp_path_factory.mktemp("bert"))


def things_rows(num: int, seed: int = 0) -> Rows:
    """Texts that name some things of three, or none; label c says whether thing c is named."""
    rng = np.random.default_rng(seed)
    named = rng.random((num, 3)) < 0.4
    texts = [
        " ".join(rng.permutation([*np.array(THINGS[:3])[row], *rng.choice(COLOURS, rng.integers(1, 5))]))
        for row in named
    ]
    masks = np.array([label_mask(np.flatnonzero(row).tolist()) for row in named], np.int64)
    return Rows({"tokens": tokens(texts)}, {"labels": masks})


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_weighted_loss_is_that_of_torch(encoder: str, smoothing: float) -> None:
    task = Classification(encoder, LABELS, 0.0, smoothing, label_weights=[0.5, 3.0])
    rows = review_rows(20)
    batch = take_batch(rows, np.arange(13), task.network.pad_id, CPU)
    found = task.loss(batch, SingleProcess())
    expected = torch.nn.functional.cross_entropy(
        task.network(*batch.tokens["tokens"]),
        batch.values["label"],
        torch.tensor([0.5, 3.0]),
        label_smoothing=smoothing,
    )
    assert found.objective is not None
    torch.testing.assert_close(found.objective / found.weight, expected)
    plain = Classification(encoder, LABELS, 0.0, smoothing).loss(batch, SingleProcess())
    assert plain.weight == 13


def test_weights_make_a_rare_class_win_where_nothing_tells_them_apart(encoder: str) -> None:
    same = tokens(["a mug"] * 100)
    rows = Rows({"tokens": same}, {"label": (np.arange(100) < 20).astype(np.int64)})
    means = []
    for weights in (None, [1.0, 4.0]):
        torch.manual_seed(0)
        task = Classification(encoder, LABELS, 0.0, 0.0, weights)
        loop = loop_of(task, epochs=8)
        loop.fit([rows], rows)
        means.append(float(loop.predict(rows)[:, 1].mean()))
    assert means == pytest.approx([0.2, 0.5], abs=0.06)


@pytest.mark.parametrize("weights", [[1.0], [1.0, 0.0], [1.0, 1.0, 1.0]])
def test_weights_that_do_not_fit_are_refused(encoder: str, weights: list[float]) -> None:
    with pytest.raises(SettingsError, match="one for each label"):
        Classification(encoder, LABELS, 0.0, 0.0, weights)


def test_contract_of_classification(encoder: str) -> None:
    check_contract(Classification(encoder, LABELS, 0.0, 0.1, [1.0, 2.5]), review_rows(20))


def test_contract_of_multi_label(encoder: str) -> None:
    check_contract(MultiLabelClassification(encoder, THINGS[:3], 0.0), things_rows(20))


def test_multi_label_learns_which_things_are_named(encoder: str) -> None:
    torch.manual_seed(1)
    task = MultiLabelClassification(encoder, THINGS[:3], 0.0)
    valid = things_rows(100, seed=9)
    before = loop_of(task).evaluate(valid)
    found = loop_of(task, epochs=15, learning_rate=5e-3).fit([things_rows(300)], valid).metrics
    assert before["micro_f1"] < 0.7
    assert found["micro_f1"] > 0.95
    assert found["map"] > 0.98


def test_multi_label_loss_is_the_mean_over_rows_and_labels(encoder: str) -> None:
    task = MultiLabelClassification(encoder, THINGS[:3], 0.0)
    rows = things_rows(9)
    batch = take_batch(rows, np.arange(9), task.network.pad_id, CPU)
    found = task.loss(batch, SingleProcess())
    truth = torch.from_numpy(label_bits(rows.values["labels"], 3)).float()
    expected = torch.nn.functional.binary_cross_entropy(task.outputs(batch), truth)
    assert found.objective is not None
    torch.testing.assert_close(found.objective / found.weight, expected)


def test_multi_label_metrics_equal_scikit_learn() -> None:
    rng = np.random.default_rng(4)
    probabilities, truth = rng.random((200, 5)), rng.random((200, 5)) < 0.3
    truth[:, 4] = False
    found = multi_label_metrics(probabilities, truth.astype(np.int64) @ (1 << np.arange(5)))
    decided = probabilities >= 0.5
    assert found["micro_f1"] == pytest.approx(f1_score(truth, decided, average="micro"))
    assert found["macro_f1"] == pytest.approx(f1_score(truth, decided, average="macro", zero_division=0))
    assert found["map"] == pytest.approx(average_precision_score(truth[:, :4], probabilities[:, :4], average="macro"))
    assert found["log_loss"] == pytest.approx(log_loss(truth.ravel(), probabilities.ravel()))


def test_the_last_of_63_labels_survives_and_a_64th_is_refused(encoder: str, tmp_path: Path) -> None:
    assert label_bits(np.array([label_mask([62])]), 63).nonzero()[1].tolist() == [62]
    with pytest.raises(SettingsError, match="63"):
        MultiLabelClassification(encoder, [str(i) for i in range(64)], 0.0)
