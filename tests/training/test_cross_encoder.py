"""Pairs that match are told from those that do not, and measured by group."""

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss, ndcg_score, roc_auc_score

from attune.models.tokens import Ragged
from attune.training.communicator import SingleProcess
from attune.training.cross_encoder import CrossEncoder, pair_metrics
from attune.training.reader import Rows
from attune.training.task import take_batch
from models.tiny_bert import tiny_tokenizer, write_tiny_bert
from training.examples import COLOURS
from training.task_contract import CPU, check_contract, loop_of


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_tiny_bert(tmp_path_factory.mktemp("bert"))


def pair_rows(num: int, seed: int = 0) -> Rows:
    """The second text matches if it has a colour of the same half of the list as the first: both must be read."""
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 4, num), rng.integers(0, 4, num)
    label = (first // 2 == second // 2).astype(np.float64)
    encode = tiny_tokenizer().encode
    sequences = [
        np.array(encode(f"{COLOURS[a]} lamp", f"{COLOURS[b]} {'mug ' * n}").ids)
        for a, b, n in zip(first, second, rng.integers(0, 3, num), strict=True)
    ]
    values = {
        "label": label,
        "weight": rng.integers(1, 4, num).astype(np.float64),
        "group": rng.integers(0, num // 3 + 1, num),
    }
    return Rows({"tokens": Ragged.of(sequences)}, values)


def test_contract(encoder: str) -> None:
    check_contract(CrossEncoder(encoder, 0.0), pair_rows(24))


def test_matches_are_learned(encoder: str) -> None:
    torch.manual_seed(0)
    task = CrossEncoder(encoder, 0.0)
    valid = pair_rows(150, seed=9)
    before = loop_of(task).evaluate(valid)
    found = loop_of(task, epochs=12, learning_rate=4e-3, head_learning_rate=4e-3).fit([pair_rows(600)], valid).metrics
    assert before["auc"] < 0.75
    assert found["auc"] > 0.95
    assert found["ndcg@10"] > max(0.95, before["ndcg@10"])


def test_loss_is_the_weighted_mean_and_takes_soft_labels(encoder: str) -> None:
    task = CrossEncoder(encoder, 0.0)
    rows = pair_rows(12)
    rows.values["label"][:5] = [0.1, 0.3, 0.5, 0.7, 0.9]
    found = task.loss(take_batch(rows, np.arange(12), task.network.pad_id, CPU), SingleProcess())
    p = loop_of(task).predict(rows)[:, 0].astype(np.float64)
    y, w = rows.values["label"], rows.values["weight"]
    expected = np.average(-(y * np.log(p) + (1 - y) * np.log(1 - p)), weights=w)
    assert found.total / found.weight == pytest.approx(expected, rel=1e-5)
    assert loop_of(task).evaluate(rows)["log_loss"] == pytest.approx(expected, rel=1e-5)


def test_metrics_equal_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    scores, labels, weights = rng.random(400), (rng.random(400) < 0.3).astype(float), rng.random(400)
    groups = rng.permutation(np.repeat(np.arange(20), 20))
    found = pair_metrics(scores, labels, weights, groups)
    assert found["auc"] == pytest.approx(roc_auc_score(labels, scores, sample_weight=weights))
    assert found["log_loss"] == pytest.approx(log_loss(labels, scores, sample_weight=weights))
    per_group = [(scores[groups == g], labels[groups == g]) for g in range(20)]
    counted = [(s, y) for s, y in per_group if y.any()]
    assert found["num_groups"] == len(counted)
    assert found["ndcg@10"] == pytest.approx(np.mean([ndcg_score([y], [s], k=10) for s, y in counted]))
    assert found["mrr"] == pytest.approx(np.mean([1 / (1 + y[np.argsort(-s)].argmax()) for s, y in counted]))


def test_soft_gains_equal_scikit_learn_and_ties_rank_before() -> None:
    scores, labels = np.array([0.9, 0.5, 0.7, 0.1]), np.array([0.2, 0.9, 0.6, 0.0])
    found = pair_metrics(scores, labels, np.ones(4), np.zeros(4, np.int64))
    assert found["ndcg@10"] == pytest.approx(ndcg_score([labels], [scores], k=10))
    tied = pair_metrics(np.full(4, 0.5), np.array([1.0, 0, 0, 0]), np.ones(4), np.zeros(4, np.int64))
    assert tied["mrr"] == 1 / 4
    assert tied["ndcg@10"] == pytest.approx(1 / np.log2(5))
    none = pair_metrics(scores, np.zeros(4), np.ones(4), np.arange(4))
    assert np.isnan([none["auc"], none["mrr"], none["ndcg@10"]]).all()
