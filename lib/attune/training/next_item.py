"""Next item: which item of the catalogue a user takes next, given those before.

Shapes: B users of a batch, N users of all ranks, T items of a row, M places, D features.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from attune.errors import SettingsError
from attune.models.item_sequence import ItemSequenceModel
from attune.training.communicator import Communicator
from attune.training.sampled_softmax import Proposal, full_loss, log_uniform, sampled_loss
from attune.training.task import Batch, Loss

KS = (5, 10)
_SCORES_AT_ONCE = 1 << 24


class NextItem:
    """Causal transformer over a user's items, with cross-entropy over the catalogue.

    Source: Kang and McAuley 2018; the loss as in Petrov and Macdonald 2023, whose comparison shows that it, not the
    network, is what SASRec lacked.

    Rows: ``items``, numbered from 1, in the order of time; the last is what evaluation asks for. A row's most recent
    ``max_positions`` + 1 items are used. Training predicts each item of a row from those before it; the loss is the
    mean over these places, in nats. With ``num_negatives`` above 0 it is estimated from so many items a step, drawn by
    ``item_counts`` (how often each item was taken, from item 1), or without them log-uniformly, which asks for items
    numbered by falling popularity. ``text_vectors`` names a ``.npy`` file, float (items, F), that item vectors start
    from. ``encoder`` is not used: every task is made from one.

    Metrics are those of ``rank_metrics``; with ``leave_out_seen`` the items before the last are not ranked.
    """

    token_columns = ("items",)
    value_columns = ()
    chosen_by = "ndcg@10"
    may_stay_untrained = False

    def __init__(
        self, encoder: str, num_items: int, width: int = 64, layers: int = 2, heads: int = 2, max_positions: int = 50,
        dropout: float = 0.2, num_negatives: int = 0, item_counts: Sequence[int] | None = None,
        text_vectors: str | None = None, leave_out_seen: bool = False,
    ) -> None:  # fmt: skip
        self.network = ItemSequenceModel(num_items, width, layers, heads, max_positions, dropout)
        if text_vectors is not None:
            self.network.start_from(np.load(text_vectors, allow_pickle=False))
        if item_counts is not None and len(item_counts) != num_items:
            raise SettingsError(f"item_counts of {len(item_counts)} items, but the catalogue has {num_items}")
        # An item that was never taken may still be drawn.
        shares = log_uniform(num_items) if item_counts is None else np.asarray(item_counts, np.float64) + 1
        self._proposal = Proposal(shares) if num_negatives else None
        self._num_negatives = num_negatives
        self._leave_out_seen = leave_out_seen

    def loss(self, batch: Batch, comm: Communicator) -> Loss:
        """Sum over the places of this rank's rows."""
        ids, mask = most_recent(*batch.tokens["items"], self.network.max_positions + 1)
        asked = mask[:, 1:].bool()
        num = int(asked.sum())
        if num == 0:
            return Loss(None, 0.0, 0.0)
        hidden = self.network(ids[:, :-1], mask[:, :-1])[asked]
        targets = ids[:, 1:][asked]
        if self._proposal is None:
            total = full_loss(self.network, hidden, targets)
        else:
            negatives = self._proposal.draw(self._num_negatives, ids.device)
            total = sampled_loss(self.network, hidden, targets, negatives, self._proposal.log_q.to(ids.device))
        return Loss(total, total.detach(), num)

    def outputs(self, batch: Batch) -> torch.Tensor:
        """Rank of the last item among all items, from 1, and 1; both 0 where nothing precedes it. (B, 2).

        An item that ties with the last one ranks before it.
        """
        ids, mask = most_recent(*batch.tokens["items"], self.network.max_positions + 1)
        found = torch.zeros((len(ids), 2), device=ids.device)
        rows = (mask.sum(1) > 1).nonzero()[:, 0]
        if len(rows) == 0:
            return found
        last = mask[rows].sum(1) - 1
        hidden = self.network(ids[rows, :-1], mask[rows, :-1])[torch.arange(len(rows), device=ids.device), last - 1]
        at_once = max(1, _SCORES_AT_ONCE // (self.network.num_items + 1))
        for start in range(0, len(rows), at_once):
            some = slice(start, start + at_once)
            ranks = self._ranks(hidden[some], ids[rows[some]], last[some])
            found[rows[some]] = torch.stack([ranks.float(), torch.ones(len(ranks), device=ids.device)], 1)
        return found

    def metrics(self, outputs: np.ndarray, values: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Metrics over the rows of all ranks that have a rank."""
        return rank_metrics(outputs[outputs[:, 1] > 0, 0])

    def _ranks(self, hidden: torch.Tensor, ids: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
        """Rank of the item at place ``last`` of each row, int64, given the states before it."""
        # bfloat16 would tie items whose scores differ.
        with torch.autocast(hidden.device.type, enabled=False):
            scores = self.network.scores(hidden.float())
        target = ids.gather(1, last[:, None])
        own = scores.gather(1, target)
        if self._leave_out_seen:
            before = torch.arange(ids.shape[1], device=ids.device)[None, :] < last[:, None]
            scores = scores.scatter(1, torch.where(before, ids, 0), float("-inf")).scatter(1, target, own)
        return (scores >= own).sum(1)


def most_recent(ids: torch.Tensor, mask: torch.Tensor, num: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Last ``num`` items of rows that are padded at their end, (B, T) to (B, min(T, num))."""
    if ids.shape[1] <= num:
        return ids, mask
    start = (mask.sum(1) - num).clamp(min=0)
    places = start[:, None] + torch.arange(num, device=ids.device)
    return ids.gather(1, places), mask.gather(1, places)


def rank_metrics(ranks: np.ndarray) -> dict[str, float]:
    """Share of ranks up to k (``hr@k``), ``ndcg@k`` with one relevant item, and mean reciprocal rank; nan without ranks.

    >>> rank_metrics(np.array([1.0, 7.0]))["hr@5"]
    0.5
    """
    ranks = ranks.astype(np.float64)
    per_row = {
        **{f"hr@{k}": ranks <= k for k in KS},
        **{f"ndcg@{k}": np.where(ranks <= k, 1 / np.log2(ranks + 1), 0.0) for k in KS},
        "mrr": 1 / ranks,
    }  # fmt: skip
    means = {name: float(np.mean(value)) if len(ranks) else float("nan") for name, value in per_row.items()}
    return {"num": float(len(ranks)), **means}
