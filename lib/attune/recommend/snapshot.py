"""Everything that recommendation knows as of a date: the catalogue as arrays, the users as a frame."""

import datetime as dt
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from attune.config import AlsPoint, Recommend
from attune.errors import SettingsError
from attune.feature_registry import not_for_ranking
from attune.features.satisfaction import satisfaction_figures
from attune.recommend import catalogue as arrays
from attune.recommend.als import Factors, fit_factors
from attune.recommend.catalogue import Catalogue
from attune.recommend.covisit import neighbours
from attune.recommend.ease import Together, linear_matrix, together
from attune.recommend.inputs import Inputs
from attune.recommend.interactions import acted_on, interactions, latest_items, regions
from attune.recommend.next_item import NextItemScores
from attune.recommend.popular import named, popularity, popularity_by_region
from attune.recommend.users import add_factors, add_features, user_rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_NOT_FEATURES = ("item_id", "as_of", *not_for_ranking("item_features"))
"""Keys of item_features, and columns that ``popularity`` or the catalogue has already, or that repeat others."""
_REGION_HALF_LIFE_DAYS = 30
_SATISFACTION_PRIOR = 5
_EASE_USERS = 200_000
"""Users whose latest items come to the driver: 100 items each are 160 MB."""


@dataclass(frozen=True)
class Snapshot:
    """The state as of ``cutoff``. ``close`` frees what it keeps in memory."""

    cutoff: dt.date
    catalogue: Catalogue
    rows: "DataFrame"  # as users.user_rows, without factors
    weights: "DataFrame"  # columns user, item (int indices), weight; kept in memory
    user_index: "DataFrame"  # columns user_id, user
    together: Together  # of the users, or of a sample of them
    kept: tuple["DataFrame", ...]
    fitted: Factors | None = None  # whose users are in ``rows``

    def close(self) -> None:
        """Free what is kept in memory."""
        for frame in self.kept:
            frame.unpersist()


def take_snapshot(
    inputs: Inputs, settings: Recommend, cutoff: dt.date, popularity_half_life_days: float, end: dt.date | None = None
) -> Snapshot:
    """The state as of a date; with ``end``, the rows are the users who act from then to the day before ``end``.

    Runs Spark jobs: what is one row an item comes to the driver. Factors are added by ``with_factors``.
    """
    from pyspark.sql import functions as F

    acted = interactions(inputs.events, settings.event_weights, settings.half_life_days, cutoff).persist()
    located = regions(inputs.events, inputs.users, end or cutoff)
    items = _items(inputs, settings, acted, cutoff)
    item_index = acted.sparkSession.createDataFrame(
        pd.DataFrame({"item_id": items["item_id"], "item": range(len(items))}), "item_id string, item int"
    )
    user_index = _numbered(acted.select("user_id").distinct()).persist()
    indexed = acted.join(F.broadcast(item_index), "item_id").persist()
    weights = indexed.join(user_index, "user_id").select("user", "item", F.col("weight").cast("float")).persist()
    latest = latest_items(indexed, settings.max_history).persist()
    near = neighbours(latest, settings.covisit.session_bonus, settings.covisit.shrink, settings.covisit.neighbours)
    by_region = popularity_by_region(acted, located, _REGION_HALF_LIFE_DAYS).join(F.broadcast(item_index), "item_id")
    names, region_popularity = arrays.region_matrix(by_region.toPandas(), len(items))
    ((_, popularity_column),) = named([popularity_half_life_days])
    built = Catalogue(
        **arrays.item_arrays(items, f"item_{popularity_column}", settings.new_items),
        regions=names,
        region_popularity=region_popularity,
        neighbours=arrays.neighbour_matrix(near.toPandas(), len(items)),
        vectors=_vectors(inputs, item_index, len(items)),
    )
    labels = None
    if end is not None:
        chosen = acted_on(inputs.events, settings.event_weights, cutoff, end)
        labels = chosen.join(F.broadcast(item_index), "item_id").select("user_id", "item")
    rows = add_features(user_rows(indexed, located, settings.max_history, labels), inputs.user_features, cutoff)
    met = _together(latest, user_index, len(items), settings.ease.max_items)
    latest.unpersist()
    kept = (acted, user_index, indexed, weights, rows)
    return Snapshot(cutoff, built, rows.persist(), weights, user_index, met, kept)


def with_factors(snapshot: Snapshot, point: AlsPoint, settings: Recommend, seed: int) -> Snapshot:
    """The snapshot with ALS factors fitted to its interactions. The factors of users stay in the frame."""
    from pyspark.sql import functions as F

    fitted = fit_factors(snapshot.weights, point, settings.als.iterations, settings.als.blocks, seed)
    factors = fitted.items.select(F.col("id").alias("item"), F.col("features").alias("factors")).toPandas()
    return replace(
        snapshot,
        catalogue=replace(snapshot.catalogue, factors=arrays.rows_by_item(factors, "factors", len(snapshot.catalogue))),
        rows=add_factors(snapshot.rows, fitted.users, snapshot.user_index),
        fitted=fitted,
    )


