"""Measure the blend beside its sources on the last period, held out by time.

Everything is fitted to events before ``test_start``. Relevant are the items that a user acts on from then to ``as_of``, but
for those left out of every list (already bought). Every model ranks the whole catalogue for the same users.
"""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit

from attune.config import Config
from attune.errors import InputError
from attune.evaluation.bootstrap import bootstrap_known_means, bootstrap_means
from attune.evaluation.metrics import METRICS, coverage, exposure, intra_list_diversity, novelty, popularity_of_lists
from attune.models.store import ModelStore
from attune.recommend.booster import read_model
from attune.recommend.catalogue import Catalogue
from attune.recommend.exposure import NEW, TAIL, item_groups
from attune.recommend.fairness import gaps_at, group_rows, user_groups
from attune.recommend.inputs import Inputs
from attune.recommend.measured import ALL_SOURCES, BLEND, Lists, measured_lists
from attune.recommend.reasons import NO_REASON
from attune.recommend.recommend import ready_to_rank
from attune.recommend.rerank import Rules
from attune.recommend.sources import SOURCES
from attune.recommend.verified import first_reasons
from attune.tables import conform
from attune.training.calibration import expected_calibration_error

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

BASELINES = ("popular", "als", "ease", "covisit", "next_item", "text")
CANDIDATE_RECALL = "candidate_recall"
EXPOSURE = "exposure:"
"""Start of the metric; the group of items follows."""
_CHOOSING_K = 10
_WITHOUT = f"{BLEND} without "
_START = r"^(\S+ \S+)"
"""Of a reason: what it says, without what it names."""
_USERS_OF_REASONS = 500
"""Users, sampled by seed, whose reasons are verified."""


@dataclass(frozen=True)
class Evaluated:
    """Table evaluation, and the figures that matter most."""

    evaluation: "DataFrame"
    metrics: dict[str, object]


def evaluate(inputs: Inputs, settings: Config, store: ModelStore) -> Evaluated:
    """Measure the latest ranker and its baselines on the held-out period.

    Raises InputError where no ranker was trained, or where nobody acted on anything new in the held-out period.
    """
    from pyspark.sql import functions as F

    began = time.monotonic()
    rec = settings.recommend
    model = read_model(store.latest("ranker"))
    snapshot = ready_to_rank(inputs, settings, store, model, settings.test_start, settings.as_of)
    try:
        rules = Rules.of(rec.rerank, snapshot.catalogue)
        built = snapshot.catalogue
        needed = {"text": built.vectors, "ease": built.linear, "next_item": built.next_item}
        absent = {name for name, part in needed.items() if part is None}
        baselines = {name: SOURCES[name] for name in BASELINES if name not in absent}
        lists = measured_lists(
            snapshot.rows,
            snapshot.catalogue,
            baselines,
            max(settings.evaluate.k),
            rec.num_candidates,
            rec.repeat,
            model,
            rules,
        )
        groups = user_groups(snapshot.rows, inputs, settings.test_start)
        some = snapshot.rows.orderBy(F.xxhash64(F.lit(settings.seed), "user_id")).limit(_USERS_OF_REASONS)
        why = first_reasons(some, snapshot.catalogue, model, rec.num_candidates, rec.repeat, rec.top_n, rules)
        num_held_out, catalogue = snapshot.rows.count(), snapshot.catalogue
    finally:
        snapshot.close()
    if not len(lists.user_ids):
        raise InputError(
            f"the held-out period {settings.test_start} to {settings.as_of} holds no action to measure: "
            "give events up to as_of, or set split.test_days to fit the log"
        )
    rows = evaluation_rows(lists, catalogue, settings, groups)
    frame = inputs.events.sparkSession.createDataFrame(rows)
    metrics = headline(rows) | {
        "users_measured": len(lists.user_ids),
        "users_acting": num_held_out,
        "users_new": int((~lists.known).sum()),
        "items_offered": int(catalogue.offered.sum()),
        "reasons": {
            "rows": len(why),
            "given": round(float((why["reason"] != NO_REASON).mean()), 4),
            "from_history": round(float(why["from_history"].mean()), 4),
            "score_lower_without": round(float(why["is_lower"].mean()), 4),
            "score_lower_without_by_text": {
                text: [len(part), round(float(part["is_lower"].mean()), 4)]
                for text, part in why.groupby(why["reason"].str.extract(_START)[0])
            },
        },
        "calibration": calibration(lists, rec.top_n, None if model.short_list else model.calibration),
        "seconds": round(time.monotonic() - began, 1),
    }
    return Evaluated(conform(frame, "evaluation"), metrics)


