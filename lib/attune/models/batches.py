"""Batches of similar length under a budget of tokens: padding, not reading, is what costs time."""

import numpy as np

_POOL_BATCHES = 50
"""Rows are sorted by length within pools of about so many batches: little padding, yet other batches each epoch."""


def pack(lengths: np.ndarray, order: np.ndarray, tokens_per_batch: int) -> list[np.ndarray]:
    """Cut rows in the order given into batches with ``rows * longest <= tokens_per_batch``.

    A row that is longer than the budget makes a batch of its own. Returns arrays of row numbers.
    """
    batches: list[np.ndarray] = []
    start, longest = 0, 0
    for position, row in enumerate(order):
        widened = max(longest, int(lengths[row]))
        if position > start and widened * (position - start + 1) > tokens_per_batch:
            batches.append(order[start:position])
            start, widened = position, int(lengths[row])
        longest = widened
    if start < len(order):
        batches.append(order[start:])
    return batches


def batches_by_length(lengths: np.ndarray, tokens_per_batch: int) -> list[np.ndarray]:
    """All rows, longest batches first, so that a batch too large for memory fails at once."""
    order = np.argsort(-np.asarray(lengths), kind="stable")
    return pack(lengths, order, tokens_per_batch)


def epoch_batches(
    lengths: np.ndarray, tokens_per_batch: int, seed: int, epoch: int, stream: int = 0
) -> list[np.ndarray]:
    """Batches of one epoch: every row once, rows of similar length together, shuffled by seed, stream of rows and epoch.

    >>> [b.tolist() for b in epoch_batches(np.array([3, 9, 3, 9]), 18, seed=0, epoch=0)]
    [[1, 3], [2, 0]]
    """
    rng = np.random.default_rng([seed, stream, epoch])
    order = rng.permutation(len(lengths))
    mean_length = max(1.0, float(np.mean(lengths))) if len(lengths) else 1.0
    pool = max(1, int(_POOL_BATCHES * tokens_per_batch / mean_length))
    batches = []
    for start in range(0, len(order), pool):
        chunk = order[start : start + pool]
        by_length = chunk[np.argsort(np.asarray(lengths)[chunk], kind="stable")]
        batches += pack(lengths, by_length, tokens_per_batch)
    return [batches[i] for i in rng.permutation(len(batches))]
