"""Recommendations as of a date: the top items of every known user, and lists for those of whom nothing is known."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from attune.config import AlsPoint, Config
from attune.models.store import ModelStore
from attune.recommend.batch import Batch
from attune.recommend.booster import RankingModel, read_model
from attune.recommend.catalogue import Catalogue
from attune.recommend.frequency import too_often_shown, with_capped
from attune.recommend.inputs import Inputs
from attune.recommend.ranking import Ranker
from attune.recommend.rerank import Rules
from attune.recommend.snapshot import Snapshot, take_snapshot, with_ease, with_factors, with_next_item
from attune.recommend.spread import over_blocks
from attune.recommend.users import strangers
from attune.tables import conform

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_SCHEMA = "user_id string, item_id string, score double, sources array<string>, reasons array<string>, rank int"


@contextmanager
def recommend(inputs: Inputs, settings: Config, store: ModelStore, cutoff: dt.date) -> "Iterator[DataFrame]":
    """Table recommendations as of a date: top-N of each user with history, and for strangers of each region and of none.

    A context, in which the frame can be written; what is kept in memory for it is freed at its end. Raises InputError
    where no ranker was trained or its folder is damaged, SettingsError where a rule or ``offer`` does not fit the items.
    """
    from pyspark.sql import functions as F

    rec = settings.recommend
    model = read_model(store.latest("ranker"))
    quotas, repeat, top_n = rec.num_candidates, rec.repeat, rec.top_n
    snapshot = ready_to_rank(inputs, settings, store, model, cutoff)
    try:
        rules = Rules.of(rec.rerank, snapshot.catalogue)

        def make() -> Callable[[Catalogue, Batch], pd.DataFrame]:
            ranker = Ranker(model, quotas, repeat, rules)
            return lambda catalogue, batch: ranker.recommend(catalogue, batch, top_n)

        rows = snapshot.rows.unionByName(strangers(snapshot.rows, snapshot.catalogue.regions))
        found = over_blocks(rows, snapshot.catalogue, make, _SCHEMA)
        yield conform(found.withColumn("as_of", F.lit(cutoff)), "recommendations")
    finally:
        snapshot.close()


def ready_to_rank(
    inputs: Inputs,
    settings: Config,
    store: ModelStore,
    model: RankingModel,
    cutoff: dt.date,
    end: dt.date | None = None,
) -> Snapshot:
    """The state as of a date with the choices that the model was trained with, and what the frequency cap leaves out.

    Raises SettingsError where there is a cap, but no table impressions, and InputError where a model is damaged.
    """
    folders = read_beside(model, store)
    capped = too_often_shown(inputs.impressions, settings.recommend.rerank.frequency_cap, cutoff)
    snapshot = take_snapshot(inputs, settings.recommend, cutoff, model.popularity_half_life_days, end)
    snapshot = with_capped(fitted(snapshot, model, settings, folders), capped)
    if "cross_match" in folders:
        catalogue = with_cross_match(snapshot.catalogue, folders["cross_match"], inputs, settings)
        snapshot = replace(snapshot, catalogue=catalogue)
    return snapshot


def read_beside(model: RankingModel, store: ModelStore) -> dict[str, Path]:
    """Folders of the models that the ranking reads beside its own, by task, verified before anything is computed.

    Raises InputError where one is damaged or absent.
    """
    versions = {"next_item": model.next_item, "cross_match": model.short_list and model.short_list.version}
    return {task: store.verified(task, version) for task, version in versions.items() if version}


def with_cross_match(catalogue: Catalogue, folder: Path, inputs: Inputs, settings: Config) -> Catalogue:
    """The catalogue with a stored cross-encoder, whose folder has been verified, and its items' texts; as it is without items."""
    from attune.recommend.cross_match import CrossMatchScores
    from attune.scoring.plan import scoring_of
    from attune.training.text_match import items_with_text

    if inputs.items is None:
        return catalogue
    described = items_with_text(inputs.items).where("text <> ''").select("item_id", "text")
    text_of = {row["item_id"]: row["text"] for row in described.collect()}
    texts = [text_of.get(item, "") for item in catalogue.item_ids]
    return replace(catalogue, cross_match=CrossMatchScores.of(scoring_of(str(folder), settings), texts))


def fitted(snapshot: Snapshot, model: RankingModel, settings: Config, folders: Mapping[str, Path]) -> Snapshot:
    """The snapshot with what is learned from its interactions, by the settings that the model was trained with.

    ``folders``: ``read_beside``.
    """
    if model.ease_regularisation is not None:
        snapshot = with_ease(snapshot, model.ease_regularisation)
    if "next_item" in folders:
        snapshot = with_next_item(snapshot, folders["next_item"])
    return with_factors(snapshot, AlsPoint(**model.als), settings.recommend, settings.seed)
