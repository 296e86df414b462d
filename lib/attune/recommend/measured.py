"""The list that each model gives each held-out user, over the whole catalogue and under the same left-out items."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attune.recommend.batch import Batch, to_find
from attune.recommend.booster import RankingModel
from attune.recommend.catalogue import Catalogue, Floats
from attune.recommend.ranking import Ranker
from attune.recommend.rerank import Rules
from attune.recommend.retrieval import Candidates, allowed_scores, best
from attune.recommend.sources import NOT_PROPOSED, Source, popular
from attune.recommend.spread import over_blocks

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

BLEND, ALL_SOURCES = "blend", "candidates"
_SCHEMA = (
    "user_id string, known boolean, num_relevant int, num_new int, model string, items array<int>, hits array<int>, "
    "num_candidates array<int>, num_met array<int>, scores array<double>"
)

# Shape legend: U users, B users of a block, N items, L places of a list, S sources.


@dataclass(frozen=True)
class Lists:
    """Lists of all models for the same users in the same order."""

    user_ids: NDArray[np.object_]  # [U]
    known: NDArray[np.bool_]  # [U]; whether the user had any action before the cut-off
    num_relevant: NDArray[np.int64]  # [U]
    num_new: NDArray[np.int64]  # [U]; of these, the items that nobody had acted on before the cut-off
    items: Mapping[str, NDArray[np.int64]]  # by model [U, L]; -1 where a list is shorter
    hits: Mapping[str, NDArray[np.int64]]  # by model [U, L]; 1 where the item is relevant
    num_candidates: NDArray[np.int64] | None = None  # [U, S + 1]; of each source and, last, of all; None without blend
    num_met: NDArray[np.int64] | None = None  # [U, S + 1]; of these, the relevant ones
    scores: NDArray[np.float64] | None = None  # [U, L]; of the blend's list, NaN where shorter; None without blend

    def of_new_items(self, is_new: NDArray[np.bool_]) -> "Lists":
        """The same lists where only new items [N] are what users look for."""
        hits = {
            name: self.hits[name] * (is_new[np.maximum(items, 0)] & (items >= 0)) for name, items in self.items.items()
        }
        return replace(self, hits=hits, num_relevant=self.num_new)


def measured_lists(
    rows: "DataFrame",
    catalogue: Catalogue,
    sources: Mapping[str, Source],
    length: int,
    quotas: Mapping[str, int],
    repeat: bool,
    model: RankingModel | None = None,
    rules: Rules | None = None,
) -> Lists:
    """Lists of some sources, each alone, and of the ranking model as ``blend`` where given; brought to the driver.

    Of each rule that is set there is a ``blend without`` it, too, and of the cross-encoder where the model has one.
    A source that has less to say of a user than the list has places is filled up with popular items. Users whose items
    are all left out are not measured.
    """

    def make():  # type: ignore[no-untyped-def]
        ranker = Ranker(model, quotas, repeat, rules) if model else None
        return lambda catalogue, batch: list_rows(catalogue, batch, sources, length, repeat, ranker)

    collected: pd.DataFrame = over_blocks(rows, catalogue, make, _SCHEMA).toPandas()  # type: ignore[assignment]
    found = collected.sort_values("user_id")
    by_model = {name: part for name, part in found.groupby("model")}
    one = next(iter(by_model.values()), found)
    blend = by_model.get(BLEND)
    return Lists(
        user_ids=one["user_id"].to_numpy(object),
        known=one["known"].to_numpy(bool),
        num_relevant=one["num_relevant"].to_numpy(np.int64),
        num_new=one["num_new"].to_numpy(np.int64),
        items={name: np.stack(part["items"].to_numpy()) for name, part in by_model.items()},
        hits={name: np.stack(part["hits"].to_numpy()) for name, part in by_model.items()},
        num_candidates=None if blend is None else np.stack(blend["num_candidates"].to_numpy()),
        num_met=None if blend is None else np.stack(blend["num_met"].to_numpy()),
        scores=None if blend is None else np.stack(blend["scores"].to_numpy()),
    )


def list_rows(
    catalogue: Catalogue, batch: Batch, sources: Mapping[str, Source], length: int, repeat: bool, ranker: Ranker | None
) -> pd.DataFrame:
    """Each model's list for each user of a block. Grain: user and model."""
    popular_scores = allowed_scores(catalogue, batch, repeat, {"popular": popular})["popular"]
    scores = allowed_scores(catalogue, batch, repeat, sources)
    lists = {name: _filled_list(values, popular_scores, length) for name, values in scores.items()}
    relevant = to_find(batch, repeat)
    found: dict[str, list[NDArray]] = {}
    if ranker is not None:
        by_trees = ranker.score_by_trees(catalogue, batch)
        scored = ranker.read_short_lists(catalogue, batch, by_trees)
        others = {f"{BLEND} without {name}": rules for name, rules in ranker.rules.without_each().items()}
        for name, rules in {BLEND: ranker.rules, **others}.items():
            order = ranker.order(catalogue, batch, scored, rules, length)
            lists[name] = _places(scored.candidates.items, order, length, -1)
            if name == BLEND:
                scores_shown = _places(scored.scores, order, length, np.nan)
        if ranker.model.short_list is not None:
            order = ranker.order(catalogue, batch, by_trees, ranker.rules, length)
            lists[f"{BLEND} without cross_match"] = _places(by_trees.candidates.items, order, length, -1)
        num, met = found_by_source(scored.candidates, relevant)
        found = {"num_candidates": list(num), "num_met": list(met), "scores": list(scores_shown)}
    known, num_relevant = np.diff(batch.weights.indptr) > 0, relevant.sum(axis=1)
    num_new = relevant[:, catalogue.is_new].sum(axis=1)
    nothing = {"num_candidates": None, "num_met": None, "scores": None}
    frames = []
    for name, items in lists.items():
        hits = np.take_along_axis(relevant, np.maximum(items, 0), axis=1) & (items >= 0)
        frames.append(
            pd.DataFrame(
                {"user_id": batch.user_ids, "known": known, "num_relevant": num_relevant, "num_new": num_new, "model": name,
                 "items": list(items), "hits": list(hits.astype(np.int32)), **(found if name == BLEND else nothing)}
            )[num_relevant > 0]
        )  # fmt: skip
    return pd.concat(frames)


