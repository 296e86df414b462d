"""Rules of the business over the ranking model's order: variety, novelty, caps, boosts and fair shares.

What each costs is measured: ``evaluate`` ranks the held-out users with and without it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from attune.errors import SettingsError, nearest
from attune.evaluation.metrics import discounts
from attune.recommend.catalogue import Catalogue, Floats, begins, first_level, steps
from attune.recommend.exposure import ENOUGH, NEW, TAIL, item_groups, required_exposure

if TYPE_CHECKING:
    from attune.config import Rerank

_POOL = 10
"""Candidates that variety and novelty choose from, for each place of the list: what lies far below the best is no choice."""

# Shape legend: M candidates of one user, N items of the catalogue, G groups with a least exposure.


@dataclass(frozen=True)
class Rules:
    """What may change the order of the scores; by default nothing does."""

    diversity: float = 0.0  # from 0 to 1: how much unlikeness to the items above counts beside the score
    novelty: float = 0.0  # from 0 to 1: how much being little known counts beside the score
    max_per_category: int | None = None  # items of one first level of the category, while others remain
    max_per_brand: int | None = None  # items of one brand, while others remain
    boosts: Mapping[str, float] = field(default_factory=dict)  # category or its beginning -> factor of the score
    min_exposure: Mapping[str, float] = field(default_factory=dict)  # group of items -> least share of the exposure
    frequency_cap: bool = False  # whether Batch.capped is left out

    def without_each(self) -> "dict[str, Rules]":
        """The rules but for one, by the name of each that is set."""
        nothing = Rules()
        names = [rule.name for rule in fields(self) if getattr(self, rule.name)]
        return {name: replace(self, **{name: getattr(nothing, name)}) for name in names}

    @classmethod
    def of(cls, settings: "Rerank", catalogue: Catalogue) -> "Rules":
        """The rules that settings ask for.

        Raises SettingsError where a boost names no category, or a least exposure no group of items of the catalogue.
        """
        for path in settings.boosts:
            if not any(begins(category, path) for category in catalogue.categories):
                raise SettingsError(
                    f"recommend.rerank.boosts: no item has category {path!r} or one below it"
                    f"{nearest(path, catalogue.categories)}"
                )
        for name, members in zip(settings.min_exposure, item_groups(catalogue, settings.min_exposure), strict=True):
            if name not in (NEW, TAIL) and not members.any():
                raise SettingsError(
                    f"recommend.rerank.min_exposure: no item is of category or brand {name!r}"
                    f"{nearest(name, [NEW, TAIL, *catalogue.categories, *catalogue.brands])}"
                )
        return cls(**settings.model_dump() | {"frequency_cap": settings.frequency_cap is not None})


@dataclass(frozen=True)
class _Cap:
    """So many items of one group at most; ``groups`` holds each item's [N], the last one being that without limit."""

    most: int
    groups: NDArray[np.int64]
    num_groups: int


