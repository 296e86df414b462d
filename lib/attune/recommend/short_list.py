"""The short list of each user: the best candidates, whose order a cross-encoder has a say in."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from attune.recommend.retrieval import ranks_within

PairLogOdds = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float64]]
"""Log odds that a user takes the second items after the first ones; NaN where nothing can be said."""
_BELOW = 1e-6
"""Log odds between the short list and the best of the others: enough to tell their probabilities apart."""

# Shape legend: B users, M candidates of all of them, in the order of the users.


@dataclass(frozen=True)
class ShortList:
    """How the log odds of the short list are made from those of the trees and of the cross-encoder."""

    version: str  # of the model cross_match
    length: int  # candidates of a user
    odds_weight: float
    match_weight: float
    intercept: float

    def blended(self, reading: "Reading", odds: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log odds of all candidates [M]: those of the short list by both models, no other above them.

        Candidates of the short list of which the cross-encoder can say nothing keep their odds.
        """
        both = self.odds_weight * odds + self.match_weight * reading.match + self.intercept
        found = np.where(np.isfinite(both), both, odds)
        lowest = np.full(reading.num_users, np.inf)
        np.minimum.at(lowest, reading.users[reading.inside], found[reading.inside])
        return np.where(reading.inside, found, np.minimum(found, lowest[reading.users] - _BELOW))


@dataclass(frozen=True)
class Reading:
    """Candidates of several users with what the cross-encoder says of the short list."""

    num_users: int
    users: NDArray[np.int64]  # [M], in ascending order
    inside: NDArray[np.bool_]  # [M]; whether the candidate is in the short list; nobody's is where there is no history
    match: NDArray[np.float64]  # [M]; log odds; NaN outside, and where nothing can be said


def read_again(
    users: NDArray[np.int64],
    items: NDArray[np.int64],
    last: NDArray[np.int64],
    odds: NDArray[np.float64],
    length: int,
    pair_log_odds: PairLogOdds,
) -> Reading:
    """Read the short list of each user after the item he acted on last.

    Args:
        users: position of each candidate's user in ``last`` [M], in ascending order.
        last: as ``acted_on_last`` [B].
        odds: by which the short list is chosen [M]; ties go to the lower item.

    That item itself is not read: pairs to learn from have two items.
    """
    before = last[users]
    inside = (ranks_within(users, odds[:, None])[:, 0] <= length) & (before >= 0)
    match = np.full(len(users), np.nan)
    reads = inside & (before != items)
    match[reads] = pair_log_odds(before[reads], items[reads])
    return Reading(len(last), users, inside, match)


def acted_on_last(ages: sparse.csr_matrix) -> NDArray[np.int64]:
    """Item that each user acted on last [B], -1 without history.

    By the last action on each item, not the first: in the pairs that the cross-encoder learned from an item follows whatever
    the user did just before, items that he came back to included. Of items of the same age the last in order counts, as there.
    """
    rows = np.repeat(np.arange(ages.shape[0]), np.diff(ages.indptr))
    order = np.lexsort((ages.indices, -ages.data, rows))
    found = np.full(ages.shape[0], -1, np.int64)
    found[rows[order]] = ages.indices[order]
    return found
