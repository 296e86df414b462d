"""Rules of the business over the ranking model's order: variety, caps and boosts.

What each costs is measured: ``evaluate`` ranks the held-out users with and without it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from attune.errors import SettingsError, nearest
from attune.recommend.catalogue import Catalogue, Floats, first_level

if TYPE_CHECKING:
    from attune.config import Rerank

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

    @classmethod
    def of(cls, settings: "Rerank", categories: Sequence[str]) -> "Rules":
        """The rules that settings ask for. Raises SettingsError where a boost names no category of the catalogue."""
        for path in settings.boosts:
            if not any(_begins(category, path) for category in categories):
                raise SettingsError(
                    f"recommend.rerank.boosts: no item has category {path!r} or one below it{nearest(path, categories)}"
                )
        return cls(**settings.model_dump())


class Reranker:
    """Rules made ready for the items of a catalogue."""

    def __init__(self, catalogue: Catalogue, rules: Rules) -> None:
        self._catalogue, self._rules = catalogue, rules
        levels = {name: number for number, name in enumerate(dict.fromkeys(map(first_level, catalogue.categories)))}
        of_category = [*(levels[first_level(path)] for path in catalogue.categories), -1]
        self._groups = np.array(of_category, np.int64)[catalogue.category]
        self._num_groups = len(levels)
        self._factors = _factors(catalogue.categories, rules.boosts)[catalogue.category]

    def order(self, items: NDArray[np.int64], scores: NDArray[np.float64], top_n: int) -> NDArray[np.int64]:
        """Positions of a user's ``top_n`` best candidates [M], best first.

        Variety is maximal marginal relevance (Carbonell and Goldstein 1998): each place goes to the highest
        ``(1 - diversity) * score / best score - diversity * likeness``, likeness being the highest cosine of the text vectors
        to an item above; without vectors items of one category are alike.
        """
        rules, boosted = self._rules, scores * self._factors[items]
        order = np.argsort(-boosted, kind="stable")
        pool = order[: _POOL * top_n]
        if not (rules.diversity or rules.max_per_category) or len(pool) < 2:
            return order[:top_n]
        relevance = boosted[pool] / max(float(boosted[pool[0]]), 1e-12)
        alike = _likeness(self._catalogue, items[pool])
        groups = self._groups[items[pool]]
        closest, counts = np.zeros(len(pool)), np.zeros(self._num_groups, np.int64)
        free = np.ones(len(pool), bool)
        chosen: list[int] = []
        while len(chosen) < min(top_n, len(pool)):
            allowed = free
            if rules.max_per_category:
                full = np.flatnonzero(counts >= rules.max_per_category)
                within = free & ~np.isin(groups, full)
                allowed = within if within.any() else free
            value = (1 - rules.diversity) * relevance - rules.diversity * closest
            best = int(np.where(allowed, value, -np.inf).argmax())
            chosen.append(best)
            free[best] = False
            if groups[best] >= 0:
                counts[groups[best]] += 1
            closest = np.maximum(closest, alike[best])
        return pool[chosen]


def _likeness(catalogue: Catalogue, items: NDArray[np.int64]) -> Floats:
    """How alike items of the pool are [P, P], from 0 to 1."""
    if catalogue.vectors is not None:
        vectors = catalogue.vectors[items]
        return np.clip(vectors @ vectors.T, 0, 1)
    category = catalogue.category[items]
    return ((category[:, None] == category) & (category >= 0)).astype(np.float32)


def _factors(categories: Sequence[str], boosts: Mapping[str, float]) -> NDArray[np.float64]:
    """Factor of each category, that of the longest beginning which is named; and 1 at the end."""
    longest_first = sorted(boosts.items(), key=lambda boost: -len(_steps(boost[0])))
    found = [next((factor for path, factor in longest_first if _begins(own, path)), 1.0) for own in categories]
    return np.array([*found, 1.0])


def _begins(category: str, path: str) -> bool:
    """Whether a category is a path or lies below it."""
    steps = _steps(path)
    return _steps(category)[: len(steps)] == steps


def _steps(path: str) -> list[str]:
    return [step.strip() for step in path.split(">")]
