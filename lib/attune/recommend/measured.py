"""The list that each model gives each held-out user, over the whole catalogue and under the same left-out items."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attune.recommend.batch import Batch
from attune.recommend.booster import RankingModel
from attune.recommend.catalogue import Catalogue, Floats
from attune.recommend.ranking import Ranked, Ranker
from attune.recommend.rerank import Rules
from attune.recommend.retrieval import allowed_scores, best, retrieve
from attune.recommend.sources import NOT_PROPOSED, Source, popular
from attune.recommend.spread import over_blocks

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

BLEND, ALL_SOURCES = "blend", "candidates"
_SCHEMA = (
    "user_id string, known boolean, num_relevant int, num_new int, model string, items array<int>, hits array<int>"
)

# Shape legend: U users, B users of a block, L places of a list.


@dataclass(frozen=True)
class Lists:
    """Lists of all models for the same users in the same order."""

    user_ids: NDArray[np.object_]  # [U]
    known: NDArray[np.bool_]  # [U]; whether the user had any action before the cut-off
    num_relevant: NDArray[np.int64]  # [U]
    num_new: NDArray[np.int64]  # [U]; of these, the items that nobody had acted on before the cut-off
    items: Mapping[str, NDArray[np.int64]]  # by model [U, L]; -1 where a list is shorter
    hits: Mapping[str, NDArray[np.int64]]  # by model [U, L]; 1 where the item is relevant

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

    Of each rule that is set there is a ``blend without`` it, too.
    A source that has less to say of a user than the list has places is filled up with popular items. Users whose items
    are all left out are not measured.
    """

    def make():  # type: ignore[no-untyped-def]
        by_name = {BLEND: rules or Rules()}
        by_name |= {f"{BLEND} without {name}": others for name, others in by_name[BLEND].without_each().items()}
        rankers = {name: Ranker(model, quotas, repeat, own) for name, own in by_name.items()} if model else {}
        return lambda catalogue, batch: list_rows(catalogue, batch, sources, length, repeat, rankers)

    collected: pd.DataFrame = over_blocks(rows, catalogue, make, _SCHEMA).toPandas()  # type: ignore[assignment]
    found = collected.sort_values("user_id")
    by_model = {name: part for name, part in found.groupby("model")}
    one = next(iter(by_model.values()), found)
    return Lists(
        user_ids=one["user_id"].to_numpy(object),
        known=one["known"].to_numpy(bool),
        num_relevant=one["num_relevant"].to_numpy(np.int64),
        num_new=one["num_new"].to_numpy(np.int64),
        items={name: np.stack(part["items"].to_numpy()) for name, part in by_model.items()},
        hits={name: np.stack(part["hits"].to_numpy()) for name, part in by_model.items()},
    )


def list_rows(
    catalogue: Catalogue,
    batch: Batch,
    sources: Mapping[str, Source],
    length: int,
    repeat: bool,
    rankers: Mapping[str, Ranker],
) -> pd.DataFrame:
    """Each model's list for each user of a block. Grain: user and model."""
    popular_scores = allowed_scores(catalogue, batch, repeat, {"popular": popular})["popular"]
    scores = allowed_scores(catalogue, batch, repeat, sources)
    lists = {name: _filled_list(values, popular_scores, length) for name, values in scores.items()}
    lists |= {name: _places(ranker.rank(catalogue, batch, length), length) for name, ranker in rankers.items()}
    relevant = _relevant(batch, repeat)
    known, num_relevant = np.diff(batch.weights.indptr) > 0, relevant.sum(axis=1)
    num_new = relevant[:, catalogue.is_new].sum(axis=1)
    frames = []
    for name, items in lists.items():
        hits = np.take_along_axis(relevant, np.maximum(items, 0), axis=1) & (items >= 0)
        frames.append(
            pd.DataFrame(
                {"user_id": batch.user_ids, "known": known, "num_relevant": num_relevant, "num_new": num_new, "model": name,
                 "items": list(items), "hits": list(hits.astype(np.int32))}
            )[num_relevant > 0]
        )  # fmt: skip
    return pd.concat(frames)


def candidate_recall(rows: "DataFrame", catalogue: Catalogue, quotas: Mapping[str, int], repeat: bool) -> pd.DataFrame:
    """What the ranking model gets to choose from: columns user_id, known, source, num and recall. Grain: user and source.

    ``num`` counts the candidates of a source, ``recall`` is the share of the user's relevant items among them;
    source ``candidates`` stands for all of them together. Users without relevant items are left out.
    """

    def make():  # type: ignore[no-untyped-def]
        return lambda catalogue, batch: recall_of_block(catalogue, batch, quotas, repeat)

    schema = "user_id string, known boolean, source string, num int, recall double"
    found: pd.DataFrame = over_blocks(rows, catalogue, make, schema).toPandas()  # type: ignore[assignment]
    return found.sort_values(["source", "user_id"], ignore_index=True)


def recall_of_block(catalogue: Catalogue, batch: Batch, quotas: Mapping[str, int], repeat: bool) -> pd.DataFrame:
    """``candidate_recall`` of a block of users."""
    candidates, relevant = retrieve(catalogue, batch, quotas, repeat), _relevant(batch, repeat)
    num_relevant, known = relevant.sum(axis=1), np.diff(batch.weights.indptr) > 0
    hit = relevant[candidates.users, candidates.items]
    masks = {name: candidates.proposed[:, place] for place, name in enumerate(candidates.sources)}
    frames = []
    for name, mask in {**masks, ALL_SOURCES: np.ones(len(hit), bool)}.items():
        num = np.bincount(candidates.users[mask], minlength=len(batch))
        hits = np.bincount(candidates.users[mask & hit], minlength=len(batch))
        columns = {"user_id": batch.user_ids, "known": known, "source": name, "num": num.astype(np.int32)}
        measured = num_relevant > 0
        frames.append(pd.DataFrame({**columns, "recall": hits / np.maximum(num_relevant, 1)})[measured])
    return pd.concat(frames)


def _relevant(batch: Batch, repeat: bool) -> NDArray[np.bool_]:
    """Items [B, N] that each user goes on to act on, but for those left out."""
    relevant: NDArray[np.bool_] = batch.labels.toarray() > 0
    return relevant if repeat else relevant & (batch.bought.toarray() == 0)


def _filled_list(scores: Floats, popular_scores: Floats, length: int) -> NDArray[np.int64]:
    """The best items by score, then by popularity where the score says nothing [B, length]; -1 where both end."""
    finite = np.where(np.isfinite(scores), scores, np.inf).min(axis=1, initial=np.inf)
    lowest = np.where(np.isfinite(finite), finite, 0)[:, None]
    most = max(float(np.where(np.isfinite(popular_scores), popular_scores, 0).max(initial=0)), 1e-9)
    combined = np.where(scores > NOT_PROPOSED, scores, lowest - 2 + popular_scores / most)
    order = best(combined, length)
    chosen = np.where(np.isfinite(np.take_along_axis(combined, order, axis=1)), order, -1)
    return _padded(chosen, length)


def _places(ranked: Ranked, length: int) -> NDArray[np.int64]:
    items = np.full((len(ranked.order), length), -1, np.int64)
    for user, positions in enumerate(ranked.order):
        items[user, : len(positions)] = ranked.candidates.items[positions]
    return items


def _padded(items: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    return np.pad(items, ((0, 0), (0, length - items.shape[1])), constant_values=-1)
