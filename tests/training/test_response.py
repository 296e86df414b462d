"""Responses are learned from text and behaviour together, and the probabilities mean what they say."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from attune.models.tokens import Ragged
from attune.training.calibration import expected_calibration_error, fit_calibration
from attune.training.reader import Rows
from attune.training.response import Response, response_metrics
from models.tiny_bert import write_tiny_bert
from training.examples import review_texts, tokens
from training.task_contract import check_contract, loop_of


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_tiny_bert(tmp_path_factory.mktemp("bert"))


def response_rows(num: int, seed: int = 0) -> Rows:
    """A good text (+2), a feature above 100 (+2) and an unknown second feature (+2) each speak for a response."""
    rng = np.random.default_rng([seed, 1])
    texts, good = review_texts(num, seed)
    ids = tokens(texts)
    silent = rng.random(num) < 0.2
    sequences = [
        np.empty(0, np.int32) if s else ids.flat[a:b]
        for s, a, b in zip(silent, ids.offsets, ids.offsets[1:], strict=False)
    ]
    first, gap = rng.normal(100, 10, num), rng.random(num) < 0.3
    logit = 3 * np.where(silent, 0, 2 * np.array(good) - 1) + 3 * np.sign(first - 100) + 4 * gap - 2
    label = (rng.random(num) < 1 / (1 + np.exp(-logit))).astype(np.int64)
    values = {"f0": first, "f1": np.where(gap, np.nan, rng.normal(size=num)), "label": label}
    return Rows({"tokens": Ragged.of(sequences)}, values)


def task_of(encoder: str) -> Response:
    torch.manual_seed(0)
    return Response(encoder, [100.0, 0.0], [10.0, 1.0], dropout=0.0, hidden=16)


def test_contract(encoder: str) -> None:
    check_contract(task_of(encoder), response_rows(24))


def test_text_features_and_gaps_are_all_learned(encoder: str) -> None:
    task = task_of(encoder)
    valid = response_rows(300, seed=9)
    before = loop_of(task).evaluate(valid)
    loop = loop_of(task, epochs=8)
    found = loop.fit([response_rows(500)], valid).metrics
    assert before["auc"] < 0.8
    spoken = np.where(valid.tokens["tokens"].lengths == 0, 0, 2 * (np.arange(300) % 2) - 1)
    above, gap = np.sign(valid.values["f0"] - 100), np.isnan(valid.values["f1"])
    for without_one in (3 * above + 4 * gap, 3 * spoken + 4 * gap, 3 * spoken + 3 * above):
        assert found["auc"] > roc_auc_score(valid.values["label"], without_one)
    assert found["auc"] > roc_auc_score(valid.values["label"], 3 * spoken + 3 * above + 4 * gap) - 0.05
    task.calibrate(*loop.gather(valid))
    calibrated = loop.evaluate(valid)
    assert calibrated["log_loss"] < found["log_loss"]
    assert calibrated["auc"] == pytest.approx(found["auc"])
    slope = task.network.slope
    task.calibrate(*loop.gather(valid))
    assert task.network.slope == slope != 1.0


def test_calibration_finds_the_best_slope_and_intercept() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 4, 20_000)
    labels = rng.random(20_000) < 1 / (1 + np.exp(-(0.5 * logits - 1)))
    found = fit_calibration(logits, labels)
    assert found == pytest.approx((0.5, -1.0), abs=0.05)
    theirs = LogisticRegression(C=np.inf, tol=1e-10).fit(logits[:, None], labels)
    assert found == pytest.approx((theirs.coef_[0, 0], theirs.intercept_[0]), abs=1e-3)


def test_calibration_of_few_rows_is_platts() -> None:
    """Separable rows: without his targets the slope would have no bound."""
    logits, labels = np.array([-2.0, -1.0, 1.0, 3.0, 4.0]), np.array([0, 0, 1, 1, 1])
    targets = np.where(labels == 1, 4 / 5, 1 / 4)

    def loss(x: np.ndarray) -> float:
        z = x[0] * logits + x[1]
        return float((np.logaddexp(0, z) - targets * z).sum())

    assert fit_calibration(logits, labels) == pytest.approx(minimize(loss, [0, 0], tol=1e-12).x, abs=1e-4)
    assert fit_calibration(logits, np.ones(5)) == (1.0, 0.0)
    assert fit_calibration(np.full(4, 2.0), np.array([1, 0, 0, 0]))[0] == pytest.approx(0, abs=1)


def test_metrics_equal_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    p = rng.random(500)
    y = (rng.random(500) < p).astype(np.int64)
    found = response_metrics(p, y)
    assert found["auc"] == pytest.approx(roc_auc_score(y, p))
    assert found["log_loss"] == pytest.approx(log_loss(y, p))
    assert found["brier"] == pytest.approx(brier_score_loss(y, p))
    assert found["positive_share"] == y.mean()
    assert found["calibration_error"] == expected_calibration_error(p, y)


def test_calibration_error_by_hand() -> None:
    p = np.repeat([0.1, 0.6], [30, 30])
    y = np.concatenate([np.arange(30) < 9, np.arange(30) < 18]).astype(float)
    assert expected_calibration_error(p, y) == pytest.approx((0.2 + 0.0) / 2)
    order = np.random.default_rng(0).permutation(60)
    assert expected_calibration_error(p[order], y[order]) == pytest.approx(0.1)
    even = np.linspace(0.01, 0.99, 150)
    bins = [abs(part.mean() - 1) for part in np.array_split(even, 15)]
    assert expected_calibration_error(even, np.ones(150)) == pytest.approx(np.mean(bins))
