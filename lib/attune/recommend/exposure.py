"""A least share of each list's exposure for groups of items: who is in a group, and what it must have had by each place."""

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from attune.evaluation.metrics import discounts
from attune.recommend.catalogue import Catalogue, begins

NEW, TAIL = "new", "tail"
_HEAD = 0.8
"""Share of all actors that goes to the head of the catalogue; what follows is the tail."""
ENOUGH = 1e-9
"""Exposure that counts as none: what is left over when shares are added up."""

# Shape legend: G groups, N items of the catalogue, L places of a list.


def item_groups(catalogue: Catalogue, names: Iterable[str]) -> NDArray[np.bool_]:
    """Whether each item belongs to each group [G, N].

    A group is ``new`` (items that nobody acted on), ``tail`` (items outside the smallest head that takes 80% of the actors), a
    category or the beginning of its path, or else a brand. Names of nothing have no items.
    """
    found = [_members(catalogue, name) for name in names]
    return np.stack(found) if found else np.zeros((0, len(catalogue)), bool)


def _members(catalogue: Catalogue, name: str) -> NDArray[np.bool_]:
    if name == NEW:
        return catalogue.is_new
    if name == TAIL:
        return _tail(catalogue.actors)
    below = np.array([*(begins(category, name) for category in catalogue.categories), False])
    if below.any():
        return below[catalogue.category]
    return np.array([*(brand == name for brand in catalogue.brands), False])[catalogue.brand]


def _tail(actors: NDArray) -> NDArray[np.bool_]:
    order = np.argsort(-actors, kind="stable")
    before = np.cumsum(actors[order], dtype=np.float64) - actors[order]
    tail = np.empty(len(actors), bool)
    tail[order] = before >= _HEAD * actors.sum(dtype=np.float64)
    return tail


@lru_cache(maxsize=64)
def required_exposure(shares: tuple[float, ...], length: int) -> NDArray[np.float64]:
    """Exposure that each group must have had by each place of a list [G, L]: those who fall behind have the next place.

    Like the table of FA*IR (Zehlike et al. 2017, doi:10.1145/3132847.3132938), but of exposure and without chance. In no
    beginning of the list does a group lack as much as a first place, and at the end it lacks nothing. Small shares leave
    the first places free: a tenth is not due before place 7. Several groups are met as nearly as whole places allow: in
    lists of five or more to within 0.02 where they ask for half of the exposure in all.
    """
    worth = discounts(length)
    due = np.outer(np.array(shares), np.cumsum(worth))
    given, table = np.zeros(len(shares)), np.zeros((len(shares), length))
    for place in range(length if shares else 0):
        owed = due[:, place] - given
        group = _cannot_wait(due[:, -1] - given, worth[place + 1 :])
        if group is None and owed.max() >= worth[place]:
            group = int(owed.argmax())
        if group is not None:
            given[group] += worth[place]
        table[:, place] = given
    return np.minimum(table, due[:, -1:])


def _cannot_wait(need: NDArray[np.float64], later: NDArray[np.float64]) -> int | None:
    """The group of the greatest need [G], where the places that come later, each given to who needs it most, are not enough."""
    left = need.copy()
    for worth in later[::-1]:
        left[left.argmax()] -= worth
    return int(need.argmax()) if left.max() > ENOUGH else None
