"""The final list of each user of a block: candidates in the ranking model's order, with sources and reasons."""

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attune.recommend.batch import Batch
from attune.recommend.booster import RankingModel
from attune.recommend.catalogue import Catalogue, Floats, first_level
from attune.recommend.pair_features import Matrix, pair_features
from attune.recommend.reasons import Pair, reasons
from attune.recommend.retrieval import Candidates, retrieve

_ONE_THREAD = {"num_threads": 1}
"""A worker has one core; more threads would fight with the other workers."""

# Shape legend: B users of the block, M candidates of all of them, K features.


@dataclass(frozen=True)
class Ranked:
    """Candidates of a block with their scores; ``order`` holds each user's best, as positions among the candidates."""

    candidates: Candidates
    matrix: Matrix
    scores: NDArray[np.float64]  # [M]
    order: list[NDArray[np.int64]]  # [B] lists, best first


class Ranker:
    """A ranking model loaded to score blocks of users."""

    def __init__(self, model: RankingModel, per_source: int, repeat: bool) -> None:
        self.model = model
        self.per_source = per_source
        self.repeat = repeat
        self._booster = model.booster()

    def rank(self, catalogue: Catalogue, batch: Batch, top_n: int) -> Ranked:
        """The ``top_n`` best candidates of each user; lists of users without history are spread over categories."""
        candidates = retrieve(catalogue, batch, self.per_source, self.repeat)
        matrix = pair_features(catalogue, batch, candidates)
        scores = np.zeros(len(candidates.users))
        if len(scores):
            scores = np.asarray(self._booster.predict(matrix.select(self.model.columns), **_ONE_THREAD))
        bounds = np.searchsorted(candidates.users, np.arange(len(batch) + 1))
        without_history = np.diff(batch.weights.indptr) == 0
        order = []
        for user, (start, stop) in enumerate(pairwise(bounds)):
            best = start + np.argsort(-scores[start:stop], kind="stable")
            if without_history[user]:
                best = best[spread_over_groups(_first_levels(catalogue, candidates.items[best]), top_n)]
            order.append(best[:top_n])
        return Ranked(candidates, matrix, scores, order)

    def recommend(self, catalogue: Catalogue, batch: Batch, top_n: int) -> pd.DataFrame:
        """Rows of table recommendations but for as_of. Grain: user and rank."""
        ranked = self.rank(catalogue, batch, top_n)
        chosen = np.concatenate(ranked.order) if ranked.order else np.empty(0, np.int64)
        contributions = self._contributions(ranked.matrix.select(self.model.columns)[chosen])
        rows = []
        for place, position in enumerate(chosen):
            user, item = int(ranked.candidates.users[position]), int(ranked.candidates.items[position])
            told = reasons(Pair(catalogue, batch, user, item), self.model.columns, contributions[place])
            rows.append(
                (
                    batch.user_ids[user],
                    catalogue.item_ids[item],
                    ranked.scores[position],
                    self._sources(ranked, position),
                    told,
                )
            )
        frame = pd.DataFrame(rows, columns=["user_id", "item_id", "score", "sources", "reasons"])
        ranks = np.concatenate([np.arange(1, len(best) + 1) for best in ranked.order]) if rows else np.empty(0, int)
        return frame.assign(rank=ranks.astype(np.int32))

    def _contributions(self, features: Floats) -> Floats:
        if not len(features):
            return features
        return np.asarray(self._booster.predict(features, pred_contrib=True, **_ONE_THREAD))[:, :-1]

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
