"""Cross-entropy over a catalogue too large to score at every step.

Shapes: M places, D features, N items, K negatives.
"""

import numpy as np
import torch
import torch.utils.checkpoint
from torch.nn import functional

from attune.models.item_sequence import ItemSequenceModel


class Proposal:
    """Where negatives are drawn from: item k with probability ``exp(log_q[k])``, log_q[0] of padding minus infinity."""

    def __init__(self, probabilities: np.ndarray) -> None:
        shares = np.concatenate([[0.0], np.asarray(probabilities, np.float64)])
        shares /= shares.sum()
        with np.errstate(divide="ignore"):
            self.log_q = torch.from_numpy(np.log(shares)).float()
        self._cumulated = torch.from_numpy(np.cumsum(shares))

    def draw(self, num: int, device: torch.device) -> torch.Tensor:
        """Items with replacement, int64 (num,), from torch's generator."""
        cumulated = self._cumulated.to(device)
        uniform = torch.rand(num, dtype=torch.float64, device=device) * cumulated[-1]
        # The first item whose cumulated share exceeds the number; padding has no share.
        return torch.searchsorted(cumulated, uniform, right=True).clamp(1, len(cumulated) - 1)


def log_uniform(num_items: int) -> np.ndarray:
    """Share of each item in the order of their popularity, (N,), as Zipf's law has it (TensorFlow's candidate sampler).

    >>> log_uniform(3).round(3).tolist()
    [0.5, 0.292, 0.208]
    """
    ranks = np.arange(1, num_items + 1)
    shares: np.ndarray = np.log1p(1 / ranks) / np.log(num_items + 1)
    return shares


def full_loss(
    network: ItemSequenceModel, hidden: torch.Tensor, targets: torch.Tensor, max_logits: int = 1 << 24
) -> torch.Tensor:
    """Summed cross-entropy of targets (M,) among all items, given states (M, D).

    At most ``max_logits`` logits are kept at once; beyond, they are computed again for the gradients.
    """

    def of_some(states: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(network.scores(states).float(), items, reduction="sum")

    rows = max(1, max_logits // (network.num_items + 1))
    if len(targets) <= rows:
        return of_some(hidden, targets)
    total = hidden.new_zeros((), dtype=torch.float32)
    for states, items in zip(hidden.split(rows), targets.split(rows), strict=True):
        total = total + torch.utils.checkpoint.checkpoint(of_some, states, items, use_reentrant=False)
    return total


def sampled_loss(
    network: ItemSequenceModel, hidden: torch.Tensor, targets: torch.Tensor, negatives: torch.Tensor,
    log_q: torch.Tensor,
) -> torch.Tensor:  # fmt: skip
    """Summed cross-entropy of targets (M,) against negatives (K,) that were drawn by ``log_q``, (N + 1,).

    A negative's logit is lowered by the log of how often it is expected among the K, so that the negatives stand for
    all items (importance sampling: Bengio and Senecal 2008); one that is the target does not count.
    """
    bias = functional.pad(network.bias, (1, 0))
    own = (hidden.float() * network.items(targets)).sum(-1) + bias[targets]
    others = functional.linear(hidden, network.items(negatives), bias[negatives]).float()
    others = others - (log_q[negatives] + np.log(len(negatives)))
    others = others.masked_fill(negatives[None, :] == targets[:, None], float("-inf"))
    return (torch.cat([own[:, None], others], 1).logsumexp(1) - own).sum()
