"""Sums of gradients over the ranks; of a large table of vectors only the rows that a batch touched travel."""

from collections.abc import Sequence

import torch
from torch import nn

from attune.training.communicator import Communicator

_LARGE = 1 << 20
"""Numbers in a table from which looking for touched rows pays."""
_FEW = 4
"""A table goes as a whole unless fewer than one row in so many is touched."""


def large_tables(network: nn.Module) -> set[torch.Tensor]:
    """Weights of the embeddings whose gradients are mostly zeros: half of a small BERT's weights are word vectors."""
    tables = (module.weight for module in network.modules() if isinstance(module, nn.Embedding))
    return {weight for weight in tables if weight.numel() >= _LARGE}


def sum_gradients(
    comm: Communicator, gradients: Sequence[torch.Tensor], sparse: Sequence[bool], half_floats: bool = False
) -> None:
    """Replace gradients by their sums over the ranks; all ranks call it alike.

    Args:
        sparse: of which gradients, (rows, features), only rows that are not all zero on some rank need to travel.
        half_floats: whether numbers travel as half floats.
    """
    if comm.size == 1:
        return
    touched = {n: _touched(comm, gradients[n]) for n, few in enumerate(sparse) if few}
    parts = [g if touched.get(n) is None else g[touched[n]] for n, g in enumerate(gradients)]
    sent = [part.half() for part in parts] if half_floats else parts
    comm.sum_(sent)
    for number, (gradient, part) in enumerate(zip(gradients, sent, strict=True)):
        rows = touched.get(number)
        if rows is not None:
            gradient[rows] = part.to(gradient.dtype)
        elif part is not gradient:
            gradient.copy_(part)


def _touched(comm: Communicator, gradient: torch.Tensor) -> torch.Tensor | None:
    """Rows that any rank has touched, in order; None where they are many."""
    own = (gradient != 0).any(1).nonzero()[:, 0]
    rows = torch.unique(comm.gather(own))
    return rows if len(rows) * _FEW < len(gradient) else None
