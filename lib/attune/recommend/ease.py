"""EASE: a linear autoencoder over items in closed form, the strongest simple model on public data where the catalogue fits."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from attune.errors import SettingsError

KEPT = 200
"""Weights of an item that are kept, the largest: what is left out says little, and all of them travel to every worker."""
MAX_ITEMS = 20_000
"""A matrix of items by items is inverted: 20,000 take 6.4 GB at their peak and some 10^13 operations."""


def item_weights(gram: NDArray[np.floating], regularisation: float) -> NDArray[np.float64]:
    """Weights B [N, N] with which a user's items speak for others: scores of a user are ``x @ B``.

    B minimises ``|X - X B|^2 + regularisation |B|^2`` with a diagonal of zeros: P is the inverse of the Gram matrix plus the
    regularisation on its diagonal, and B_ij = -P_ij / P_jj (Steck 2019, doi:10.1145/3308558.3313710).

    Args:
        gram: ``X.T @ X`` [N, N] of the matrix of users and items; in binary X the users who acted on both items.

    Raises SettingsError for a catalogue above ``MAX_ITEMS`` and for a regularisation that is not above 0.

    >>> item_weights(np.array([[2.0, 1.0], [1.0, 2.0]]), 1.0).round(4).tolist()
    [[0.0, 0.3333], [0.3333, 0.0]]
    """
    from scipy.linalg import lapack

    num_items = len(gram)
    if num_items > MAX_ITEMS:
        raise SettingsError(f"EASE inverts a matrix of items by items: {num_items:,} items, {MAX_ITEMS:,} at most")
    if not regularisation > 0:
        raise SettingsError(f"EASE needs a regularisation above 0, not {regularisation:g}")
    regular = np.array(gram, np.float64, order="F")
    regular[np.diag_indices(num_items)] += regularisation
    if not num_items:
        return regular
    # Gram plus a positive diagonal is positive definite: Cholesky inverts it in half the operations.
    factor, failed = lapack.dpotrf(regular, lower=1, overwrite_a=1)
    inverse, failed_too = lapack.dpotri(factor, lower=1, overwrite_c=1)
    if failed or failed_too:
        raise SettingsError(f"EASE: the Gram matrix is no such matrix, or {regularisation:g} is too little beside it")
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    weights: NDArray[np.float64] = -inverse / np.diag(inverse)
    weights[np.diag_indices(num_items)] = 0.0
    return weights


@dataclass(frozen=True)
class Together:
    """How many users acted on two items, for the items that EASE knows."""

    items: NDArray[np.int64]  # [M]; index in the catalogue
    gram: NDArray[np.float32]  # [M, M]
    num_items: int  # of the catalogue


def together(users: NDArray, items: NDArray, num_items: int, max_items: int) -> Together:
    """Count common users of the ``max_items`` items with most of them.

    Args:
        users: user of each distinct pair of user and item, any numbers.
        items: index of its item, below ``num_items``.
    """
    names, rows = np.unique(users, return_inverse=True)
    matrix = sparse.csr_matrix((np.ones(len(items), np.float32), (rows, items)), shape=(len(names), num_items))
    actors = np.bincount(items, minlength=num_items)
    most = np.argsort(-actors, kind="stable")[:max_items]
    known = np.sort(most[actors[most] > 0])
    part = matrix[:, known]
    return Together(known, (part.T @ part).toarray(), num_items)


def linear_matrix(known: Together, regularisation: float) -> sparse.csr_matrix | None:
    """``item_weights`` in the places of the catalogue [N, N], ``KEPT`` of each item. None where no item is known."""
    if not len(known.items):
        return None
    weights = item_weights(known.gram, regularisation)
    kept = min(KEPT, len(weights))
    largest = np.argpartition(-np.abs(weights), kept - 1, axis=1)[:, :kept]
    values = np.take_along_axis(weights, largest, axis=1).astype(np.float32).ravel()
    places = (np.repeat(known.items, kept), known.items[largest.ravel()])
    matrix = sparse.csr_matrix((values, places), shape=(known.num_items, known.num_items))
    matrix.eliminate_zeros()
    return matrix
