"""The blend on MovieLens-100K under the protocol of published results, beside the sources that it is made of.

Usage: python benchmarks/quality_movielens.py
Three quarters of each title's ratings are learned from, the rest is asked for; every title is scored, those that the user
rated in training are left out. Settings of all models, and the blend, are chosen on parts of the training ratings, split
again in the same way; test ratings are looked at once. Writes benchmarks/results/movielens_100k.json, printed as one line.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

HERE = Path(__file__).parent
DATA = HERE.parents[1] / "shared" / "data" / "movielens_100k"
sys.path.insert(0, str(HERE.parent / "lib"))

import measured

from attune import config
from attune.config import AlsPoint
from attune.evaluation.bootstrap import bootstrap_means
from attune.evaluation.metrics import ndcg, precision, recall
from attune.evaluation.protocols import TRAIN, stratified_by_item
from attune.recommend.als import fit_factors
from attune.recommend.booster import Groups, joined
from attune.recommend.ease import item_weights
from attune.recommend.linear import fit_linear, source_features
from attune.recommend.retrieval import best

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SEED, K, TRAIN_SHARE, INNER_SHARE, INNER_SPLITS = 42, 10, 0.75, 0.8, 3
CANDIDATES = 80
"""Titles that each source proposes to the blend for a user."""
REGULARISATIONS = (150, 250, 400, 650, 1000)
POINTS = [AlsPoint(rank=r, reg=reg, alpha=a) for r in (8, 16, 32) for reg in (0.05, 0.15) for a in (1, 2, 5)]
STRENGTHS = (0.001, 0.01, 0.1, 1.0)
NEAR_DAYS = (10, 30)
PACKAGES = ("pyspark", "numpy", "scipy", "scikit-learn")
Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Ratings:
    """Who rated what and when; ratings themselves are not used. Users and titles are numbered."""

    users: NDArray[np.int64]
    items: NDArray[np.int64]
    days: NDArray[np.float64]
    shape: tuple[int, int]

    def part(self, chosen: NDArray[np.bool_]) -> "Ratings":
        """Some of them."""
        return Ratings(self.users[chosen], self.items[chosen], self.days[chosen], self.shape)

    def split(self, share: float, seed: int) -> "tuple[Ratings, Ratings]":
        """A share of each title's ratings, and the rest."""
        train = stratified_by_item(self.items, share, seed) == TRAIN
        return self.part(train), self.part(~train)

    def matrix(self) -> sparse.csr_matrix:
        """1 where a user rated a title."""
        return sparse.csr_matrix((np.ones(len(self.users)), (self.users, self.items)), shape=self.shape)


def main() -> int:
    """Tune, learn, measure, write the result."""
    if not DATA.is_dir():
        print(f"skipped, no real data in {DATA}", file=sys.stderr)
        return 0
    from attune.session import get_session

    began = time.monotonic()
    spark = get_session("quality of recommendations", config.load(["demo"]).spark)
    train, test = read().split(TRAIN_SHARE, SEED)
    inner = [train.split(INNER_SHARE, SEED + n) for n in range(1, 1 + INNER_SPLITS)]
    chosen, tried = tune(*inner[0], spark)
    learned = [features(learn, sources(learn, chosen, spark), asked) for learn, asked in inner]
    strength, by_strength = choose_strength(learned, inner[-1])
    print(f"chosen on the training ratings: {chosen}, C {strength}", file=sys.stderr)
    scores = sources(train, chosen, spark)
    columns, groups, pairs = features(train, scores, test)
    blend = fit_linear(joined([part[1] for part in learned]), columns, strength)
    scores["blend"] = spread(blend.scores(groups.features), pairs, train.shape)
    result = compare(scores, train, test)
    figures = {
        "users": int((test.matrix().sum(1) > 0).sum()), "items": train.shape[1], "ratings": [len(train.users), len(test.users)],
        **result, "chosen": {name: str(value) for name, value in chosen.items()} | {"blend": f"C {strength}"},
        "tried": tried | {"blend": by_strength}, "seconds": round(time.monotonic() - began),
    }  # fmt: skip
    print(json.dumps(measured.save("movielens_100k", SEED, figures, PACKAGES)))
    return 0