def calibration(lists: Lists, top_n: int, by: tuple[float, float] | None) -> dict[str, float]:
    """How far the scores of what is shown are from the share that is acted on, see ``expected_calibration_error``.

    ``error_before`` is that of the trees' own probabilities, before the calibration ``by`` slope and intercept; it is not told
    (None) where another model has a say in the scores.
    """
    assert lists.scores is not None
    scores, hits = lists.scores[:, :top_n], lists.hits[BLEND][:, :top_n]
    shown = np.isfinite(scores)
    given, acted = scores[shown], hits[shown].astype(np.float64)
    found = {
        "num": len(given), "mean_score": given.mean(), "share_acted_on": acted.mean(),
        "error": expected_calibration_error(given, acted),
    }  # fmt: skip
    if by is not None:
        found["error_before"] = expected_calibration_error(expit((logit(given) - by[1]) / by[0]), acted)
    return {name: round(float(value), 5) for name, value in found.items()}


def evaluation_rows(lists: Lists, catalogue: Catalogue, settings: Config, groups: pd.DataFrame) -> pd.DataFrame:
    """Rows of table evaluation. Grain: model, metric, length of the list, slice of the users, and baseline it is against.

    ``groups``: as fairness.user_groups.
    """
    slices = {"all": np.ones(len(lists.known), bool), "known_users": lists.known, "new_users": ~lists.known}
    rows: list[dict[str, object]] = []
    for name, chosen in slices.items():
        if chosen.any():
            rows += _slice_rows(lists, chosen, settings, name)
            rows += _list_rows(lists, chosen, catalogue, settings, name)
            rows += _recall_rows(lists, chosen, settings, name)
    if (meets_new := lists.num_new > 0).any():
        rows += _slice_rows(lists.of_new_items(catalogue.is_new), meets_new, settings, "new_items")
    rows += group_rows(lists, groups, settings)
    types = {"against": object}
    return pd.DataFrame(rows).assign(task="recommend", as_of=settings.test_start).astype(types)


def _slice_rows(lists: Lists, chosen: NDArray[np.bool_], settings: Config, name: str) -> list[dict[str, object]]:
    """How well lists hit what users went on to choose."""
    keys: list[tuple[str, str, int, str | None]] = []
    columns = []
    for k in settings.evaluate.k:
        for metric, measure in METRICS.items():
            values = {model: measure(hits[chosen], lists.num_relevant[chosen], k) for model, hits in lists.hits.items()}
            keys += [(model, metric, k, None) for model in values]
            columns += list(values.values())
            if BLEND in values:
                others = [model for model in values if model != BLEND]
                keys += [(BLEND, metric, k, model) for model in others]
                columns += [values[BLEND] - values[model] for model in others]
    intervals = bootstrap_means(np.stack(columns, axis=1), settings.evaluate.bootstrap_samples, settings.seed)
    num = int(chosen.sum())
    rows: list[dict[str, object]] = [
        {"model": model, "metric": metric, "k": k, "slice": name, "value": i.value, "low": i.low, "high": i.high, "num": num,
         "against": against}
        for (model, metric, k, against), i in zip(keys, intervals, strict=True)
    ]  # fmt: skip
    return rows


