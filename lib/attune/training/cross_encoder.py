"""Cross-encoder: how well the second of two texts answers the first.

Shapes: B pairs of a batch, N pairs of all ranks.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch.nn import functional

from attune.errors import InputError
from attune.models.encoder import load_encoder, load_tokenizer
from attune.models.pair_scorer import PairScorer
from attune.training.communicator import Communicator
from attune.training.task import Batch, Loss

NDCG_AT = 10


class CrossEncoder:
    """Reads two texts in one sequence and tells the probability that they match (Nogueira and Cho 2019).

    Rows: ``tokens``, the ids of ``[CLS] a [SEP] b [SEP]``; ``label``, 0, 1 or between; ``weight``; ``group``, an int64
    that pairs with the same first text share. The loss is the binary cross-entropy in nats, its weighted mean. Metrics
    are those of ``pair_metrics``.

    Raises InputError where the encoder's tokenizer has no separator.
    """

    token_columns = ("tokens",)
    value_columns = ("label", "weight", "group")
    chosen_by = "auc"
    may_stay_untrained = False

    def __init__(self, encoder: str, dropout: float) -> None:
        tokenizer = load_tokenizer(encoder)
        found = [i for token in ("[SEP]", "</s>") if (i := tokenizer.token_to_id(token)) is not None]
        if not found:
            raise InputError(f"the tokenizer of encoder {encoder} has no [SEP] or </s> to part two texts by")
        self.network = PairScorer(load_encoder(encoder, dropout), found[0], dropout)

    def loss(self, batch: Batch, comm: Communicator) -> Loss:
        """Weighted sum over this rank's rows."""
        if len(batch) == 0:
            return Loss(None, 0.0, 0.0)
        logits = self.network(*batch.tokens["tokens"])
        labels, weights = batch.values["label"].float(), batch.values["weight"].float()
        total = functional.binary_cross_entropy_with_logits(logits, labels, weights, reduction="sum")
        return Loss(total, total.detach(), weights.sum())

    def outputs(self, batch: Batch) -> torch.Tensor:
        """Probability that the texts match, (B, 1)."""
        if len(batch) == 0:
            return torch.empty((0, 1))
        return self.network.predict(*batch.tokens["tokens"])

    def metrics(self, outputs: np.ndarray, values: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Metrics over all rows."""
        return pair_metrics(outputs[:, 0], values["label"], values["weight"], values["group"])


def pair_metrics(
    probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray, groups: np.ndarray
) -> dict[str, float]:
    """Weighted area under the ROC curve and log loss in nats; ``ndcg@10`` and ``mrr``, means over groups.

    All are (N,). Labels from one half up count as matches in the area and in ``mrr``; for ``ndcg@10`` the label is the
    gain (Jarvelin and Kekalainen 2002). Groups without a match do not count. A pair that ties with a better one ranks
    before it.
    """
    from sklearn.metrics import roc_auc_score

    probabilities, labels = probabilities.astype(np.float64), labels.astype(np.float64)
    match = labels >= 0.5
    found = {"num": float(len(labels)), "auc": float("nan"), "log_loss": float("nan")}
    if weights.sum() > 0:
        clipped = np.clip(probabilities, 1e-7, 1 - 1e-7)
        losses = -(labels * np.log(clipped) + (1 - labels) * np.log1p(-clipped))
        found["log_loss"] = float(np.average(losses, weights=weights))
        if match.any() and not match.all():
            found["auc"] = float(roc_auc_score(match, probabilities, sample_weight=weights))
    return {**found, **_group_metrics(probabilities, labels, match, groups)}


def _group_metrics(
    probabilities: np.ndarray, labels: np.ndarray, match: np.ndarray, groups: np.ndarray
) -> dict[str, float]:
    _, number = np.unique(groups, return_inverse=True)
    num_groups = int(number.max(initial=-1)) + 1
    places = _places(number, probabilities, labels)
    # The best order has the highest labels first.
    ideal_places = _places(number, labels, labels)
    gain = np.bincount(number, labels * _discount(places), minlength=num_groups)
    ideal = np.bincount(number, labels * _discount(ideal_places), minlength=num_groups)
    reciprocal = np.zeros(num_groups)
    np.maximum.at(reciprocal, number[match], 1 / places[match])
    counted = np.bincount(number, match, minlength=num_groups) > 0
    if not counted.any():
        return {f"ndcg@{NDCG_AT}": float("nan"), "mrr": float("nan"), "num_groups": 0.0}
    return {
        f"ndcg@{NDCG_AT}": float((gain[counted] / ideal[counted]).mean()),
        "mrr": float(reciprocal[counted].mean()),
        "num_groups": float(counted.sum()),
    }


def _places(groups: np.ndarray, scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Place of each row in its group from 1, highest score first, of equal scores the lowest label first."""
    order = np.lexsort((labels, -scores, groups))
    starts = np.searchsorted(groups[order], groups[order])
    places = np.empty(len(order))
    places[order] = np.arange(len(order)) - starts + 1
    return places


def _discount(places: np.ndarray) -> np.ndarray:
    discounts: np.ndarray = np.where(places <= NDCG_AT, 1 / np.log2(places + 1), 0.0)
    return discounts
