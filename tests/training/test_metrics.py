"""Figures that are reported are right: against scikit-learn, SciPy and hand-made cases."""

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, f1_score, log_loss, roc_auc_score

from attune.training.classification import classification_metrics, wilson_interval
from attune.training.matching import match_losses, match_metrics


def test_classification_metrics_equal_scikit_learn() -> None:
    rng = np.random.default_rng(5)
    positive, labels = rng.random(500), rng.integers(0, 2, 500)
    found = classification_metrics(np.stack([1 - positive, positive], 1), labels)
    assert found["accuracy"] == accuracy_score(labels, positive > 0.5)
    assert found["f1"] == f1_score(labels, positive > 0.5, average="macro")
    assert found["auc"] == roc_auc_score(labels, positive)
    assert found["log_loss"] == pytest.approx(log_loss(labels, positive))
    interval = binomtest(int(found["accuracy"] * 500), 500).proportion_ci(method="wilson")
    assert (found["accuracy_low"], found["accuracy_high"]) == pytest.approx((interval.low, interval.high))


def test_metrics_of_nothing_and_of_one_label_are_no_error() -> None:
    assert np.isnan(classification_metrics(np.empty((0, 2)), np.empty(0, np.int64))["accuracy"])
    assert np.isnan(classification_metrics(np.array([[0.2, 0.8]]), np.array([1]))["auc"])
    assert np.isnan(wilson_interval(0, 0)).all()


def test_match_loss_by_hand() -> None:
    """Two pairs, orthogonal vectors, temperature 1: -log(e^(1-a) / (e^(1-a) + e^(0-b)))."""
    eye, log_q = torch.eye(2), torch.tensor([-1.0, -2.0])
    found = match_losses(eye, eye, torch.tensor([1, 2]), torch.tensor([3, 4]), log_q, 1.0)
    expected = [-np.log(np.exp(2) / (np.exp(2) + np.exp(2))), -np.log(np.exp(3) / (np.exp(3) + np.exp(1)))]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)


def test_same_item_is_no_negative() -> None:
    vectors = torch.nn.functional.normalize(torch.randn(3, 4, generator=torch.manual_seed(0)), dim=1)
    none = torch.zeros(3)
    same_target = match_losses(vectors, vectors, torch.tensor([1, 2, 3]), torch.tensor([7, 7, 8]), none, 1.0)
    only_last = torch.nn.functional.cross_entropy((vectors @ vectors.T)[:1, [0, 2]], torch.tensor([0]))
    assert same_target[0] == pytest.approx(float(only_last))
    anchor_is_target = match_losses(vectors, vectors, torch.tensor([9, 2, 3]), torch.tensor([7, 8, 9]), none, 1.0)
    without_it = torch.nn.functional.cross_entropy((vectors @ vectors.T)[:1, [0, 1]], torch.tensor([0]))
    assert anchor_is_target[0] == pytest.approx(float(without_it))


def test_match_metrics_rank_the_target_among_all_items_but_the_anchor() -> None:
    angles = np.linspace(0, 1, 20) ** 1.5
    vectors = np.stack([np.cos(angles), np.sin(angles)], 1)
    # The gaps widen, so the item after the first one is its nearest, the one after any other its second nearest.
    anchor_ids, target_ids = np.array([0, 5, 0]), np.array([1, 6, 19])
    anchors, targets = vectors[anchor_ids], vectors[target_ids]
    items_of_pairs = [0, 1, 5, 6, 19]
    found = match_metrics(anchors, targets, anchor_ids, target_ids)
    assert found["num_items"] == len(items_of_pairs)
    assert found["recall@10"] == 1.0
    # Ranks among the other four: item 1 first for anchor 0, item 6 first for anchor 5, item 19 last for anchor 0.
    assert found["mrr"] == pytest.approx((1 + 1 + 1 / 4) / 3)


def test_recall_counts_only_the_ten_nearest() -> None:
    angles = np.linspace(0, 1, 30)
    vectors = np.stack([np.cos(angles), np.sin(angles)], 1)
    anchor_ids = np.zeros(29, np.int64)
    target_ids = np.arange(1, 30)
    found = match_metrics(vectors[anchor_ids], vectors[target_ids], anchor_ids, target_ids)
    assert found["recall@10"] == pytest.approx(10 / 29)
    assert found["mrr"] == pytest.approx(np.mean(1 / np.arange(1, 30)))
