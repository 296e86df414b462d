"""Probabilities that mean what they say: fitting them, and measuring how far off they are.

Shapes: N rows.
"""

import numpy as np

NUM_BINS = 15
_STEPS = 100
_SMALLEST_STEP = 1e-10


def fit_calibration(logits: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Slope a and intercept b such that sigmoid(a logit + b) is the probability of label 1.

    Maximum likelihood by Newton's method, on targets a little inside 0 and 1, so that a few rows do not claim certainty
    (Platt 1999; the line search is that of Lin, Lin and Weng 2007). Without rows of both labels nothing can be learned,
    and the logits stay as they are: (1, 0).
    """
    logits, positive = np.asarray(logits, np.float64), np.asarray(labels) >= 0.5
    num_positive, num_negative = int(positive.sum()), int((~positive).sum())
    if num_positive == 0 or num_negative == 0:
        return 1.0, 0.0
    targets = np.where(positive, (num_positive + 1) / (num_positive + 2), 1 / (num_negative + 2))
    inputs = np.stack([logits, np.ones_like(logits)], 1)
    found = np.array([0.0, np.log((num_positive + 1) / (num_negative + 1))])
    loss = _loss(inputs @ found, targets)
    for _ in range(_STEPS):
        shares = _sigmoid(inputs @ found)
        gradient = inputs.T @ (shares - targets)
        if np.abs(gradient).max() < 1e-8 * len(logits):
            break
        curvature = inputs.T @ (inputs * (shares * (1 - shares))[:, None]) + 1e-12 * np.eye(2)
        direction = -np.linalg.solve(curvature, gradient)
        step = 1.0
        while (
            lower := _loss(inputs @ (found + step * direction), targets)
        ) > loss + 1e-4 * step * gradient @ direction:
            step /= 2
            if step < _SMALLEST_STEP:
                return float(found[0]), float(found[1])
        found, loss = found + step * direction, lower
    return float(found[0]), float(found[1])


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray, num_bins: int = NUM_BINS) -> float:
    """Mean distance between probability and share of label 1, over bins of equal mass (Nguyen and O'Connor 2015).

    ``probabilities`` and ``labels`` (N,). Equal probabilities fall into one bin, so the order of rows does not matter.
    """
    edges = np.unique(np.quantile(probabilities, np.linspace(0, 1, num_bins + 1)[1:-1]))
    number = np.searchsorted(edges, probabilities, side="left")
    gaps = np.bincount(number, probabilities - labels)
    return float(np.abs(gaps).sum() / len(labels))


def _loss(logits: np.ndarray, targets: np.ndarray) -> float:
    return float((np.logaddexp(0, logits) - targets * logits).sum())


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    shares: np.ndarray = np.exp(-np.logaddexp(0, -logits))
    return shares
