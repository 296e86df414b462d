"""Candidate sources: each scores every item of the catalogue for every user of a block.

A source is a function of (catalogue, batch) to scores [B, N], higher is better, ``NOT_PROPOSED`` where it has nothing to
say. B users of the block, N items, G regions, C categories, D width of the vectors.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy import sparse

from attune.recommend.batch import Batch
from attune.recommend.catalogue import Catalogue, Floats

NOT_PROPOSED = -np.inf
Source = Callable[[Catalogue, Batch], Floats]


def popular(catalogue: Catalogue, batch: Batch) -> Floats:
    """Items by the decayed number of their users, alike for everybody."""
    return np.repeat(_where_positive(catalogue.popularity[None, :]), len(batch), axis=0)


def popular_by(column: str) -> Source:
    """Popular items by a feature of the item in place of the catalogue's popularity."""
    return lambda catalogue, batch: popular(by_popularity(catalogue, column), batch)


def by_popularity(catalogue: Catalogue, column: str) -> Catalogue:
    """The catalogue with popular items ranked by a feature of the item."""
    return replace(catalogue, popularity=np.nan_to_num(catalogue.column(column)))


def region(catalogue: Catalogue, batch: Batch) -> Floats:
    """Items popular among the users of the same region."""
    position = {name: g for g, name in enumerate(catalogue.regions)}
    own = np.array([position.get(name, -1) for name in batch.region])
    scores = np.full((len(batch), len(catalogue)), NOT_PROPOSED, np.float32)
    scores[own >= 0] = _where_positive(catalogue.region_popularity[own[own >= 0]])
    return scores


def category(catalogue: Catalogue, batch: Batch) -> Floats:
    """Popular items of the categories that the user acts on: share of the user's weight there times log popularity."""
    shares = category_shares(catalogue, batch)
    share = np.where(catalogue.category >= 0, shares[:, catalogue.category], 0)
    return _where_positive(share * np.log1p(catalogue.popularity)[None, :])


def als(catalogue: Catalogue, batch: Batch) -> Floats:
    """Product of the factors of user and item; nothing for users or items that had no action."""
    if catalogue.factors is None or batch.factors is None:
        return np.full((len(batch), len(catalogue)), NOT_PROPOSED, np.float32)
    scores = batch.factors @ catalogue.factors.T
    scores[:, ~catalogue.factors.any(axis=1)] = NOT_PROPOSED
    return np.where(np.isnan(scores), NOT_PROPOSED, scores).astype(np.float32)


def covisit(catalogue: Catalogue, batch: Batch) -> Floats:
    """Sum over the user's history of weight times similarity of the item to the one acted on."""
    return _through_neighbours(batch.weights, catalogue)


def ease(catalogue: Catalogue, batch: Batch) -> Floats:
    """Sum over the user's history of the weights with which an item speaks for others, however often he acted on it."""
    if catalogue.linear is None:
        return np.full(batch.weights.shape, NOT_PROPOSED, np.float32)
    return _where_positive((batch.weights.sign() @ catalogue.linear).toarray())


def next_item(catalogue: Catalogue, batch: Batch) -> Floats:
    """Log probability by the next-item model that the user takes the item next, after those taken so far."""
    if catalogue.next_item is None:
        return np.full(batch.weights.shape, NOT_PROPOSED, np.float32)
    return catalogue.next_item.log_probabilities(batch.first_ages)


def latest_visit(catalogue: Catalogue, batch: Batch) -> Floats:
    """The same over the user's latest visit alone, unweighted."""
    return _through_neighbours(batch.recent, catalogue)


def text(catalogue: Catalogue, batch: Batch) -> Floats:
    """Cosine of the vector of the item's text (and picture) and the weighted mean of those of the user's history; reaches new items too."""
    scores = np.full((len(batch), len(catalogue)), NOT_PROPOSED, np.float32)
    if catalogue.vectors is None:
        return scores
    taste = np.asarray(batch.weights @ catalogue.vectors, np.float32)
    length = np.linalg.norm(taste, axis=1)
    known, described = length > 0, catalogue.vectors.any(axis=1)
    cosine = (taste[known] / length[known, None]) @ catalogue.vectors.T
    scores[known] = np.where(described, cosine, NOT_PROPOSED)
    return scores


def again(catalogue: Catalogue, batch: Batch) -> Floats:
    """Items that the user acted on before, by weight: seen and not bought, or bought where repeats are wanted."""
    return _where_positive(batch.weights.toarray())


SOURCES: dict[str, Source] = {
    "popular": popular,
    "region": region,
    "category": category,
    "als": als,
    "ease": ease,
    "covisit": covisit,
    "next_item": next_item,
    "latest_visit": latest_visit,
    "text": text,
    "again": again,
}


def category_shares(catalogue: Catalogue, batch: Batch) -> Floats:
    """Share of each user's weight that falls in each category [B, C]; zero for users without history."""
    known = catalogue.category >= 0
    if not known.any():
        return np.zeros((len(batch), 1), np.float32)
    items = np.flatnonzero(known)
    member = sparse.csr_matrix(
        (np.ones(len(items), np.float32), (items, catalogue.category[items])),
        shape=(len(catalogue), len(catalogue.categories)),
    )
    weights = (batch.weights @ member).toarray()
    total = np.asarray(batch.weights.sum(axis=1)).ravel()[:, None]
    return np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)


def _through_neighbours(history: sparse.csr_matrix, catalogue: Catalogue) -> Floats:
    if catalogue.neighbours is None:
        return np.full(history.shape, NOT_PROPOSED, np.float32)
    return _where_positive((history @ catalogue.neighbours).toarray())


def _where_positive(scores: Floats) -> Floats:
    return np.where(scores > 0, scores, NOT_PROPOSED).astype(np.float32)