def with_ease(snapshot: Snapshot, regularisation: float) -> Snapshot:
    """The snapshot with EASE's weights between items."""
    linear = linear_matrix(snapshot.together, regularisation)
    return replace(snapshot, catalogue=replace(snapshot.catalogue, linear=linear))


def with_next_item(snapshot: Snapshot, folder: Path) -> Snapshot:
    """The snapshot with a stored next-item model, whose folder has been verified."""
    scores = NextItemScores.of(folder, snapshot.catalogue.item_ids)
    return replace(snapshot, catalogue=replace(snapshot.catalogue, next_item=scores))


def _together(latest: "DataFrame", user_index: "DataFrame", num_items: int, max_items: int) -> Together:
    """Which items have users in common; of a large log a sample of users by hash tells enough, and fits the driver."""
    from pyspark.sql import functions as F

    some = user_index.orderBy(F.xxhash64("user_id"), "user_id").limit(_EASE_USERS)
    pairs: pd.DataFrame = latest.join(some, "user_id").select("user", "item").toPandas()  # type: ignore[assignment]
    return together(pairs["user"].to_numpy(), pairs["item"].to_numpy(), num_items, max_items)


def _items(inputs: Inputs, settings: Recommend, acted: "DataFrame", cutoff: dt.date) -> pd.DataFrame:
    """One row an item of the catalogue or the log, in the order of the ids, with every feature as ``item_*``."""
    from pyspark.sql import functions as F

    def renamed(frame: "DataFrame", leave_out: tuple[str, ...] = ("item_id",)) -> "DataFrame":
        names = [name for name in frame.columns if name not in leave_out]
        return frame.select("item_id", *(F.col(name).cast("float").alias(f"item_{name}") for name in names))

    joined = renamed(popularity(acted, settings.popular.half_lives_days))
    described = ("title", "category", "brand", "price")
    if inputs.items is None:
        joined = joined.select("*", *(F.lit(None).cast("string").alias(name) for name in described))
        if settings.offer is not None:
            raise SettingsError(
                "recommend.offer chooses among the items of table items, which is not there: give inputs.items"
            )
    else:
        joined = joined.join(_described(inputs.items, described, settings.offer), "item_id", "full")
    if inputs.item_features is not None:
        dated = inputs.item_features.where(F.col("as_of") == F.lit(cutoff))
        joined = joined.join(renamed(dated, _NOT_FEATURES), "item_id", "left")
    if inputs.review_sentiment is not None:
        earlier = inputs.review_sentiment.where(
            (F.col("status") == "scored") & (F.to_date("review_ts") < F.lit(cutoff))
        )
        figures = satisfaction_figures(earlier, _SATISFACTION_PRIOR).select("item_id", "satisfaction")
        joined = joined.join(renamed(figures), "item_id", "left")
    collected: pd.DataFrame = joined.toPandas()  # type: ignore[assignment]
    return collected.sort_values("item_id", ignore_index=True)


def _described(items: "DataFrame", columns: tuple[str, ...], offer: str | None) -> "DataFrame":
    """Columns of the catalogue, and ``offered`` where a condition says which items are."""
    from pyspark.errors import AnalysisException, ParseException
    from pyspark.sql import functions as F

    chosen = items.select("item_id", *columns)
    if offer is None:
        return chosen
    try:
        offered = F.coalesce(F.expr(offer).cast("boolean"), F.lit(False))
        chosen = items.select("item_id", *columns, offered.alias("offered"))
        chosen.schema  # noqa: B018 - Spark Connect looks at a condition no earlier
    except (AnalysisException, ParseException) as error:
        raise SettingsError(
            f"recommend.offer: {offer} is no condition on table items, which has {', '.join(items.columns)}: "
            f"{str(error).strip().splitlines()[0].split('. ')[0][:200]}"
        ) from None
    return chosen


def _numbered(users: "DataFrame") -> "DataFrame":
    """A whole number from 0 for each user, in the order of the ids: ALS takes nothing else."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    return users.select("user_id", (F.row_number().over(Window.orderBy("user_id")) - 1).alias("user"))


def _vectors(inputs: Inputs, item_index: "DataFrame", num_items: int) -> "arrays.Floats | None":
    """Vectors of text and picture where there are such, else of the text."""
    from pyspark.sql import functions as F

    if inputs.embeddings is None:
        return None
    for kind in ("item_fused", "item"):
        of_items = inputs.embeddings.where(F.col("kind") == kind).withColumnRenamed("id", "item_id")
        rows = of_items.join(F.broadcast(item_index), "item_id").select("item", "vector").toPandas()
        if len(rows):
            return arrays.rows_by_item(rows, "vector", num_items)
    return None