def _list_rows(
    lists: Lists, chosen: NDArray[np.bool_], catalogue: Catalogue, settings: Config, name: str
) -> list[dict[str, object]]:
    """What lists are like, whatever users chose: how much of the catalogue they show, how popular, new and unlike it is.

    Of new items, those of the tail and the groups of recommend.rerank.min_exposure: how much of the exposure they get.
    """
    actors = catalogue.actors
    shares = dict.fromkeys([NEW, TAIL, *settings.recommend.rerank.min_exposure])
    members = dict(zip(shares, item_groups(catalogue, shares), strict=True))
    rows: list[dict[str, object]] = []
    told, columns = [], []
    for model, items in lists.items.items():
        for k in settings.evaluate.k:
            of_users = {
                "novelty": novelty(items[chosen], actors, k),
                "popularity": popularity_of_lists(items[chosen], actors, k),
                **{f"{EXPOSURE}{group}": exposure(items[chosen], of_it, k) for group, of_it in members.items()},
            }
            if catalogue.vectors is not None:
                of_users["diversity"] = intra_list_diversity(items[chosen], catalogue.vectors, k)
            row = {"model": model, "k": k, "slice": name, "low": None, "high": None, "against": None}
            share = coverage(items[chosen], int(catalogue.offered.sum()), k)
            rows.append({**row, "metric": "coverage", "value": share, "num": int(chosen.sum())})
            told += [{**row, "metric": metric} for metric in of_users]
            columns += list(of_users.values())
    found = bootstrap_known_means(columns, settings.evaluate.bootstrap_samples, settings.seed)
    rows += [{**row, **vars(i[0]), "num": i[1]} for row, i in zip(told, found, strict=True) if i]
    return rows


def _recall_rows(lists: Lists, chosen: NDArray[np.bool_], settings: Config, name: str) -> list[dict[str, object]]:
    """Of what users went on to choose, the share among each source's candidates; k is their number, the mean of it for all."""
    if lists.num_candidates is None or lists.num_met is None:
        return []
    shares = lists.num_met[chosen] / lists.num_relevant[chosen, None]
    intervals = bootstrap_means(shares, settings.evaluate.bootstrap_samples, settings.seed)
    lengths = lists.num_candidates[chosen].mean(axis=0).round().astype(int).tolist()
    return [
        {"model": source, "metric": CANDIDATE_RECALL, "k": k, "slice": name, "value": i.value, "low": i.low, "high": i.high,
         "num": int(chosen.sum()), "against": None}
        for source, k, i in zip((*SOURCES, ALL_SOURCES), lengths, intervals, strict=True)
    ]  # fmt: skip


def headline(rows: pd.DataFrame) -> dict[str, object]:
    """nDCG at 10 (or the length nearest to it) of every model over all users, and the blend against the best baseline."""
    ndcg = rows[rows["metric"] == "ndcg"]
    k = int(min(ndcg["k"].unique(), key=lambda length: abs(length - _CHOOSING_K)))
    measured = ndcg[ndcg["k"] == k]
    at_k = measured[measured["slice"] == "all"]
    plain = at_k[at_k["against"].isna()].set_index("model")
    best = plain[~plain.index.str.startswith(BLEND)]["value"].idxmax()
    found: dict[str, object] = {
        f"ndcg@{k}": {model: _interval(row) for model, row in plain.iterrows()},
        "best_baseline": best,
    }
    for name in ("new_users", "new_items"):
        cold = measured[(measured["slice"] == name) & measured["against"].isna()]
        if len(cold):
            found[f"ndcg@{k}_{name}"] = {row["model"]: _interval(row) for _, row in cold.iterrows()}
    costs = at_k[at_k["against"].str.startswith(_WITHOUT, na=False)]
    if len(costs):
        found["gain_of_rules"] = {row["against"].removeprefix(_WITHOUT): _interval(row) for _, row in costs.iterrows()}
    shares = rows[(rows["k"] == k) & (rows["slice"] == "all") & rows["metric"].str.startswith(EXPOSURE)]
    if len(shares := shares[shares["model"].str.startswith(BLEND)]):
        found[f"exposure@{k}"] = {
            group.removeprefix(EXPOSURE): {row["model"]: _interval(row) for _, row in part.iterrows()}
            for group, part in shares.groupby("metric")
        }
    if gaps := gaps_at(rows, k):
        found[f"ndcg@{k}_gap"] = gaps
    difference = at_k[at_k["against"] == best]
    if len(difference):
        found["blend_minus_best"] = _interval(difference.iloc[0])
        found["blend_over_best"] = round(float(plain.loc[BLEND, "value"] / plain.loc[best, "value"]), 4)
    return found


def _interval(row: pd.Series) -> dict[str, float]:
    return {name: round(float(row[name]), 5) for name in ("value", "low", "high")}
