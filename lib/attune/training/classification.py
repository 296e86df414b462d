"""Classification: cross-entropy over labels, one text a row."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch.nn import functional

from attune.errors import SettingsError
from attune.models.encoder import load_encoder
from attune.models.networks import TextClassifier
from attune.training.communicator import Communicator
from attune.training.task import Batch, Loss


class Classification:
    """Fine-tunes an encoder with a linear layer on top.

    Rows: ``tokens`` and ``label``, the number of the right label. ``label_smoothing`` spreads so much of the target
    over all labels (Szegedy et al. 2016, section 7). ``label_weights``, one for each label, count a row as so many;
    the loss is then the weighted mean, as that of torch's ``cross_entropy``. Metrics are those of
    ``classification_metrics``.

    Raises SettingsError where there are not as many weights as labels, or one is not above 0.
    """

    token_columns = ("tokens",)
    value_columns = ("label",)
    chosen_by = "accuracy"
    may_stay_untrained = False

    def __init__(
        self, encoder: str, labels: Sequence[str], dropout: float, label_smoothing: float,
        label_weights: Sequence[float] | None = None,
    ) -> None:  # fmt: skip
        weights = [1.0] * len(labels) if label_weights is None else list(label_weights)
        if len(weights) != len(labels) or min(weights, default=0.0) <= 0:
            raise SettingsError(f"label_weights {weights}: give {len(labels)} numbers above 0, one for each label")
        self.network = TextClassifier(load_encoder(encoder, dropout), labels, dropout)
        self._label_smoothing = label_smoothing
        self._label_weights = torch.tensor(weights)

    def loss(self, batch: Batch, comm: Communicator) -> Loss:
        """Sum over this rank's rows; the other ranks' rows do not enter it."""
        if len(batch) == 0:
            return Loss(None, 0.0, 0.0)
        logits, labels = self.network(*batch.tokens["tokens"]), batch.values["label"].long()
        weights = self._label_weights = self._label_weights.to(logits.device)
        total = functional.cross_entropy(
            logits, labels, weights, reduction="sum", label_smoothing=self._label_smoothing
        )  # fmt: skip
        return Loss(total, total.detach(), weights[labels].sum())

    def outputs(self, batch: Batch) -> torch.Tensor:
        """Probability of each label, (B, C)."""
        if len(batch) == 0:
            return torch.empty((0, self.network.num_outputs))
        return self.network.predict(*batch.tokens["tokens"])

    def metrics(self, outputs: np.ndarray, values: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Metrics over all rows."""
        return classification_metrics(outputs, values["label"])


def classification_metrics(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Accuracy with its 95% Wilson interval, macro F1, log loss in nats, and for two labels the area under the ROC curve.

    ``probabilities`` (N, C), ``labels`` (N,). The area is nan where one of the labels does not occur. Source of the
    interval: Wilson 1927.
    """
    from sklearn.metrics import f1_score, roc_auc_score

    num = len(labels)
    right = probabilities.argmax(1) == labels
    accuracy = float(right.mean()) if num else float("nan")
    low, high = wilson_interval(int(right.sum()), num)
    found = {"num": float(num), "accuracy": accuracy, "accuracy_low": low, "accuracy_high": high}
    if num:
        of_label = np.clip(probabilities[np.arange(num), labels], 1e-7, 1.0)
        found["f1"] = float(f1_score(labels, probabilities.argmax(1), average="macro", zero_division=0))
        found["log_loss"] = float(-np.log(of_label).mean())
    if probabilities.shape[1] == 2:
        both = len(np.unique(labels)) == 2
        found["auc"] = float(roc_auc_score(labels, probabilities[:, 1])) if both else float("nan")
    return found


def wilson_interval(successes: int, trials: int, z: float = 1.959964) -> tuple[float, float]:
    """Interval of a share at the confidence of ``z``; (nan, nan) without trials (Wilson 1927).

    >>> [round(end, 4) for end in wilson_interval(8, 10)]
    [0.4902, 0.9433]
    """
    if trials == 0:
        return float("nan"), float("nan")
    share = successes / trials
    scale = 1 + z * z / trials
    centre = (share + z * z / (2 * trials)) / scale
    half = z / scale * (share * (1 - share) / trials + z * z / (4 * trials * trials)) ** 0.5
    return centre - half, centre + half
