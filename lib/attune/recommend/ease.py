"""EASE: a linear autoencoder over items in closed form, the strongest simple model on public data where the catalogue fits."""

import numpy as np
from numpy.typing import NDArray

from attune.errors import SettingsError

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
