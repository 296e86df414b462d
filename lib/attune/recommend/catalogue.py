"""The item side of recommendation as of a date, as arrays that travel to every worker."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

if TYPE_CHECKING:
    from attune.recommend.cross_match import CrossMatchScores
    from attune.recommend.next_item import NextItemScores

Floats = NDArray[np.float32]

# Shape legend: N items, F features of an item, G regions, R rank of the factors, D width of the vectors.


@dataclass(frozen=True)
class Catalogue:
    """Items in a fixed order; position in that order is the item's index everywhere in this package.

    It is held in memory by the driver and by every worker: about 4 * (F + R + D + G) bytes an item, and 8 bytes a neighbour
    and weight.
    """

    item_ids: NDArray[np.object_]  # [N]
    titles: NDArray[np.object_]  # [N]; the id where there is no title
    offered: NDArray[np.bool_]  # [N]; whether the item may be recommended
    prices: Floats  # [N]; NaN where unknown
    category: NDArray[np.int32]  # [N]; position in categories, -1 where unknown
    categories: Sequence[str]
    brand: NDArray[np.int32]  # [N]; position in brands, -1 where unknown
    brands: Sequence[str]
    columns: Sequence[str]
    features: Floats  # [N, F], by columns; NaN where unknown
    popularity: Floats  # [N]; decayed number of users
    regions: Sequence[str] = ()
    region_popularity: Floats = field(default_factory=lambda: np.zeros((0, 0), np.float32))  # [G, N]
    neighbours: sparse.csr_matrix | None = None  # [N, N]; row: item acted on, column: its neighbour
    linear: sparse.csr_matrix | None = None  # [N, N]; row: item acted on, column: item that it speaks for or against
    factors: Floats | None = None  # [N, R]; zero for items that were never acted on
    vectors: Floats | None = None  # [N, D]; of text, or text and picture; length 1 or less, zero where neither is there
    next_item: "NextItemScores | None" = None  # what comes after the items that a user took
    cross_match: "CrossMatchScores | None" = None  # how likely a user is to take one item after another, by their texts

    def __len__(self) -> int:
        """Number of items."""
        return len(self.item_ids)

    @property
    def is_new(self) -> NDArray[np.bool_]:
        """Whether an item was never acted on [N]."""
        return np.isnan(self.column("item_days_since_first"))

    @property
    def actors(self) -> Floats:
        """Users who ever acted on an item [N]."""
        return np.nan_to_num(self.column("item_actors"))

    def column(self, name: str) -> Floats:
        """One feature of every item [N]; NaN where it is not there."""
        if name not in self.columns:
            return np.full(len(self), np.nan, np.float32)
        return self.features[:, list(self.columns).index(name)]


def first_level(category: str) -> str:
    """First level of a category path.

    >>> first_level("Home > Lighting > Lamps")
    'Home'
    """
    return steps(category)[0]


def begins(category: str, path: str) -> bool:
    """Whether a category is a path or lies below it.

    >>> begins("Home > Lighting > Lamps", "Home >  Lighting"), begins("Home > Lighting", "Ho")
    (True, False)
    """
    return steps(category)[: len(steps(path))] == steps(path)


def steps(path: str) -> list[str]:
    """Levels of a category path, the first one first."""
    return [step.strip() for step in path.split(">")]


def item_arrays(items: pd.DataFrame, popularity_column: str, new_items: bool) -> dict[str, Any]:
    """The arrays of a catalogue that come from one row an item.

    Args:
        items: columns item_id, title, category, brand, price and any number of numeric columns, which become features;
            ``item_days_since_first`` is null for items that were never acted on. ``offered``, where it is there, says which
            may be recommended; null is no.
        popularity_column: the feature that ranks popular items.
        new_items: whether items that were never acted on may be recommended.
    """
    item_ids = items["item_id"].to_numpy(object)
    titles = items["title"].where(items["title"].notna(), items["item_id"]).to_numpy(object)
    category, categories = _coded(items["category"])
    brand, brands = _coded(items["brand"])
    named = items.drop(columns=["item_id", "title", "category", "brand", "price", "offered"], errors="ignore")
    offered = np.ones(len(items), bool) if new_items else items["item_days_since_first"].notna().to_numpy()
    if "offered" in items:
        offered = offered & items["offered"].eq(True).to_numpy()
    prices = pd.to_numeric(items["price"]).to_numpy(np.float32)
    return {
        "item_ids": item_ids,
        "titles": titles,
        "offered": offered,
        "prices": np.where(prices > 0, prices, np.nan).astype(np.float32),
        "category": category,
        "categories": categories,
        "brand": brand,
        "brands": brands,
        "columns": list(named.columns),
        "features": named.astype(np.float32).to_numpy(),
        "popularity": named[popularity_column].fillna(0).to_numpy(np.float32),
    }


def _coded(names: pd.Series) -> tuple[NDArray[np.int32], list[str]]:
    """Position of each name in the sorted names, -1 where it is null or empty, and the names."""
    codes, known = pd.factorize(names.where(names.ne("")), sort=True)
    return codes.astype(np.int32), list(known)


def rows_by_item(frame: pd.DataFrame, column: str, num_items: int) -> Floats | None:
    """A matrix of one vector an item from rows of (item, vector); zero where there is none. None without rows."""
    if frame.empty:
        return None
    matrix = np.zeros((num_items, len(frame[column].iloc[0])), np.float32)
    matrix[frame["item"].to_numpy()] = np.stack(frame[column].to_numpy()).astype(np.float32)
    return matrix


def neighbour_matrix(frame: pd.DataFrame, num_items: int) -> sparse.csr_matrix | None:
    """Similarities as a sparse matrix from rows of (item, neighbour, similarity). None without rows."""
    if frame.empty:
        return None
    values = frame["similarity"].to_numpy(np.float32)
    places = (frame["item"].to_numpy(np.int32), frame["neighbour"].to_numpy(np.int32))
    return sparse.csr_matrix((values, places), shape=(num_items, num_items))


def region_matrix(frame: pd.DataFrame, num_items: int) -> tuple[list[str], Floats]:
    """Names of the regions and popularity [G, N] from rows of (region, item, popularity)."""
    codes, names = pd.factorize(frame["region"], sort=True)
    matrix = np.zeros((len(names), num_items), np.float32)
    matrix[codes, frame["item"].to_numpy(np.int64)] = frame["popularity"].to_numpy(np.float32)
    return list(names), matrix
