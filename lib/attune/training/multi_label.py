"""Multi-label classification: a text may have any number of labels, or none.

Shapes: B rows of a batch, N rows of all ranks, C labels.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch.nn import functional

from attune.errors import SettingsError
from attune.models.encoder import load_encoder
from attune.models.networks import TextClassifier
from attune.training.communicator import Communicator
from attune.training.task import Batch, Loss

MAX_LABELS = 63
"""A row's labels are the bits of one int64, whose sign stays free."""


class MultiLabelClassification:
    """Fine-tunes an encoder with a linear layer on top, one yes or no for each label.

    Rows: ``tokens`` and ``labels``, an int64 whose bit c says whether label c holds (``label_mask`` makes it). The loss
    is the binary cross-entropy, its mean over rows and labels. Metrics are those of ``multi_label_metrics``.

    Raises SettingsError for no label or more than 63.
    """

    token_columns = ("tokens",)
    value_columns = ("labels",)
    chosen_by = "map"
    may_stay_untrained = False

    def __init__(self, encoder: str, labels: Sequence[str], dropout: float) -> None:
        if not 1 <= len(labels) <= MAX_LABELS:
            raise SettingsError(f"{len(labels)} labels: a text may have 1 to {MAX_LABELS}; drop or merge the rare ones")
        self.network = TextClassifier(load_encoder(encoder, dropout), labels, dropout, multi_label=True)

    def loss(self, batch: Batch, comm: Communicator) -> Loss:
        """Sum over this rank's rows and their labels."""
        if len(batch) == 0:
            return Loss(None, 0.0, 0.0)
        logits = self.network(*batch.tokens["tokens"])
        labels = batch.values["labels"].long()
        targets = (labels[:, None] >> torch.arange(logits.shape[1], device=labels.device)) & 1
        total = functional.binary_cross_entropy_with_logits(logits, targets.float(), reduction="sum")
        return Loss(total, total.detach(), float(targets.numel()))

    def outputs(self, batch: Batch) -> torch.Tensor:
        """Probability of each label, (B, C)."""
        if len(batch) == 0:
            return torch.empty((0, self.network.num_outputs))
        return self.network.predict(*batch.tokens["tokens"])

    def metrics(self, outputs: np.ndarray, values: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Metrics over all rows."""
        return multi_label_metrics(outputs, values["labels"])


def label_mask(labels: Sequence[int]) -> int:
    """Numbers of the labels of a row, as bits.

    >>> label_mask([0, 2])
    5
    """
    return sum(1 << label for label in set(labels))


def label_bits(masks: np.ndarray, num_labels: int) -> np.ndarray:
    """Int64 (N,) to 0 or 1 (N, C)."""
    bits: np.ndarray = (np.asarray(masks, np.int64)[:, None] >> np.arange(num_labels)) & 1
    return bits


def multi_label_metrics(probabilities: np.ndarray, masks: np.ndarray) -> dict[str, float]:
    """F1 at one half over all decisions (micro) and as mean over the labels (macro), ``map`` and log loss in nats.

    ``probabilities`` (N, C), ``masks`` int64 (N,). ``map`` is the mean over the labels that occur of their average
    precision (nan where none does); the log loss is the mean over rows and labels.
    """
    from sklearn.metrics import average_precision_score, f1_score

    names = ("micro_f1", "macro_f1", "map", "log_loss")
    if len(masks) == 0:
        return {"num": 0.0, **dict.fromkeys(names, float("nan"))}
    truth = label_bits(masks, probabilities.shape[1])
    decided = (probabilities >= 0.5).astype(np.int64)
    micro, macro = (f1_score(truth.ravel(), decided.ravel(), zero_division=0), _macro_f1(truth, decided))
    occurs = np.flatnonzero(truth.any(0))
    precisions = [average_precision_score(truth[:, c], probabilities[:, c]) for c in occurs]
    clipped = np.clip(probabilities.astype(np.float64), 1e-7, 1 - 1e-7)
    loss = -np.where(truth == 1, np.log(clipped), np.log1p(-clipped)).mean()
    mean_precision = float(np.mean(precisions)) if precisions else float("nan")
    found = (float(micro), macro, mean_precision, float(loss))
    return {"num": float(len(masks)), **dict(zip(names, found, strict=True))}


def _macro_f1(truth: np.ndarray, decided: np.ndarray) -> float:
    """Mean of each label's F1; 0 for a label that neither occurs nor is given, as scikit-learn has it by default."""
    both = (truth & decided).sum(0)
    either = truth.sum(0) + decided.sum(0)
    return float(np.where(either > 0, 2 * both / np.maximum(either, 1), 0.0).mean())
