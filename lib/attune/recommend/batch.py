"""A block of users as arrays: what they did, what they have, what they did next."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from attune.recommend.catalogue import Floats

ANYONE = "*"
"""User id of the list for users of whom nothing is known; ``*:REGION`` is the one for those of a region."""
USER_PREFIX = "user_"

# Shape legend: B users of the block, N items, R rank of the factors, U features of a user.


@dataclass(frozen=True)
class Batch:
    """Users of one block. The sparse matrices are [B, N]; ``weights``, ``ages``, ``first_ages`` and ``recent`` hold the same
    places.
    """

    user_ids: NDArray[np.object_]  # [B]
    region: NDArray[np.object_]  # [B]; None where unknown
    weights: sparse.csr_matrix  # decayed worth of the user's actions on the item
    ages: sparse.csr_matrix  # days since the last of them, at least a second's worth
    first_ages: sparse.csr_matrix  # days since the first of them
    recent: sparse.csr_matrix  # 1 where that was in the user's latest visit
    bought: sparse.csr_matrix  # 1 where the item was bought
    capped: sparse.csr_matrix  # 1 where the item was shown so often that recommend.rerank.frequency_cap leaves it out
    factors: Floats | None  # [B, R]; NaN where the user has none
    columns: Sequence[str]
    features: Floats  # [B, U], by columns
    labels: sparse.csr_matrix  # 1 where the user acts on the item in the period to predict; empty where unknown

    def __len__(self) -> int:
        """Number of users."""
        return len(self.user_ids)

    def column(self, name: str) -> Floats:
        """One feature of every user [B]; NaN where it is not there."""
        if name not in self.columns:
            return np.full(len(self), np.nan, np.float32)
        return self.features[:, list(self.columns).index(name)]


def to_batch(rows: pd.DataFrame, num_items: int) -> Batch:
    """Arrays from rows of the frame that ``users.user_rows`` makes."""
    items, lengths = _flat(rows["items"], np.int32)
    users = np.repeat(np.arange(len(rows)), lengths)

    def history(column: str, dtype: type) -> sparse.csr_matrix:
        values = _flat(rows[column], dtype)[0].astype(np.float32)
        return sparse.csr_matrix((values, (users, items)), shape=(len(rows), num_items))

    columns = [name for name in rows.columns if name.startswith(USER_PREFIX) and name != "user_id"]
    return Batch(
        user_ids=rows["user_id"].to_numpy(object),
        region=rows["region"].to_numpy(object),
        weights=history("weights", np.float32),
        ages=history("ages", np.float32),
        first_ages=history("first_ages", np.float32),
        recent=history("recent", np.float32),
        bought=_places(rows["bought"], num_items),
        capped=_places(rows["capped"], num_items) if "capped" in rows else sparse.csr_matrix((len(rows), num_items)),
        factors=_stacked(rows["factors"]) if "factors" in rows else None,
        columns=columns,
        features=rows[columns].astype(np.float32).to_numpy(),
        labels=_places(rows["labels"], num_items),
    )


def without_items(batch: Batch, users: NDArray[np.int64], items: Sequence[Sequence[int]]) -> Batch:
    """Rows of a block [C], each without some items of its history. Purchases and showings stay, and what is known of the user."""
    removed = _places(pd.Series(list(items), dtype=object), batch.weights.shape[1])

    def kept(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
        taken = matrix[users]
        rows = np.repeat(np.arange(len(users)), np.diff(taken.indptr))
        stays = values_at(removed, rows, taken.indices) == 0
        return sparse.csr_matrix((taken.data[stays], (rows[stays], taken.indices[stays])), shape=taken.shape)

    return replace(
        batch,
        user_ids=batch.user_ids[users],
        region=batch.region[users],
        weights=kept(batch.weights),
        ages=kept(batch.ages),
        first_ages=kept(batch.first_ages),
        recent=kept(batch.recent),
        bought=batch.bought[users],
        capped=batch.capped[users],
        factors=None if batch.factors is None else batch.factors[users],
        features=batch.features[users],
        labels=batch.labels[users],
    )


def to_find(batch: Batch, repeat: bool) -> NDArray[np.bool_]:
    """Items [B, N] that each user goes on to act on, but for those left out of every list."""
    relevant: NDArray[np.bool_] = batch.labels.toarray() > 0
    return relevant if repeat else relevant & (batch.bought.toarray() == 0)


def values_at(matrix: sparse.csr_matrix, users: NDArray, items: NDArray) -> Floats:
    """Entries at pairs of (user, item), zero where none is stored; as many as there are pairs."""
    if not len(users):
        return np.empty(0, np.float32)
    return np.asarray(matrix[users, items], np.float32).ravel()


def _flat(lists: pd.Series, dtype: type) -> tuple[NDArray, NDArray[np.int64]]:
    """Lists one after the other, and their lengths; null counts as empty."""
    arrays: list[NDArray] = [np.empty(0, dtype) if values is None else np.asarray(values, dtype) for values in lists]
    lengths = np.array([len(array) for array in arrays], np.int64)
    return (np.concatenate(arrays) if arrays else np.empty(0, dtype)), lengths


def _places(lists: pd.Series, num_items: int) -> sparse.csr_matrix:
    items, lengths = _flat(lists, np.int32)
    users = np.repeat(np.arange(len(lengths)), lengths)
    return sparse.csr_matrix((np.ones(len(items), np.float32), (users, items)), shape=(len(lengths), num_items))


def _stacked(lists: pd.Series) -> Floats | None:
    """Vectors as rows, NaN where there is none. None where nobody has one."""
    width = next((len(values) for values in lists if values is not None), 0)
    if not width:
        return None
    missing = np.full(width, np.nan, np.float32)
    return np.stack([missing if values is None else np.asarray(values, np.float32) for values in lists])