def found_by_source(candidates: Candidates, relevant: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Candidates of each source and, last, of all together, and how many of them are relevant, by user: [B, S + 1] each."""
    users, hit = candidates.users, relevant[candidates.users, candidates.items]
    masks = [*candidates.proposed.T, np.ones(len(users), bool)]
    num = [np.bincount(users[mask], minlength=len(relevant)) for mask in masks]
    met = [np.bincount(users[mask & hit], minlength=len(relevant)) for mask in masks]
    return np.stack(num, axis=1).astype(np.int32), np.stack(met, axis=1).astype(np.int32)


def _filled_list(scores: Floats, popular_scores: Floats, length: int) -> NDArray[np.int64]:
    """The best items by score, then by popularity where the score says nothing [B, length]; -1 where both end."""
    finite = np.where(np.isfinite(scores), scores, np.inf).min(axis=1, initial=np.inf)
    lowest = np.where(np.isfinite(finite), finite, 0)[:, None]
    most = max(float(np.where(np.isfinite(popular_scores), popular_scores, 0).max(initial=0)), 1e-9)
    combined = np.where(scores > NOT_PROPOSED, scores, lowest - 2 + popular_scores / most)
    order = best(combined, length)
    chosen = np.where(np.isfinite(np.take_along_axis(combined, order, axis=1)), order, -1)
    return _padded(chosen, length)


def _places(values: NDArray, order: list[NDArray[np.int64]], length: int, absent: float) -> NDArray:
    """Values of candidates [M] at the places of each user's list [B, length], filled up where it is shorter."""
    placed = np.full((len(order), length), absent, values.dtype)
    for user, positions in enumerate(order):
        placed[user, : len(positions)] = values[positions]
    return placed


def _padded(items: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    return np.pad(items, ((0, 0), (0, length - items.shape[1])), constant_values=-1)
