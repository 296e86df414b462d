"""The final list of each user of a block: candidates in the ranking model's order, with sources and reasons."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit

from attune.recommend.batch import Batch, values_at, without_items
from attune.recommend.booster import RankingModel
from attune.recommend.catalogue import Catalogue, Floats, first_level
from attune.recommend.pair_features import Matrix, pair_features
from attune.recommend.reasons import MAX_REASONS, NO_REASON, Pair, Reason, reasons, removals
from attune.recommend.rerank import Reranker, Rules
from attune.recommend.retrieval import Candidates, retrieve
from attune.recommend.short_list import acted_on_last, read_again

_ONE_THREAD = {"num_threads": 1}
"""A worker has one core; more threads would fight with the other workers."""

# Shape legend: B users of the block, M candidates of all of them, C of these that are chosen, K features, R kinds of reasons.


@dataclass(frozen=True)
class Scored:
    """Candidates of a block with their scores."""

    candidates: Candidates
    matrix: Matrix
    scores: NDArray[np.float64]  # [M]


@dataclass(frozen=True)
class Ranked(Scored):
    """``order`` holds each user's best, as positions among the candidates."""

    order: list[NDArray[np.int64]]  # [B] lists, best first


class Ranker:
    """A ranking model loaded to score blocks of users."""

    def __init__(
        self, model: RankingModel, quotas: Mapping[str, int], repeat: bool, rules: Rules | None = None
    ) -> None:
        self.model = model
        self.quotas = quotas
        self.repeat = repeat
        self.rules = rules or Rules()
        self._booster = model.booster()
        self._removals = removals(model.columns)

    def rank(self, catalogue: Catalogue, batch: Batch, top_n: int) -> Ranked:
        """The ``top_n`` best candidates of each user by the rules."""
        scored = self.score(catalogue, batch)
        order = self.order(catalogue, batch, scored, self.rules, top_n)
        return Ranked(scored.candidates, scored.matrix, scored.scores, order)

    def score(self, catalogue: Catalogue, batch: Batch) -> Scored:
        """Probability of each candidate, see ``RankingModel``."""
        return self.read_short_lists(catalogue, batch, self.score_by_trees(catalogue, batch))

    def score_by_trees(self, catalogue: Catalogue, batch: Batch) -> Scored:
        """The same by the trees alone."""
        candidates = retrieve(catalogue, batch, self.quotas, self.repeat)
        matrix = pair_features(catalogue, batch, candidates)
        scores = np.zeros(len(candidates.users))
        if len(scores):
            odds = self._booster.predict(matrix.select(self.model.columns), raw_score=True, **_ONE_THREAD)
            slope, intercept = self.model.calibration
            scores = expit(slope * np.asarray(odds) + intercept)
        return Scored(candidates, matrix, scores)

    def read_short_lists(self, catalogue: Catalogue, batch: Batch, scored: Scored) -> Scored:
        """Scores of the trees changed by what the cross-encoder says of the short lists, where the model has it."""
        short, pairs = self.model.short_list, catalogue.cross_match
        if short is None or pairs is None or not len(scored.scores):
            return scored
        users, items, odds = scored.candidates.users, scored.candidates.items, logit(scored.scores)
        reading = read_again(users, items, acted_on_last(batch.ages), odds, short.length, pairs.log_odds)
        blended = short.blended(reading, odds)
        return replace(scored, scores=np.where(blended == odds, scored.scores, expit(blended)))

    @staticmethod
    def order(catalogue: Catalogue, batch: Batch, scored: Scored, rules: Rules, top_n: int) -> list[NDArray[np.int64]]:
        """Positions of the best candidates of each user.

        Without history lists are spread over categories, and of the rules only the frequency cap counts.
        """
        candidates, scores, reranker = scored.candidates, scored.scores, Reranker(catalogue, rules)
        bounds = np.searchsorted(candidates.users, np.arange(len(batch) + 1))
        without_history = np.diff(batch.weights.indptr) == 0
        left_out = np.zeros(len(scores), bool)
        if rules.frequency_cap:
            left_out = values_at(batch.capped, candidates.users, candidates.items) > 0
        order = []
        for user, (start, stop) in enumerate(pairwise(bounds)):
            own = start + np.flatnonzero(~left_out[start:stop])
            if without_history[user]:
                best = own[np.argsort(-scores[own], kind="stable")]
                best = best[spread_over_groups(_first_levels(catalogue, candidates.items[best]), top_n)]
            else:
                best = own[reranker.order(candidates.items[own], scores[own], top_n)]
            order.append(best[:top_n])
        return order

    def recommend(self, catalogue: Catalogue, batch: Batch, top_n: int) -> pd.DataFrame:
        """Rows of table recommendations but for as_of. Grain: user and rank."""
        ranked = self.rank(catalogue, batch, top_n)
        chosen = np.concatenate(ranked.order) if ranked.order else np.empty(0, np.int64)
        why = self.reasons(catalogue, batch, ranked, chosen)
        users, items = ranked.candidates.users[chosen], ranked.candidates.items[chosen]
        ranks = [np.arange(1, len(best) + 1, dtype=np.int32) for best in ranked.order]
        return pd.DataFrame(
            {
                "user_id": batch.user_ids[users],
                "item_id": catalogue.item_ids[items],
                "score": ranked.scores[chosen],
                "sources": [self._sources(ranked, position) for position in chosen],
                "reasons": [[reason.text for reason in told] for told in why],
                "rank": np.concatenate(ranks) if ranks else np.empty(0, np.int32),
            }
        )

    def reasons(
        self, catalogue: Catalogue, batch: Batch, ranked: Ranked, chosen: NDArray[np.int64]
    ) -> list[list[Reason]]:
        """Reasons of some candidates, given by their positions, strongest first: three at most, and one at least.

        The first is verified: where it rests on items of the history and the score does not fall without these, the next one
        takes its place.
        """
        falls = self._falls(ranked.matrix.select(self.model.columns)[chosen])
        users, items = ranked.candidates.users[chosen], ranked.candidates.items[chosen]
        found = [
            reasons(Pair(catalogue, batch, int(user), int(item)), falls[place])
            for place, (user, item) in enumerate(zip(users, items, strict=True))
        ]
        unsure = np.array([place for place, told in enumerate(found) if told and told[0].items], np.int64)
        while len(unsure):
            removed = [found[place][0].items for place in unsure]
            lower = (
                self.scores_without(catalogue, batch, users[unsure], items[unsure], removed)
                < ranked.scores[chosen[unsure]]
            )
            for place in unsure[~lower]:
                del found[place][0]
            unsure = np.array([place for place in unsure[~lower] if found[place] and found[place][0].items], np.int64)
        return [told[:MAX_REASONS] or [Reason(NO_REASON)] for told in found]

    def scores_without(
        self,
        catalogue: Catalogue,
        batch: Batch,
        users: NDArray[np.int64],
        items: NDArray[np.int64],
        removed: Sequence[tuple[int, ...]],
    ) -> NDArray[np.float64]:
        """Scores [C] of pairs where some items are taken out of the user's history: candidates and features are made anew.

        Minus infinity where no source proposes the item any more. Each user and set of items is gone through once.
        """
        asked = list(zip(users.tolist(), removed, strict=True))
        distinct = {key: number for number, key in enumerate(dict.fromkeys(asked))}
        keys = list(distinct)
        row = np.array([distinct[key] for key in asked], np.int64)
        found = np.full(len(asked), -np.inf)
        for start in range(0, len(keys), max(1, len(batch))):
            part = keys[start : start + len(batch)]
            less = without_items(batch, np.array([user for user, _ in part], np.int64), [gone for _, gone in part])
            scored = self.score(catalogue, less)
            score_of = dict(
                zip(
                    zip(scored.candidates.users + start, scored.candidates.items, strict=True),
                    scored.scores,
                    strict=True,
                )
            )
            for place in np.flatnonzero((row >= start) & (row < start + len(part))):
                found[place] = score_of.get((row[place], items[place]), -np.inf)
        return found

    def _falls(self, features: Floats) -> NDArray[np.float64]:
        """By how much the log odds [C, R] fall where the features that a kind of reason stands on are unknown."""
        if not len(features):
            return np.empty((0, len(self._removals)))
        without = [np.where(removed, np.float32(np.nan), features) for removed in self._removals]
        odds = self._booster.predict(np.concatenate([features, *without]), raw_score=True, **_ONE_THREAD)
        whole, *parts = np.split(np.asarray(odds), len(self._removals) + 1)
        return np.stack([whole - part for part in parts], axis=1)

    @staticmethod
    def _sources(ranked: Ranked, position: int) -> list[str]:
        proposed = ranked.candidates.proposed[position]
        return [name for name, by_it in zip(ranked.candidates.sources, proposed, strict=True) if by_it]


def spread_over_groups(groups: list[str], top_n: int) -> list[int]:
    """Positions of a list so that no group takes more than about a third of any beginning of it, while others remain.

    Groups named by the empty string are not limited.

    >>> spread_over_groups(["a", "a", "a", "a", "b", "c"], 4)
    [0, 4, 1, 5]
    """
    left, count = list(range(len(groups))), Counter[str]()
    chosen: list[int] = []
    while left and len(chosen) < top_n:
        limit = 1 + (len(chosen) + 1) // 3
        fitting = (i for i in left if not groups[i] or count[groups[i]] < limit)
        best = next(fitting, left[0])
        left.remove(best)
        chosen.append(best)
        count[groups[best]] += 1
    return chosen


def _first_levels(catalogue: Catalogue, items: NDArray[np.int64]) -> list[str]:
    return [first_level(catalogue.categories[c]) if c >= 0 else "" for c in catalogue.category[items]]
