"""Train the ranking model: choose popularity's half-life, the ALS point and the number of rounds on the validation period."""

import datetime as dt
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from attune.config import AlsPoint, Config
from attune.errors import InputError
from attune.evaluation.metrics import ndcg
from attune.models.store import ModelStore
from attune.recommend.booster import Chosen, Groups, RankingModel, TreeSettings, choose_rounds, fit_booster, joined
from attune.recommend.catalogue import Catalogue
from attune.recommend.examples import labelled_candidates
from attune.recommend.inputs import Inputs
from attune.recommend.measured import measured_lists
from attune.recommend.popular import named
from attune.recommend.recommend import fitted, read_beside, with_cross_match
from attune.recommend.short_list import ShortList
from attune.recommend.short_list_fit import fit_short_list
from attune.recommend.snapshot import Snapshot, take_snapshot, with_ease, with_factors, with_next_item
from attune.recommend.sources import Source, als, by_popularity, ease, popular_by

TASK = "ranker"
_TUNING_K = 10


@dataclass(frozen=True)
class TrainedRanker:
    """Where the model lies, and what was measured on the way."""

    folder: Path
    metrics: dict[str, object]


def train_ranker(
    inputs: Inputs,
    settings: Config,
    store: ModelStore,
    version: str,
    log: Callable[[str], None] = lambda _: None,
    data_versions: Mapping[str, int] | None = None,
) -> TrainedRanker:
    """Learn to rank from the periods before ``settings.test_start``, store the model as ``ranker`` and make it the latest.

    ``data_versions``: of the tables that ``inputs`` are, to be kept with the model.

    Raises InputError where nobody acted in the validation period on anything that the sources propose.
    """
    rec, starts = settings.recommend, settings.cutoffs
    began = time.monotonic()
    model, catalogue, groups, metrics = _tune(inputs, settings, store, log)
    columns, valid = groups
    earlier = []
    for start, end in pairwise(starts[: rec.ranker.periods]):
        found, group = _groups_of(inputs, settings, store, start, end, model)
        if len(group.sizes):
            earlier.append(group.select(found, columns))
        log(f"period from {start}: {len(group.sizes):,} users, {len(group.labels):,} candidates")
    trees = TreeSettings(rec.ranker.num_rounds, rec.ranker.learning_rate, rec.ranker.num_leaves, settings.seed)
    chosen = choose_rounds(earlier, valid, columns, trees)
    to_learn = [*earlier, valid.of_users(valid.has_hit)]
    booster = fit_booster(joined(to_learn), columns, replace(trees, num_rounds=chosen.rounds))
    short_list, told = _short_list(inputs, settings, store, catalogue, chosen, log)
    model = replace(
        model, trees=booster.model_to_string(), columns=tuple(columns), calibration=chosen.calibration, short_list=short_list
    )  # fmt: skip
    gain = booster.feature_importance("gain")
    strongest = np.argsort(-gain)[:20]
    metrics |= told | {
        "rounds": chosen.rounds,
        "valid_ndcg_by_round": chosen.ndcg_by_round,
        "calibration": [round(value, 4) for value in chosen.calibration],
        "users": int(sum(len(g.sizes) for g in to_learn)),
        "candidates": int(sum(len(g.labels) for g in to_learn)),
        "gain_share": {columns[i]: round(float(gain[i] / max(gain.sum(), 1e-9)), 4) for i in strongest},
        "seconds": round(time.monotonic() - began, 1),
    }
    card = {"settings": rec.model_dump(), "metrics": metrics, "cutoffs": [str(day) for day in starts],
            "data_versions": dict(data_versions or {})}  # fmt: skip
    folder = store.save(TASK, version, model.write, card)
    store.promote(TASK, version)
    return TrainedRanker(folder, metrics)


def _tune(
    inputs: Inputs, settings: Config, store: ModelStore, log: Callable[[str], None]
) -> tuple[RankingModel, Catalogue, tuple[list[str], Groups], dict[str, object]]:
    """Choices made on the validation period, with its catalogue and its candidates to learn from."""
    rec = settings.recommend
    snapshot = take_snapshot(inputs, rec, settings.valid_start, rec.popular.half_lives_days[0], settings.test_start)
    try:
        half_life, by_half_life = _best_half_life(snapshot, settings)
        log(f"popular: half-life {half_life:g} days of {by_half_life}")
        ((_, column),) = named([half_life])
        snapshot = replace(snapshot, catalogue=by_popularity(snapshot.catalogue, f"item_{column}"))
        point, best, by_point = _best_point(snapshot, settings)
        log(f"als: {point} of {by_point}")
        regularisation, best, by_regularisation = _best_ease(best, settings)
        log(f"ease: regularisation {regularisation:g} of {by_regularisation}")
        model = RankingModel("", (), point.model_dump(), half_life, regularisation, _next_item_version(settings, store))
        if model.next_item is not None:
            best = with_next_item(best, store.verified("next_item", model.next_item))
        columns, groups = _candidates(best, settings, everyone=True)
        log(
            f"validation period from {settings.valid_start}: {len(groups.sizes):,} users, {len(groups.labels):,} candidates"
        )
    finally:
        snapshot.close()
    if not groups.has_hit.any():
        raise InputError(
            f"the validation period {settings.valid_start} to {settings.test_start} holds no action to learn from: "
            "give events up to as_of, or set split.valid_days and split.test_days to fit the log"
        )
    tried: dict[str, object] = {
        "popular": by_half_life,
        "als": by_point,
        "als_point": point.model_dump(),
        "ease": by_regularisation,
    }
    return model, best.catalogue, (columns, groups), tried


