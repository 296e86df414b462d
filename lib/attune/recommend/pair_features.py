"""What the ranking model sees of a candidate: the sources' scores, the item, the user, and how they fit."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from attune.recommend.batch import Batch, values_at
from attune.recommend.catalogue import Catalogue, Floats
from attune.recommend.retrieval import Candidates
from attune.recommend.sources import category_shares

# Shape legend: M candidates, K features, B users of the block, N items, C categories.


@dataclass(frozen=True)
class Matrix:
    """Features by name [M, K]; NaN where unknown."""

    columns: tuple[str, ...]
    values: Floats

    def select(self, columns: Sequence[str]) -> Floats:
        """The features that a model was trained with, in its order; NaN for those that are not there."""
        position = {name: i for i, name in enumerate(self.columns)}
        found = np.full((len(self.values), len(columns)), np.nan, np.float32)
        for target, name in enumerate(columns):
            if name in position:
                found[:, target] = self.values[:, position[name]]
        return found


def pair_features(catalogue: Catalogue, batch: Batch, candidates: Candidates) -> Matrix:
    """Features of each candidate: ``<source>_score``, ``<source>_rank``, ``item_*``, ``user_*`` and ``pair_*``."""
    users, items = candidates.users, candidates.items
    parts: dict[str, Floats] = {}
    for s, name in enumerate(candidates.sources):
        parts[f"{name}_score"] = candidates.scores[:, s]
        parts[f"{name}_rank"] = candidates.ranks[:, s]
    total = np.asarray(batch.weights.sum(axis=1)).ravel()[users]
    parts["covisit_mean"] = _divide(parts["covisit_score"], total)
    parts |= {name: catalogue.features[items, i] for i, name in enumerate(catalogue.columns)}
    parts["item_price"] = catalogue.prices[items]
    parts |= {name: batch.features[users, i] for i, name in enumerate(batch.columns)}
    parts |= _fit(catalogue, batch, users, items)
    return Matrix(tuple(parts), np.stack(list(parts.values()), axis=1).astype(np.float32))


def _fit(catalogue: Catalogue, batch: Batch, users: np.ndarray, items: np.ndarray) -> dict[str, Floats]:
    """How a user and an item fit: price, category, and what the user did to the item and its category."""
    own_weight, own_age = values_at(batch.weights, users, items), values_at(batch.ages, users, items)
    usual_price = _mean_over_history(batch, np.log(catalogue.prices))
    usual_popularity = _mean_over_history(batch, np.log1p(catalogue.popularity))
    usual_quantity, user_quantity = catalogue.column("item_log_quantity"), batch.column("user_log_quantity")
    known = catalogue.category[items] >= 0
    share = np.where(known, category_shares(catalogue, batch)[users, catalogue.category[items]], np.nan)
    return {
        "pair_weight": np.where(own_weight > 0, own_weight, np.nan),
        "pair_days_since": np.where(own_age > 0, own_age, np.nan),
        "pair_price_ratio": np.log(catalogue.prices[items]) - usual_price[users],
        "pair_popularity_ratio": np.log1p(catalogue.popularity[items]) - usual_popularity[users],
        "pair_quantity_ratio": usual_quantity[items] - user_quantity[users],
        "pair_category_share": share,
        "pair_category_days_since": _category_age(catalogue, batch)[users, catalogue.category[items]],
        "user_usual_price": usual_price[users],
        "user_usual_popularity": usual_popularity[users],
    }


def _mean_over_history(batch: Batch, values: Floats) -> Floats:
    """Weighted mean of a value of the items over each user's history [B]; NaN where none is known."""
    known = np.isfinite(values)
    total = batch.weights @ np.where(known, values, 0).astype(np.float32)
    return _divide(total, batch.weights @ known.astype(np.float32))


def _category_age(catalogue: Catalogue, batch: Batch) -> Floats:
    """Days since the user's last action in each category [B, C + 1]; NaN where there was none and in the last column."""
    age = np.full((len(batch), len(catalogue.categories) + 1), np.inf, np.float32)
    rows = np.repeat(np.arange(len(batch)), np.diff(batch.ages.indptr))
    np.minimum.at(age, (rows, catalogue.category[batch.ages.indices]), batch.ages.data)
    age[:, -1] = np.inf
    return np.where(np.isfinite(age), age, np.nan)


def _divide(a: Floats, b: Floats) -> Floats:
    return np.divide(a, b, out=np.full(np.shape(a), np.nan, np.float32), where=b > 0).astype(np.float32)