def read() -> Ratings:
    """All ratings, in the order of the file."""
    (file,) = DATA.glob("*.inter")
    frame = pd.read_csv(file, sep="\t").rename(columns=lambda name: name.partition(":")[0])
    users, items = (pd.factorize(frame[name], sort=True) for name in ("user_id", "item_id"))
    days = (frame["timestamp"] - frame["timestamp"].min()).to_numpy() / 86400
    return Ratings(users[0], items[0], days, (len(users[1]), len(items[1])))


def sources(known: Ratings, chosen: Mapping[str, Any], spark: "SparkSession") -> dict[str, Floats]:
    """Scores of every user and title by each source."""
    matrix = known.matrix()
    return {
        "popular": popular(matrix), "cosine": cosine(matrix), "als": als(known, chosen["als"], spark),
        "ease": matrix @ item_weights((matrix.T @ matrix).toarray(), chosen["ease"]),
    }  # fmt: skip


def popular(matrix: sparse.csr_matrix) -> Floats:
    """Titles by their number of users."""
    return np.repeat(np.asarray(matrix.sum(axis=0)), matrix.shape[0], axis=0)


def cosine(matrix: sparse.csr_matrix) -> Floats:
    """Sum over the user's titles of the cosine between the columns of two titles (Sarwar et al. 2001)."""
    together = (matrix.T @ matrix).toarray()
    norms = np.sqrt(np.maximum(together.diagonal(), 1))
    near = together / np.outer(norms, norms)
    np.fill_diagonal(near, 0)
    return np.asarray(matrix @ near)


def als(known: Ratings, point: AlsPoint, spark: "SparkSession") -> Floats:
    """Spark's implicit alternating least squares."""
    rows = pd.DataFrame({"user": known.users, "item": known.items, "weight": 1.0})
    fitted = fit_factors(spark.createDataFrame(rows), point, 10, 2, SEED)
    sides = []
    for frame, num in zip((fitted.users, fitted.items), known.shape, strict=True):
        side = np.zeros((num, point.rank))
        for row in frame.collect():
            side[row["id"]] = row["features"]
        sides.append(side)
    return np.asarray(sides[0] @ sides[1].T)


def tune(learn: Ratings, asked: Ratings, spark: "SparkSession") -> tuple[dict[str, Any], dict[str, dict[str, float]]]:
    """Settings of the sources that do best on asked-for parts of the training ratings."""
    matrix = learn.matrix()
    gram = (matrix.T @ matrix).toarray()
    grids: dict[str, tuple[list[Any], Callable[[Any], Floats]]] = {
        "ease": (list(REGULARISATIONS), lambda reg: matrix @ item_weights(gram, reg)),
        "als": (POINTS, lambda point: als(learn, point, spark)),
    }
    chosen, tried = {}, {}
    for name, (grid, score) in grids.items():
        found = [float(measure(score(value), learn, asked)[0].mean()) for value in grid]
        chosen[name] = grid[int(np.argmax(found))]
        tried[name] = {str(value): round(value_of, 4) for value, value_of in zip(grid, found, strict=True)}
    return chosen, tried


