"""Response prediction: will this user respond to this offer, from a text and from behaviour.

Shapes: B rows of a batch, N rows of all ranks, F features.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch.nn import functional

from attune.models.encoder import load_encoder
from attune.models.response import ResponseModel
from attune.training.calibration import expected_calibration_error, fit_calibration
from attune.training.communicator import Communicator
from attune.training.task import Batch, Loss


class Response:
    """Binary cross-entropy on text and features, and a probability that is calibrated afterwards.

    Rows: ``tokens``, of which there may be none; ``f0`` to ``f{F-1}``, nan where unknown; ``label``, 1 for a response.
    ``means`` and ``deviations`` are those of the features in the training rows, ``features`` their names. The loss is the
    mean over the rows, in nats. Metrics are those of ``response_metrics``.
    """

    token_columns = ("tokens",)
    chosen_by = "auc"
    may_stay_untrained = False

    def __init__(
        self, encoder: str, means: Sequence[float], deviations: Sequence[float], dropout: float, hidden: int = 64,
        features: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self.network = ResponseModel(load_encoder(encoder, dropout), means, deviations, hidden, dropout, features)
        self._features = tuple(f"f{number}" for number in range(len(means)))
        self.value_columns = (*self._features, "label")

    def loss(self, batch: Batch, comm: Communicator) -> Loss:
        """Sum over this rank's rows."""
        if len(batch) == 0:
            return Loss(None, 0.0, 0.0)
        logits = self._logits(batch)
        total = functional.binary_cross_entropy_with_logits(logits, batch.values["label"].float(), reduction="sum")
        return Loss(total, total.detach(), float(len(batch)))

    def outputs(self, batch: Batch) -> torch.Tensor:
        """Logit before the calibration and probability after it, (B, 2)."""
        if len(batch) == 0:
            return torch.empty((0, 2))
        logits = self._logits(batch)
        return torch.stack([logits, self.network.calibrated(logits)], 1)

    def metrics(self, outputs: np.ndarray, values: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Metrics over all rows."""
        return response_metrics(outputs[:, 1], values["label"])

    def calibrate(self, outputs: np.ndarray, values: Mapping[str, np.ndarray]) -> None:
        """Fit the calibration to the validation rows of all ranks, gathered; to be called once training is over."""
        self.network.slope, self.network.intercept = fit_calibration(outputs[:, 0], values["label"])

    def _logits(self, batch: Batch) -> torch.Tensor:
        ids, mask = batch.tokens["tokens"]
        columns = [batch.values[name].double() for name in self._features]
        features = torch.stack(columns, 1) if columns else torch.empty((len(ids), 0), device=ids.device)
        logits: torch.Tensor = self.network(ids, mask, features)
        return logits


def response_metrics(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Area under the ROC curve, log loss in nats, Brier score, calibration error in 15 bins, share of responses.

    Both (N,). What cannot be told of the rows is nan.
    """
    from sklearn.metrics import roc_auc_score

    names = ("auc", "log_loss", "brier", "calibration_error", "positive_share")
    found = {"num": float(len(labels)), **dict.fromkeys(names, float("nan"))}
    if len(labels) == 0:
        return found
    probabilities, labels = probabilities.astype(np.float64), labels.astype(np.float64)
    if len(np.unique(labels)) == 2:
        found["auc"] = float(roc_auc_score(labels, probabilities))
    clipped = np.clip(probabilities, 1e-7, 1 - 1e-7)
    found["log_loss"] = float(-np.where(labels == 1, np.log(clipped), np.log1p(-clipped)).mean())
    found["brier"] = float(((probabilities - labels) ** 2).mean())
    found["calibration_error"] = expected_calibration_error(probabilities, labels)
    found["positive_share"] = float(labels.mean())
    return found
