"""Why an item is offered, in words that a marketer can show: what is true, and without which the score would be lower."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from attune.recommend.batch import Batch
from attune.recommend.catalogue import Catalogue, Floats, first_level

NO_REASON = "Chosen for you"
"""What is told where nothing that holds lowers the score."""
MAX_REASONS = 3
_POPULAR_SHARE = 0.1
"""Share of the catalogue, from the top, that is called popular."""
_SIMILAR_COSINE = 0.5
_MIN_SATISFACTION = 0.75
_NEW_DAYS = 30
_SAME_PRICE = 0.35
"""Difference of log prices up to which a price counts as usual."""


class Reason(NamedTuple):
    """Why an item is offered."""

    text: str
    items: tuple[int, ...] = ()  # of the user's history, that it rests on; none where it rests on something else


@dataclass(frozen=True)
class Pair:
    """One user and one recommended item, with the user's history."""

    catalogue: Catalogue
    batch: Batch
    user: int
    item: int

    @property
    def history(self) -> NDArray[np.int32]:
        """Items that the user acted on."""
        weights = self.batch.weights
        return weights.indices[weights.indptr[self.user] : weights.indptr[self.user + 1]]

    @property
    def history_weights(self) -> Floats:
        """Their weights."""
        weights = self.batch.weights
        return weights.data[weights.indptr[self.user] : weights.indptr[self.user + 1]]

    def title(self, item: int) -> str:
        """Title of an item."""
        return str(self.catalogue.titles[item])

    def has_bought(self, item: int) -> bool:
        """Whether the user bought an item."""
        return bool(self.batch.bought[self.user, item] > 0)

    def value(self, column: str) -> float:
        """A feature of the item; NaN where unknown."""
        return float(self.catalogue.column(column)[self.item])


def because_of(pair: Pair) -> int | None:
    """The item of the user's history whose neighbourhood speaks most for the item."""
    return _strongest(pair, pair.catalogue.neighbours, pair.history_weights)


def _strongest(pair: Pair, between: sparse.csr_matrix | None, weights: Floats | float) -> int | None:
    """The item of the user's history that speaks most for the item, by a matrix of items and items."""
    if between is None or not len(pair.history):
        return None
    strength = np.asarray(between[pair.history, pair.item].todense()).ravel() * weights
    return int(pair.history[strength.argmax()]) if strength.max() > 0 else None


def _together(pair: Pair) -> Reason | None:
    return _chosen_with(pair, because_of(pair))


def _speaks_for(pair: Pair) -> Reason | None:
    return _chosen_with(pair, _strongest(pair, pair.catalogue.linear, 1.0))


def _chosen_with(pair: Pair, item: int | None) -> Reason | None:
    if item is None:
        return None
    start = "Bought together with" if pair.has_bought(item) else "Often chosen with"
    return Reason(f"{start} {pair.title(item)}", (item,))


def _next(pair: Pair) -> Reason | None:
    if not len(pair.history):
        return None
    ages = pair.batch.first_ages[pair.user, pair.history].toarray().ravel()
    item = int(pair.history[ages.argmin()])
    return Reason(f"Often chosen after {pair.title(item)}", (item,)) if item != pair.item else None


def _similar_taste(pair: Pair) -> Reason | None:
    return Reason("Chosen by customers with a similar taste") if len(pair.history) else None


def _like(pair: Pair) -> Reason | None:
    vectors = pair.catalogue.vectors
    others = pair.history[pair.history != pair.item]
    if vectors is None or not len(others):
        return None
    cosine = vectors[others] @ vectors[pair.item]
    item = int(others[cosine.argmax()])
    if cosine.max() < _SIMILAR_COSINE:
        return None
    return Reason(f"Like {pair.title(item)} that you {'bought' if pair.has_bought(item) else 'viewed'}", (item,))


def _again(pair: Pair) -> Reason | None:
    if pair.item not in pair.history:
        return None
    return Reason("You bought it before" if pair.has_bought(pair.item) else "You looked at it before", (pair.item,))


def _popular(pair: Pair) -> Reason | None:
    if _is_among_the_first(pair.catalogue.column("item_num_events_7d"), pair.item):
        return Reason("Popular this week")
    is_popular = _is_among_the_first(pair.catalogue.popularity, pair.item)
    return Reason("Popular with other customers") if is_popular else None


def _popular_in_region(pair: Pair) -> Reason | None:
    region = pair.batch.region[pair.user]
    if region not in pair.catalogue.regions:
        return None
    popularity = pair.catalogue.region_popularity[list(pair.catalogue.regions).index(region)]
    return Reason(f"Popular in {region}") if _is_among_the_first(popularity, pair.item) else None


def _is_among_the_first(values: Floats, item: int) -> bool:
    above = int((values > values[item]).sum())
    return bool(values[item] > 0) and above < _POPULAR_SHARE * len(values)


def _interest(pair: Pair) -> Reason | None:
    category = pair.catalogue.category[pair.item]
    alike = pair.history[pair.catalogue.category[pair.history] == category]
    if category < 0 or not len(alike):
        return None
    path = pair.catalogue.categories[category]
    return Reason(f"Fits your interest in {path.split('>')[-1].strip() or first_level(path)}", tuple(alike.tolist()))


def _rated(pair: Pair) -> Reason | None:
    satisfaction = pair.value("item_satisfaction")
    return Reason(f"Rated {satisfaction:.0%} positive") if satisfaction >= _MIN_SATISFACTION else None


def _price(pair: Pair) -> Reason | None:
    prices = pair.catalogue.prices[pair.history]
    known = prices[np.isfinite(prices)]
    if not len(known) or not abs(np.log(pair.catalogue.prices[pair.item] / np.median(known))) < _SAME_PRICE:
        return None
    return Reason("In your usual price range")


def _new(pair: Pair) -> Reason | None:
    days = pair.value("item_days_since_first")
    return Reason("New") if np.isnan(days) or days < _NEW_DAYS else None


_TOLD_BY: tuple[tuple[tuple[str, ...], Callable[[Pair], Reason | None]], ...] = (
    (("covisit_", "latest_visit_"), _together),
    (("ease_",), _speaks_for),
    (("next_item_",), _next),
    (("als_",), _similar_taste),
    (("text_",), _like),
    (("again_", "pair_weight", "pair_days_since"), _again),
    (("region_",), _popular_in_region),
    (("category_", "pair_category"), _interest),
    (("item_satisfaction", "item_mean_rating", "item_num_reviews"), _rated),
    (("pair_price", "item_price"), _price),
    (("item_days_since_first",), _new),
    (
        ("popular_", "item_popularity", "item_num_", "item_trend", "item_actors", "item_conversion", "item_click"),
        _popular,
    ),
)
"""Features, by the start of their names, and the reason that tells of them."""


def removals(columns: Sequence[str]) -> NDArray[np.bool_]:
    """Features that each kind of reason stands on [R, K]: without them it would not be told."""
    return np.array([[column.startswith(starts) for column in columns] for starts, _ in _TOLD_BY], bool)


def reasons(pair: Pair, falls: Sequence[float] | Floats) -> list[Reason]:
    """Reasons that hold for a pair, that whose removal lowers its score most first.

    ``falls`` [R]: by how much the score falls without the features of each kind of ``removals``. None where no reason
    that holds lowers the score.
    """
    found: list[Reason] = []
    for kind in np.argsort(-np.asarray(falls), kind="stable"):
        if falls[kind] <= 0:
            break
        reason = _TOLD_BY[kind][1](pair)
        if reason is not None and reason.text not in [other.text for other in found]:
            found.append(reason)
    return found
