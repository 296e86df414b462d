"""The ranking model: gradient-boosted trees that say how likely a user is to act on a candidate."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from attune.recommend.catalogue import Floats
from attune.recommend.short_list import ShortList
from attune.training.calibration import fit_calibration

if TYPE_CHECKING:
    import lightgbm

_MODEL_FILE = "ranker.txt"
_FEATURES_FILE = "features.json"
_ROWS_PER_THREAD = 500_000
"""Threads wait for each other at every leaf: with few rows each, more of them are slower on a machine that is not idle."""


@dataclass(frozen=True)
class Groups:
    """Candidates of several users to learn from: M candidates, K features, Q users."""

    features: Floats  # [M, K]
    labels: NDArray[np.int8]  # [M]; 1 acted on
    sizes: NDArray[np.int64]  # [Q]; candidates of each user, in order
    items: NDArray[np.int64] | None = None  # [M]; index of the candidate in the catalogue of the period
    anchors: NDArray[np.int64] | None = None  # [Q]; index of the item that the user acted on last, -1 without history

    def select(self, found: Sequence[str], wanted: Sequence[str]) -> "Groups":
        """The same with the features in another order; NaN for those that are not there."""
        features = np.full((len(self.features), len(wanted)), np.nan, np.float32)
        for target, name in enumerate(wanted):
            if name in found:
                features[:, target] = self.features[:, list(found).index(name)]
        return replace(self, features=features)

    def of_users(self, chosen: NDArray[np.bool_]) -> "Groups":
        """The candidates of some users [Q]."""
        of_row = np.repeat(chosen, self.sizes)
        return Groups(
            self.features[of_row],
            self.labels[of_row],
            self.sizes[chosen],
            None if self.items is None else self.items[of_row],
            None if self.anchors is None else self.anchors[chosen],
        )

    @property
    def has_hit(self) -> NDArray[np.bool_]:
        """Whether a user acted on any of his candidates [Q]; without, there is no order to learn."""
        users = np.repeat(np.arange(len(self.sizes)), self.sizes)
        found: NDArray[np.bool_] = np.bincount(users, self.labels, len(self.sizes)) > 0
        return found


@dataclass(frozen=True)
class TreeSettings:
    """Settings of the trees, as plain values."""

    num_rounds: int
    learning_rate: float
    num_leaves: int
    seed: int


def fit_booster(groups: Groups, columns: list[str], trees: TreeSettings) -> "lightgbm.Booster":
    """Train on whether each candidate was acted on, by cross-entropy. Deterministic given the seed and the order of the rows.

    Cross-entropy ordered candidates better than LambdaRank (Burges 2010, MSR-TR-2010-82) where both were tried, and its
    nDCG hardly depends on the number of rounds.
    """
    import lightgbm

    data = lightgbm.Dataset(
        groups.features, groups.labels, group=groups.sizes, feature_name=columns, free_raw_data=True
    )
    return lightgbm.train(_parameters(trees, len(groups.labels)), data, trees.num_rounds)


def _parameters(trees: TreeSettings, num_rows: int) -> dict[str, object]:
    return {
        "objective": "binary",
        "learning_rate": trees.learning_rate,
        "num_leaves": trees.num_leaves,
        "min_data_in_leaf": 50,
        "feature_fraction": 0.6,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "lambda_l2": 5.0,
        "seed": trees.seed,
        "deterministic": True,
        "num_threads": min(os.cpu_count() or 1, 1 + num_rows // _ROWS_PER_THREAD),
        "force_col_wise": True,
        "verbose": -1,
    }


@dataclass(frozen=True)
class RankingModel:
    """A trained ranking model with all that scoring needs to know; small enough to travel to every worker."""

    trees: str  # LightGBM's text format
    columns: tuple[str, ...]
    als: dict[str, Any]  # rank, reg and alpha chosen on the validation period
    popularity_half_life_days: float  # chosen on the validation period
    ease_regularisation: float | None = None  # chosen on the validation period; None: trained without EASE
    next_item: str | None = None  # version of the next-item model; None: trained without one
    calibration: tuple[float, float] = (1.0, 0.0)  # slope and intercept from the trees' log odds to those that are told
    short_list: ShortList | None = None  # None: the trees alone decide

    def booster(self) -> "lightgbm.Booster":
        """The model ready to score."""
        import lightgbm

        return lightgbm.Booster(model_str=self.trees)

    def write(self, folder: Path) -> None:
        """Store as two text files."""
        (folder / _MODEL_FILE).write_text(self.trees, encoding="utf-8")
        rest = {name: value for name, value in asdict(self).items() if name != "trees"}
        (folder / _FEATURES_FILE).write_text(json.dumps(rest, indent=2) + "\n", encoding="utf-8")


def read_model(folder: Path) -> RankingModel:
    """A stored ranking model; the folder has been verified by the store."""
    rest = json.loads((folder / _FEATURES_FILE).read_text(encoding="utf-8"))
    rest |= {name: tuple(rest[name]) for name in ("columns", "calibration") if name in rest}
    if rest.get("short_list"):
        rest["short_list"] = ShortList(**rest["short_list"])
    return RankingModel((folder / _MODEL_FILE).read_text(encoding="utf-8"), **rest)


def joined(parts: list[Groups]) -> Groups:
    """Groups of several periods, one after the other; items do not take part, since each period has its own catalogue."""
    return Groups(
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.sizes for part in parts]),
    )


@dataclass(frozen=True)
class Chosen:
    """What is chosen on users that trees did not learn from."""

    rounds: int
    calibration: tuple[float, float]  # slope and intercept, see RankingModel
    ndcg_by_round: dict[int, float]  # every tenth value
    groups: Groups  # these users
    odds: NDArray[np.float64]  # calibrated log odds of their candidates


def choose_rounds(earlier: list[Groups], valid: Groups, columns: list[str], trees: TreeSettings) -> Chosen:
    """Number of boosting rounds with the best nDCG at 10 on the last period, having learned from the earlier ones.

    Without earlier periods a fifth of the users is kept aside instead. The curve is smoothed, since neighbouring rounds
    differ by chance. There the log odds are calibrated, too, on all users that are given, those without a hit included: the
    trees learn only from users with one, and would promise too much.
    """
    import lightgbm

    learn, everyone = (joined(earlier), valid) if earlier else _fifth_aside(valid)
    check = everyone.of_users(everyone.has_hit)
    data = lightgbm.Dataset(learn.features, learn.labels, group=learn.sizes, feature_name=columns)
    held_out = lightgbm.Dataset(check.features, check.labels, group=check.sizes, reference=data)
    curves: dict[str, dict[str, list[float]]] = {}
    parameters = {**_parameters(trees, len(learn.labels)), "metric": "ndcg", "eval_at": [10]}
    booster = lightgbm.train(
        parameters, data, trees.num_rounds, valid_sets=[held_out], valid_names=["valid"],
        callbacks=[lightgbm.record_evaluation(curves)],
    )  # fmt: skip
    curve = np.array(curves["valid"]["ndcg@10"])
    half = min(10, len(curve) // 4)
    padded = np.pad(curve, half, mode="edge")
    smooth = np.convolve(padded, np.full(2 * half + 1, 1 / (2 * half + 1)), mode="valid")
    rounds = int(smooth.argmax()) + 1
    odds = np.asarray(booster.predict(everyone.features, raw_score=True, num_iteration=rounds))
    slope, intercept = fit_calibration(odds, everyone.labels)
    # Trees that order nothing right would be turned around.
    slope, intercept = (slope, intercept) if slope > 0 else (1.0, 0.0)
    ndcg_by_round = {i + 1: round(float(curve[i]), 5) for i in range(9, len(curve), 10)}
    return Chosen(rounds, (slope, intercept), ndcg_by_round, everyone, slope * odds + intercept)


def _fifth_aside(groups: Groups) -> tuple[Groups, Groups]:
    """Every fifth user aside; the order of the users is that of their hashed ids, so this is a sample."""
    aside = np.arange(len(groups.sizes)) % 5 == 4
    has_hit = groups.has_hit
    if not (aside & has_hit).any():
        return groups.of_users(has_hit), groups
    return groups.of_users(~aside & has_hit), groups.of_users(aside)
