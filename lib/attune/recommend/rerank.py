"""Rules of the business over the ranking model's order: variety, caps and boosts.

What each costs is measured: ``evaluate`` ranks the held-out users with and without it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from attune.recommend.catalogue import Catalogue, Floats, first_level

_POOL = 10
"""Candidates that rules choose from, for each place of the list: what lies far below the best is no choice."""

# Shape legend: M candidates of one user, P of them in the pool, N items of the catalogue.


@dataclass(frozen=True)
class Rules:
    """What may change the order of the scores; by default nothing does."""

    diversity: float = 0.0  # from 0 to 1: how much unlikeness to the items above counts beside the score
    max_per_category: int | None = None  # items of one first level of the category, while others remain
    boosts: Mapping[str, float] = field(default_factory=dict)  # category or its beginning -> factor of the score

    def without_each(self) -> "dict[str, Rules]":
        """The rules but for one, by the name of each that is set."""
        nothing = Rules()
        names = [name for name in ("diversity", "max_per_category", "boosts") if getattr(self, name)]
        return {name: replace(self, **{name: getattr(nothing, name)}) for name in names}


def reordered(
    catalogue: Catalogue, items: NDArray[np.int64], scores: NDArray[np.float64], rules: Rules, top_n: int
) -> NDArray[np.int64]:
    """Positions of a user's ``top_n`` best candidates [M], best first.

    Variety is maximal marginal relevance (Carbonell and Goldstein 1998): each place goes to the highest
    ``(1 - diversity) * score / best score - diversity * likeness``, likeness being the highest cosine of the text vectors to
    an item above; without vectors items of one category are alike.
    """
    boosted = scores * _factors(catalogue, tuple(rules.boosts.items()))[items] if rules.boosts else scores
    order = np.argsort(-boosted, kind="stable")
    pool = order[: _POOL * top_n]
    if not (rules.diversity or rules.max_per_category) or len(pool) < 2:
        return order[:top_n]
    relevance = boosted[pool] / max(float(boosted[pool[0]]), 1e-12)
    alike = _likeness(catalogue, items[pool])
    groups = _first_levels(catalogue)[items[pool]]
    nearest, counts = np.zeros(len(pool)), np.zeros(int(groups.max()) + 1, np.int64)
    free = np.ones(len(pool), bool)
    chosen: list[int] = []
    while len(chosen) < min(top_n, len(pool)):
        allowed = free
        if rules.max_per_category:
            allowed = free & ((groups < 0) | (counts[groups] < rules.max_per_category))
            allowed = allowed if allowed.any() else free
        value = (1 - rules.diversity) * relevance - rules.diversity * nearest
        best = int(np.where(allowed, value, -np.inf).argmax())
        chosen.append(best)
        free[best] = False
        if groups[best] >= 0:
            counts[groups[best]] += 1
        nearest = np.maximum(nearest, alike[best])
    return pool[chosen]


def _likeness(catalogue: Catalogue, items: NDArray[np.int64]) -> Floats:
    """How alike items of the pool are [P, P], from 0 to 1."""
    if catalogue.vectors is not None:
        vectors = catalogue.vectors[items]
        return np.clip(vectors @ vectors.T, 0, 1)
    category = catalogue.category[items]
    return ((category[:, None] == category) & (category >= 0)).astype(np.float32)


def _first_levels(catalogue: Catalogue) -> NDArray[np.int64]:
    """Number of the first level of each item's category [N], -1 where unknown."""
    return _levels_of(tuple(catalogue.categories))[catalogue.category]


@lru_cache(maxsize=4)
def _levels_of(categories: tuple[str, ...]) -> NDArray[np.int64]:
    """Number of the first level of each category, and -1 at the end."""
    names = {name: number for number, name in enumerate(dict.fromkeys(map(first_level, categories)))}
    return np.array([*(names[first_level(path)] for path in categories), -1], np.int64)


def _factors(catalogue: Catalogue, boosts: tuple[tuple[str, float], ...]) -> NDArray[np.float64]:
    """Factor of the score of each item [N]."""
    return _factors_of(tuple(catalogue.categories), boosts)[catalogue.category]


@lru_cache(maxsize=4)
def _factors_of(categories: tuple[str, ...], boosts: tuple[tuple[str, float], ...]) -> NDArray[np.float64]:
    """Factor of each category, that of the longest beginning which is named; and 1 at the end."""
    by_path = {tuple(_steps(path)): factor for path, factor in boosts}

    def factor(path: str) -> float:
        steps = _steps(path)
        return next((by_path[own] for n in range(len(steps), 0, -1) if (own := tuple(steps[:n])) in by_path), 1.0)

    return np.array([*map(factor, categories), 1.0])


def _steps(path: str) -> list[str]:
    return [step.strip() for step in path.split(">")]