class Reranker:
    """Rules made ready for the items of a catalogue."""

    def __init__(self, catalogue: Catalogue, rules: Rules) -> None:
        self._catalogue, self._rules = catalogue, rules
        self._factors = _factors(catalogue.categories, rules.boosts)[catalogue.category]
        self._surprise = _surprise(catalogue.actors)
        self._caps = list(_caps(catalogue, rules))
        self._members = item_groups(catalogue, rules.min_exposure)  # [G, N]
        self._only_scores = not (rules.diversity or rules.novelty or self._caps or rules.min_exposure)

    def order(self, items: NDArray[np.int64], scores: NDArray[np.float64], top_n: int) -> NDArray[np.int64]:
        """Positions of a user's ``top_n`` best candidates [M], best first.

        Each place goes to the candidate of the highest worth among those that caps allow, that are of the groups whose exposure
        is due, and that are not far below the best; of these conditions, in this order, those count that leave anyone. Worth is
        ``(1 - novelty) * score / best score + novelty * surprise``, and variety is maximal marginal relevance over it
        (Carbonell and Goldstein 1998): ``(1 - diversity) * worth - diversity * likeness``, likeness being the highest cosine
        of the vectors to an item above; without vectors items of one category are alike.
        """
        boosted = scores * self._factors[items]
        order = np.argsort(-boosted, kind="stable")
        if self._only_scores or len(order) < 2 or not top_n:
            return order[:top_n]
        if not (self._caps or self._rules.min_exposure):
            order = order[: _POOL * top_n]  # nothing asks for what lies further down
        return order[self._chosen(items[order], boosted[order], top_n)]

    def _chosen(self, items: NDArray[np.int64], scores: NDArray[np.float64], top_n: int) -> list[int]:
        """Positions of the chosen among candidates that come best first."""
        rules = self._rules
        worth = (1 - rules.novelty) * scores / max(float(scores[0]), 1e-12) + rules.novelty * self._surprise[items]
        members, in_pool = self._members[:, items], np.arange(len(items)) < _POOL * top_n
        required, had = required_exposure(tuple(rules.min_exposure.values()), top_n), np.zeros(len(members))
        caps = [(cap.most, cap.groups[items], np.zeros(cap.num_groups + 1, np.int64)) for cap in self._caps]
        alike = _likeness(self._catalogue, items) if rules.diversity else None
        closest, free = np.zeros(len(items)), np.ones(len(items), bool)
        chosen: list[int] = []
        for place, exposure in enumerate(discounts(min(top_n, len(items)))):
            wanted = [(counts < most)[groups] for most, groups, counts in caps]
            short = required[:, place] - had
            wanted += [members[group] for group in np.argsort(-short, kind="stable") if short[group] > ENOUGH]
            value = (1 - rules.diversity) * worth - rules.diversity * closest
            best = int(np.where(_narrowed(free, [*wanted, in_pool]), value, -np.inf).argmax())
            chosen.append(best)
            free[best] = False
            had += exposure * members[:, best]
            for _, groups, counts in caps:
                counts[groups[best]] += 1
                counts[-1] = 0
            if alike:
                closest = np.maximum(closest, alike(best))
        return chosen


def _narrowed(free: NDArray[np.bool_], wanted: Iterable[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """Candidates that meet the conditions, each of which is passed over where it would leave none."""
    for condition in wanted:
        narrower = free & condition
        if narrower.any():
            free = narrower
    return free


def _caps(catalogue: Catalogue, rules: Rules) -> Iterable[_Cap]:
    if rules.max_per_category:
        levels = {name: number for number, name in enumerate(dict.fromkeys(map(first_level, catalogue.categories)))}
        of_category = [*(levels[first_level(path)] for path in catalogue.categories), len(levels)]
        yield _Cap(rules.max_per_category, np.array(of_category, np.int64)[catalogue.category], len(levels))
    if rules.max_per_brand:
        num = len(catalogue.brands)
        yield _Cap(rules.max_per_brand, np.where(catalogue.brand < 0, num, catalogue.brand).astype(np.int64), num)


def _surprise(actors: Floats) -> NDArray[np.float64]:
    """Self-information of each item [N], as in metric novelty, from 0 for the most popular to 1 for those with one user or none."""
    known_bits = np.log2(np.maximum(actors, 1).astype(np.float64))
    return 1 - known_bits / max(float(known_bits.max(initial=0)), 1e-12)


def _likeness(catalogue: Catalogue, items: NDArray[np.int64]) -> Callable[[int], Floats]:
    """A function of a candidate that tells how alike each of them is to it [M], from 0 to 1."""
    if catalogue.vectors is not None:
        vectors = catalogue.vectors[items]
        return lambda chosen: np.clip(vectors @ vectors[chosen], 0, 1)
    category = catalogue.category[items]
    return lambda chosen: ((category == category[chosen]) & (category >= 0)).astype(np.float32)


def _factors(categories: Sequence[str], boosts: Mapping[str, float]) -> NDArray[np.float64]:
    """Factor of each category, that of the longest beginning which is named; and 1 at the end."""
    longest_first = sorted(boosts.items(), key=lambda boost: -len(steps(boost[0])))
    found = [next((factor for path, factor in longest_first if begins(own, path)), 1.0) for own in categories]
    return np.array([*found, 1.0])
