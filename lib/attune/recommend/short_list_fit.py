"""Whether a cross-encoder betters the order of the short lists, and with which weights: found on users trees did not learn from."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attune.evaluation.metrics import ndcg
from attune.recommend.booster import Groups
from attune.recommend.retrieval import ranks_within
from attune.recommend.short_list import PairLogOdds, Reading, ShortList, read_again

MAX_PAIRS = 40_000
"""Pairs that are read at most, half of them to fit the weights and half to judge them: some minutes on a CPU."""
_K = 10

# Shape legend: Q users, M candidates of all of them.


@dataclass(frozen=True)
class Fitted:
    """``short_list`` is None where the order is not better with it."""

    short_list: ShortList | None
    metrics: dict[str, object]


def fit_short_list(
    groups: Groups, odds: NDArray[np.float64], pair_log_odds: PairLogOdds, version: str, length: int, seed: int
) -> Fitted:
    """Fit the weights on one half of the users with history, and use them if nDCG at 10 of the other half is better.

    Better is more than one standard error of the difference: reading costs minutes, and half of all useless models would be
    better by chance. The fit is by maximum likelihood on whether a candidate was acted on, over users without a hit, too, so
    that the odds of the short list stay calibrated. More history or candidates than ``MAX_PAIRS`` allows are sampled by seed.

    Args:
        groups: with items and anchors; users that the trees behind ``odds`` did not learn from.
        odds: calibrated log odds by the trees [M].
    """
    most = max(1, MAX_PAIRS // (2 * length))
    learn, check = _halves(groups, most, seed)
    learned, learn_odds, reading = _read(groups, learn, odds, pair_log_odds, length)
    short = _weights(learned, learn_odds, reading, version, length)
    metrics: dict[str, object] = {"version": version, "users_fitted": int(learn.sum()), "used": False}
    if short is None or not check.any():
        return Fitted(None, metrics)
    checked, check_odds, reading = _read(groups, check, odds, pair_log_odds, length)
    without, with_it = (_ndcg(checked, found) for found in (check_odds, short.blended(reading, check_odds)))
    gain = with_it - without
    error = float(gain.std(ddof=1) / np.sqrt(len(gain))) if len(gain) > 1 else np.inf
    used = bool(gain.mean() > error)
    weights = (short.odds_weight, short.match_weight, short.intercept)
    metrics |= {
        f"ndcg@{_K}_without": round(float(without.mean()), 5),
        f"ndcg@{_K}_with": round(float(with_it.mean()), 5),
        "standard_error": round(error, 5) if np.isfinite(error) else None,
        "users_checked": int(check.sum()),
        "weights": [round(weight, 4) for weight in weights],
        "used": used,
    }
    return Fitted(short if used else None, metrics)


def _halves(groups: Groups, most: int, seed: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Users to fit on and users to judge by [Q]: drawn by seed, with history, the latter with a hit, ``most`` each."""
    assert groups.anchors is not None
    order = np.random.default_rng(seed).permutation(np.flatnonzero(groups.anchors >= 0))
    learn, check = order[::2], order[1::2]
    parts = []
    for chosen in (learn, check[groups.has_hit[check]]):
        mask = np.zeros(len(groups.sizes), bool)
        mask[chosen[:most]] = True
        parts.append(mask)
    return parts[0], parts[1]


def _read(
    groups: Groups, chosen: NDArray[np.bool_], odds: NDArray[np.float64], pair_log_odds: PairLogOdds, length: int
) -> tuple[Groups, NDArray[np.float64], Reading]:
    """Some users [Q] with their odds, and their short lists read."""
    part, part_odds = groups.of_users(chosen), odds[np.repeat(chosen, groups.sizes)]
    assert part.items is not None
    assert part.anchors is not None
    users = np.repeat(np.arange(len(part.sizes)), part.sizes)
    return part, part_odds, read_again(users, part.items, part.anchors, part_odds, length, pair_log_odds)


def _weights(
    groups: Groups, odds: NDArray[np.float64], reading: Reading, version: str, length: int
) -> ShortList | None:
    """Weights by maximum likelihood; None where they cannot be had, or would turn either model around."""
    from sklearn.linear_model import LogisticRegression

    known = np.isfinite(reading.match)
    labels = groups.labels[known]
    if len(np.unique(labels)) < 2:
        return None
    inputs = np.stack([odds[known], reading.match[known]], axis=1)
    fitted = LogisticRegression(C=1e6, max_iter=1000).fit(inputs, labels)
    of_odds, of_match = (float(weight) for weight in fitted.coef_[0])
    if of_odds <= 0 or of_match <= 0:
        return None
    return ShortList(version, length, of_odds, of_match, float(fitted.intercept_[0]))


def _ndcg(groups: Groups, odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """nDCG at 10 of each user [Q], each with a hit; ties go to the lower item."""
    users = np.repeat(np.arange(len(groups.sizes)), groups.sizes)
    places = ranks_within(users, odds[:, None])[:, 0].astype(int) - 1
    hits = np.zeros((len(groups.sizes), _K), np.int64)
    first = places < _K
    hits[users[first], places[first]] = groups.labels[first]
    return ndcg(hits, np.bincount(users, groups.labels).astype(np.int64), _K)