def _next_item_version(settings: Config, store: ModelStore) -> str | None:
    """The next-item model in use, where it is wanted and has passed its gate."""
    wanted = settings.train.next_item.enabled and store.has_latest("next_item")
    return store.latest("next_item").name if wanted else None


def _short_list(
    inputs: Inputs, settings: Config, store: ModelStore, catalogue: Catalogue, chosen: Chosen, log: Callable[[str], None]
) -> tuple[ShortList | None, dict[str, object]]:  # fmt: skip
    """How the cross-encoder in use takes part, where it is wanted, has passed its gate and betters the order; metrics of it."""
    if not settings.train.cross_match.enabled or not store.has_latest("cross_match"):
        return None, {}
    folder = store.latest("cross_match")
    pairs = with_cross_match(catalogue, folder, inputs, settings).cross_match
    if pairs is None:
        return None, {}
    found = fit_short_list(
        chosen.groups, chosen.odds, pairs.log_odds, folder.name, settings.recommend.short_list, settings.seed
    )
    log(f"cross_match reads the short lists: {'yes' if found.short_list else 'no'}: {found.metrics}")
    return found.short_list, {"cross_match": found.metrics}


def _groups_of(
    inputs: Inputs, settings: Config, store: ModelStore, start: dt.date, end: dt.date, model: RankingModel
) -> tuple[list[str], Groups]:
    rec = settings.recommend
    snapshot = take_snapshot(inputs, rec, start, model.popularity_half_life_days, end)
    try:
        return _candidates(fitted(snapshot, model, settings, read_beside(model, store)), settings)
    finally:
        snapshot.close()


def _candidates(snapshot: Snapshot, settings: Config, everyone: bool = False) -> tuple[list[str], Groups]:
    from pyspark.sql import functions as F

    rec = settings.recommend
    sampled = snapshot.rows.orderBy(F.xxhash64(F.lit(settings.seed), "user_id")).limit(rec.ranker.max_users)
    return labelled_candidates(sampled, snapshot.catalogue, rec.num_candidates, rec.repeat, everyone)


def _best_half_life(snapshot: Snapshot, settings: Config) -> tuple[float, dict[str, float]]:
    columns = {days: f"item_{name}" for days, name in named(settings.recommend.popular.half_lives_days)}
    found = _mean_ndcg(snapshot, {column: popular_by(column) for column in columns.values()}, settings)
    best = max(columns, key=lambda days: found.get(columns[days], 0))
    return best, {f"{days:g}d": found.get(column, 0.0) for days, column in columns.items()}


def _best_point(snapshot: Snapshot, settings: Config) -> tuple[AlsPoint, Snapshot, dict[str, float]]:
    tried = []
    for point in settings.recommend.als.grid:
        factors = with_factors(snapshot, point, settings.recommend, settings.seed)
        tried.append((point, factors, _mean_ndcg(factors, {"als": als}, settings).get("als", 0.0)))
    point, factors, _ = max(tried, key=lambda found: found[2])
    return point, factors, {f"rank {p.rank}, reg {p.reg:g}, alpha {p.alpha:g}": value for p, _, value in tried}


def _best_ease(snapshot: Snapshot, settings: Config) -> tuple[float, Snapshot, dict[str, float]]:
    tried = []
    for regularisation in settings.recommend.ease.grid:
        linear = with_ease(snapshot, regularisation)
        tried.append((regularisation, linear, _mean_ndcg(linear, {"ease": ease}, settings).get("ease", 0.0)))
    regularisation, linear, _ = max(tried, key=lambda found: found[2])
    return regularisation, linear, {f"{value:g}": found for value, _, found in tried}


def _mean_ndcg(snapshot: Snapshot, sources: Mapping[str, Source], settings: Config) -> dict[str, float]:
    """Mean nDCG of some sources on the validation period; empty where nobody can be measured."""
    rec = settings.recommend
    lists = measured_lists(snapshot.rows, snapshot.catalogue, sources, _TUNING_K, rec.num_candidates, rec.repeat)
    return {
        name: round(float(ndcg(hits, lists.num_relevant, _TUNING_K).mean()), 5) for name, hits in lists.hits.items()
    }
