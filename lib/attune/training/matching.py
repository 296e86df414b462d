"""Text matching: two texts that belong together get vectors that point the same way.

Shapes: B pairs of this rank, N pairs of all ranks, D features.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch.nn import functional

from attune.models.encoder import load_encoder
from attune.models.networks import TextEmbedder
from attune.training.communicator import Communicator
from attune.training.task import Batch, Loss

RECALL_AT = 10


class Matching:
    """One tower for both texts, softmax over the targets of the global batch.

    Rows: ``anchor`` and ``target`` tokens, ``anchor_id`` and ``target_id``, ``target_log_q`` (log of the target's share
    of all pairs, by which its logit is corrected: Bengio & Senecal 2008; Yi et al. 2019), ``weight``. A target that is
    the same item as the row's own target or anchor is no negative of that row. Vectors of all ranks are gathered, so
    the negatives are those of the global batch however many ranks there are.
    """

    token_columns = ("anchor", "target")
    value_columns = ("anchor_id", "target_id", "target_log_q", "weight")
    chosen_by = f"recall@{RECALL_AT}"
    may_stay_untrained = True

    def __init__(self, encoder: str, temperature: float, dropout: float) -> None:
        self.network = TextEmbedder(load_encoder(encoder, dropout))
        self._temperature = temperature

    def loss(self, batch: Batch, comm: Communicator) -> Loss:
        """Weighted sum over the pairs of all ranks; only this rank's vectors carry gradients.

        Each rank computes the whole sum, so that a vector's gradient holds what it does as a negative on other ranks.
        """
        size = len(batch)
        anchors, targets = self._vectors(batch)
        start, all_anchors = _gather_with_own(anchors, comm)
        _, all_targets = _gather_with_own(targets, comm)
        anchor_ids, target_ids = (comm.gather(batch.values[name].long()) for name in ("anchor_id", "target_id"))
        log_q, weight = (comm.gather(batch.values[name].float()) for name in ("target_log_q", "weight"))
        if size == 0:
            return Loss(None, 0.0, 0.0)
        losses = weight * match_losses(all_anchors, all_targets, anchor_ids, target_ids, log_q, self._temperature)
        own = slice(start, start + size)
        return Loss(losses.sum(), losses[own].detach().sum(), weight[own].sum())

    def outputs(self, batch: Batch) -> torch.Tensor:
        """Vectors of anchor and target side by side, (B, 2 D)."""
        return torch.cat(self._vectors(batch), dim=1)

    def metrics(self, outputs: np.ndarray, values: Mapping[str, np.ndarray]) -> dict[str, float]:
        """``recall@10``, the share of pairs whose target is among the 10 items nearest to the anchor, and ``mrr``.

        The items are all that occur in the pairs; the anchor itself is left out.
        """
        half = outputs.shape[1] // 2
        return match_metrics(outputs[:, :half], outputs[:, half:], values["anchor_id"], values["target_id"])

    def _vectors(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        if len(batch) == 0:
            none = torch.zeros((0, self.network.num_outputs), device=next(self.network.parameters()).device)
            return none, none
        return self.network(*batch.tokens["anchor"]), self.network(*batch.tokens["target"])


def match_losses(
    anchors: torch.Tensor, targets: torch.Tensor, anchor_ids: torch.Tensor, target_ids: torch.Tensor,
    target_log_q: torch.Tensor, temperature: float,
) -> torch.Tensor:  # fmt: skip
    """Cross-entropy of each pair's own target among the targets of all pairs, (N,).

    ``anchors`` and ``targets`` are float (N, D), ids int (N,), ``target_log_q`` (N,).
    """
    # A small temperature magnifies what bfloat16 rounds off.
    with torch.autocast(anchors.device.type, enabled=False):
        logits = anchors.float() @ targets.float().T / temperature - target_log_q.float()
    same_item = (target_ids[None, :] == target_ids[:, None]) | (target_ids[None, :] == anchor_ids[:, None])
    own = torch.eye(len(anchors), dtype=torch.bool, device=anchors.device)
    logits = logits.masked_fill(same_item & ~own, float("-inf"))
    return functional.cross_entropy(logits, torch.arange(len(anchors), device=anchors.device), reduction="none")


def match_metrics(
    anchors: np.ndarray, targets: np.ndarray, anchor_ids: np.ndarray, target_ids: np.ndarray
) -> dict[str, float]:
    """Recall at 10 and mean reciprocal rank of each pair's target among all items of the pairs but the anchor.

    ``anchors`` and ``targets`` (N, D), ids (N,). An item that ties with the target ranks before it.
    """
    if len(anchor_ids) == 0:
        return {"num": 0.0, "num_items": 0.0, f"recall@{RECALL_AT}": float("nan"), "mrr": float("nan")}
    items, first = np.unique(np.concatenate([target_ids, anchor_ids]), return_index=True)
    vectors = np.concatenate([targets, anchors])[first]
    scores = anchors @ vectors.T
    scores[items[None, :] == anchor_ids[:, None]] = -np.inf
    column = np.searchsorted(items, target_ids)
    ranks = (scores >= scores[np.arange(len(column)), column][:, None]).sum(1)
    recall = float((ranks <= RECALL_AT).mean())
    return {
        "num": float(len(ranks)), "num_items": float(len(items)), f"recall@{RECALL_AT}": recall,
        "mrr": float((1 / ranks).mean()),
    }  # fmt: skip


def _gather_with_own(vectors: torch.Tensor, comm: Communicator) -> tuple[int, torch.Tensor]:
    """Vectors of all ranks, this rank's with their gradients, and the number of the row at which its own begin."""
    everyone = comm.gather(vectors.detach())
    sizes = comm.gather(torch.tensor([len(vectors)])).tolist()
    start = sum(sizes[: comm.rank])
    return start, torch.cat([everyone[:start], vectors, everyone[start + len(vectors) :]])
