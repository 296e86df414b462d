"""The best items of each source for each user of a block, put together: the only place that picks candidates."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attune.recommend.batch import Batch
from attune.recommend.catalogue import Catalogue, Floats
from attune.recommend.sources import NOT_PROPOSED, SOURCES, Source

# Shape legend: B users of the block, N items, M candidates of all users of the block, S sources.


@dataclass(frozen=True)
class Candidates:
    """Distinct (user, item) pairs proposed by any source, ordered by user, then item."""

    users: NDArray[np.int64]  # [M]; row of the user in the block
    items: NDArray[np.int64]  # [M]; index of the item
    scores: Floats  # [M, S]; NaN where the source has nothing to say of the pair
    ranks: Floats  # [M, S]; from 1 within the user's candidates; exact among those that the source proposed
    proposed: NDArray[np.bool_]  # [M, S]; whether the pair is among the source's best
    sources: tuple[str, ...]


def retrieve(catalogue: Catalogue, batch: Batch, quotas: Mapping[str, int], repeat: bool) -> Candidates:
    """Candidates of a block of users: of each source as many of its best items as its quota says.

    Left out are items that are not offered and, unless ``repeat``, items already bought.
    """
    scores = allowed_scores(catalogue, batch, repeat)
    chosen = {name: best_mask(values, quotas[name]) for name, values in scores.items()}
    union = np.logical_or.reduce(list(chosen.values()))
    users, items = np.nonzero(union)
    picked = np.stack([values[users, items] for values in scores.values()], axis=1)
    return Candidates(
        users=users,
        items=items,
        scores=np.where(np.isfinite(picked), picked, np.nan).astype(np.float32),
        ranks=ranks_within(users, picked),
        proposed=np.stack([mask[users, items] for mask in chosen.values()], axis=1),
        sources=tuple(scores),
    )


def allowed_scores(
    catalogue: Catalogue, batch: Batch, repeat: bool, sources: Mapping[str, Source] = SOURCES
) -> dict[str, Floats]:
    """Scores [B, N] of each source, ``NOT_PROPOSED`` for items that are left out."""
    left_out = np.repeat(~catalogue.offered[None, :], len(batch), axis=0)
    if not repeat:
        left_out[batch.bought.nonzero()] = True
    scores = {name: source(catalogue, batch) for name, source in sources.items()}
    for values in scores.values():
        values[left_out] = NOT_PROPOSED
    return scores


def best_mask(scores: Floats, k: int) -> NDArray[np.bool_]:
    """Whether a score is among the k best of its row; ties go to the lower index, ``NOT_PROPOSED`` never counts."""
    mask = np.zeros(scores.shape, bool)
    np.put_along_axis(mask, best(scores, k), True, axis=1)
    return mask & (scores > NOT_PROPOSED)


def best(scores: Floats, k: int) -> NDArray[np.int64]:
    """Columns of the k best scores of each row [B, min(k, N)], best first; ties go to the lower column."""
    num_columns = scores.shape[1]
    if k == 0:
        return np.empty((len(scores), 0), np.int64)
    if k < num_columns:
        # Everything that ties with the k-th best must take part, or ties would fall by accident of partitioning.
        bound = np.partition(scores, num_columns - k, axis=1)[:, num_columns - k, None]
        order = np.empty((len(scores), k), np.int64)
        for row, (values, least) in enumerate(zip(scores, bound[:, 0], strict=True)):
            above = np.flatnonzero(values >= least)
            order[row] = above[np.argsort(-values[above], kind="stable")[:k]]
        return order
    return np.argsort(-scores, axis=1, kind="stable")


def ranks_within(groups: NDArray[np.int64], scores: NDArray) -> Floats:
    """Rank of each row's score within its group, from 1, by column [M, S]; NaN where the score is not finite.

    ``groups`` [M] must be in ascending order.
    """
    ranks = np.full(scores.shape, np.nan, np.float32)
    starts = np.searchsorted(groups, groups)
    for column in range(scores.shape[1]):
        order = np.lexsort((-scores[:, column], groups))
        ranks[order, column] = np.arange(len(groups)) - starts + 1
    ranks[~np.isfinite(scores)] = np.nan
    return ranks