def features(
    known: Ratings, scores: Mapping[str, Floats], asked: Ratings
) -> tuple[list[str], Groups, tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Candidates of all users: the best titles of each source, what the sources say of them, and whether they are asked for."""
    taken = known.matrix().toarray() > 0
    proposed = np.zeros(known.shape, bool)
    for name in ("cosine", "als", "ease"):
        allowed = np.where(taken, -np.inf, scores[name])
        np.put_along_axis(proposed, best(allowed, CANDIDATES), True, axis=1)
    users, items = np.nonzero(proposed & ~taken)
    said = np.stack([values[users, items] for values in scores.values()], axis=1)
    columns, values = source_features(users, said.astype(np.float32), list(scores))
    activity = np.log1p(np.bincount(known.users, minlength=known.shape[0]))[users]
    more = {"user_ratings": activity, **{f"near_{days}d": near(known, days)[users, items] for days in NEAR_DAYS}}
    labels = asked.matrix()[users, items]
    sizes = np.bincount(users, minlength=known.shape[0])
    groups = Groups(
        np.column_stack([values, *more.values()]).astype(np.float32), np.asarray(labels).ravel().astype(np.int8), sizes
    )
    return [*columns, *more], groups, (users, items)


def near(known: Ratings, days: float) -> Floats:
    """Log share of the ratings around each user's own time that go to a title [B, N]: what was on people's minds then."""
    last = int(known.days.max()) + 1
    daily = np.zeros((known.shape[1], last + 1))
    np.add.at(daily, (known.items, known.days.astype(int)), 1)
    total = np.concatenate([np.zeros((known.shape[1], 1)), daily.cumsum(axis=1)], axis=1)
    middle = pd.Series(known.days).groupby(known.users).median().reindex(range(known.shape[0]))
    own = middle.fillna(middle.median()).to_numpy()
    begin, end = (np.clip(own + sign * days, 0, last).astype(int) for sign in (-1, 1))
    around = (total[:, end] - total[:, begin]).T
    return np.log(around / np.maximum(around.sum(axis=1, keepdims=True), 1) + 1e-4)


def choose_strength(
    learned: list[tuple[list[str], Groups, tuple[NDArray[np.int64], NDArray[np.int64]]]], last: tuple[Ratings, Ratings]
) -> tuple[float, dict[str, float]]:
    """Penalty of the blend that, learned from all inner splits but the last, does best on the last."""
    columns, groups, pairs = learned[-1]
    earlier, found = joined([part[1] for part in learned[:-1]]), {}
    for strength in STRENGTHS:
        scores = fit_linear(earlier, columns, strength).scores(groups.features)
        found[strength] = float(measure(spread(scores, pairs, last[0].shape), *last)[0].mean())
    return max(found, key=lambda strength: found[strength]), {str(c): round(value, 4) for c, value in found.items()}


def spread(scores: Floats, pairs: tuple[NDArray[np.int64], NDArray[np.int64]], shape: tuple[int, int]) -> Floats:
    """Scores of candidates in their places [B, N]; below all others where there is no candidate."""
    full = np.full(shape, -np.inf)
    full[pairs] = scores
    return full


def measure(scores: Floats, known: Ratings, asked: Ratings) -> NDArray[np.float64]:
    """nDCG, precision and recall at 10 of each user with something asked for [3, U]."""
    relevant = asked.matrix().toarray() > 0
    allowed = np.where(known.matrix().toarray() > 0, -np.inf, scores)
    hits = np.take_along_axis(relevant, best(allowed, K), axis=1)
    num = relevant.sum(axis=1)
    return np.stack([metric(hits[num > 0], num[num > 0], K) for metric in (ndcg, precision, recall)])


def compare(scores: Mapping[str, Floats], train: Ratings, test: Ratings) -> dict[str, Any]:
    """All models on the test ratings, with intervals over users, and the blend against the best of its sources."""
    found = {name: measure(values, train, test) for name, values in scores.items()}
    best_source = max((name for name in found if name != "blend"), key=lambda name: found[name][0].mean())
    columns = [*(values[0] for values in found.values()), found["blend"][0] - found[best_source][0]]
    intervals = bootstrap_means(np.stack(columns, axis=1), 2000, SEED)
    told = [{name: round(getattr(i, name), 4) for name in ("value", "low", "high")} for i in intervals]
    return {
        f"ndcg@{K}": dict(zip(found, told[:-1], strict=True)),
        f"precision@{K}": {name: round(float(values[1].mean()), 4) for name, values in found.items()},
        f"recall@{K}": {name: round(float(values[2].mean()), 4) for name, values in found.items()},
        "best_source": best_source, "blend_minus_best": told[-1],
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
