"""Quality of the next-item model, and of its blend with simpler sources, on Amazon Beauty, leave-one-out, all items ranked.

Usage: python benchmarks/quality_next_item.py [--set key=value ...]
Each user's last item is asked for, the one before chooses the epoch, the rest is learned from. Two Horovod ranks, as the job
trains; its own figures rank all items, those of the user, too. The blend is learned from which item was the last but one, and
measured on the last, as are its sources: the model, EASE over all items of the user, items met beside the user's latest,
popularity. There the user's own items are left out for each of them alike, as the published protocol does.
Writes benchmarks/results/next_item_beauty.json, printed as one line.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

HERE = Path(__file__).parent
DATA = HERE.parents[1] / "shared" / "data" / "amazon_beauty_sequences"
sys.path.insert(0, str(HERE.parent / "lib"))

import measured

from attune import config
from attune.evaluation.bootstrap import bootstrap_means
from attune.evaluation.metrics import METRICS
from attune.models.item_sequence import CATALOGUE, ItemSequenceModel
from attune.models.networks import read_network
from attune.recommend.booster import Groups
from attune.recommend.ease import item_weights
from attune.recommend.linear import LinearBlend, fit_linear, source_features
from attune.recommend.retrieval import best
from attune.recommend.sources import NOT_PROPOSED
from attune.session import get_session
from attune.training.next_item_model import train_next_item

PACKAGES = ("pyspark", "torch", "horovod", "petastorm", "scikit-learn")
K, CANDIDATES, BLOCK = 10, 100, 1_000
REGULARISATION = 200.0
"""Of EASE: not tuned."""
LATEST, FADING = 10, 0.7
"""Latest items whose neighbours are proposed, and what each counts of the one after it."""
LEARNERS = 6_000
"""Users that the blend is learned from; as many others choose its penalty."""
STRENGTHS = (0.001, 0.01, 0.1)
Floats = NDArray[np.floating]


def main() -> int:
    """Train, measure, write the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of train.next_item")
    given = parser.parse_args()
    if not DATA.is_dir():
        print(f"skipped, no real data in {DATA}", file=sys.stderr)
        return 0
    lines = [line.split() for line in (DATA / "beauty.txt").read_text(encoding="utf-8").splitlines()]
    actions = [(user, item, place) for user, *items in lines for place, item in enumerate(items)]
    with tempfile.TemporaryDirectory() as workspace:
        changed = [f"train.next_item.{pair}" for pair in given.set]
        settings = config.load([], [f"workspace={workspace}", "train.tracking=[]", *changed], "2014-07-24")
        spark = get_session("quality of next items", settings.spark)
        frame = spark.createDataFrame(actions, "user_id string, item_id string, ts int")
        model = train_next_item(frame, settings, "v1")
        spark.stop()
        numbers = {item: n for n, item in enumerate(json.loads((model.folder / CATALOGUE).read_text(encoding="utf-8")))}
        sequences = [np.array([numbers[item] for item in items]) for _, *items in lines]
        blended = measure_blend(Sources.of(str(model.folder), sequences, len(numbers)), sequences, settings.seed)
    metrics = model.metrics
    figures = {
        "users": len(lines), "items": metrics["num_items"], "test": metrics["test"], "popularity": metrics["popularity"],
        "valid": metrics["valid"], "best_epoch": metrics["best_epoch"], "epochs": len(metrics["epochs"]) - 1,
        "seconds_training": metrics["seconds_training"], "precision": metrics["precision"],
        "parameters": metrics["num_parameters"], "rows_per_rank": model.rows_per_rank,
        "settings": settings.train.next_item.model_dump(), "blend": blended,
    }  # fmt: skip
    result = measured.save("next_item_beauty", settings.seed, figures, PACKAGES) if not changed else figures
    print(json.dumps(result))
    return 0


@dataclass(frozen=True)
class Sources:
    """What each source has learned from all of a user's items but the last two. N items, numbered from 0."""

    network: ItemSequenceModel
    linear: Floats  # [N, N]
    near: sparse.csr_matrix  # [N, N]
    popularity: Floats  # [N]

    @classmethod
    def of(cls, folder: str, sequences: list[NDArray[np.int64]], num_items: int) -> "Sources":
        """Learn from the beginnings of the sequences."""
        network = read_network(folder)
        assert isinstance(network, ItemSequenceModel)
        torch.set_num_threads(measured.machine()["cores"])
        learned = [items[:-2] for items in sequences]
        matrix = taken(learned, num_items)
        gram = matrix.T @ matrix
        actors = np.asarray(matrix.sum(axis=0)).ravel()
        scale = sparse.diags(1 / np.sqrt(np.maximum(actors, 1)))
        near = (scale @ gram @ scale).tolil()
        near.setdiag(0)
        return cls(
            network, item_weights(gram.toarray(), REGULARISATION).astype(np.float32), near.tocsr(), np.log1p(actors)
        )

    def scores(self, histories: list[NDArray[np.int64]]) -> dict[str, Floats]:
        """Scores of all items for users with these items so far, by source [B, N]; ``NOT_PROPOSED`` for these items."""
        num_items = len(self.popularity)
        rows = np.repeat(np.arange(len(histories)), [min(len(h), LATEST) for h in histories])
        latest = np.concatenate([h[-LATEST:] for h in histories])
        weights = np.concatenate([FADING ** np.arange(min(len(h), LATEST))[::-1] for h in histories])
        recent = sparse.csr_matrix((weights, (rows, latest)), shape=(len(histories), num_items))
        found = {
            "next_item": self._next(histories),
            "ease": np.asarray(taken(histories, num_items) @ self.linear),
            "neighbours": np.asarray((recent @ self.near).todense()),
            "popular": np.repeat(self.popularity[None, :], len(histories), axis=0),
        }
        own = taken(histories, num_items).nonzero()
        for values in found.values():
            values[own] = NOT_PROPOSED
        return found

    def _next(self, histories: list[NDArray[np.int64]]) -> Floats:
        cut = [h[-self.network.max_positions :] + 1 for h in histories]
        lengths = torch.tensor([len(h) for h in cut])
        ids = torch.zeros((len(cut), int(lengths.max())), dtype=torch.long)
        for row, items in enumerate(cut):
            ids[row, : len(items)] = torch.from_numpy(items)
        with torch.inference_mode():
            hidden = self.network(ids, (ids > 0).long())[torch.arange(len(cut)), lengths - 1]
            scores: Floats = self.network.scores(hidden)[:, 1:].numpy()
        return scores


def taken(histories: list[NDArray[np.int64]], num_items: int) -> sparse.csr_matrix:
    """1 where a user has an item."""
    rows = np.repeat(np.arange(len(histories)), [len(h) for h in histories])
    matrix = sparse.csr_matrix(
        (np.ones(len(rows), np.float32), (rows, np.concatenate(histories))), shape=(len(histories), num_items)
    )
    matrix.data[:] = 1
    return matrix


def measure_blend(sources: Sources, sequences: list[NDArray[np.int64]], seed: int) -> dict[str, Any]:
    """The blend and each of its sources on every user's last item."""
    order = np.random.default_rng(seed).permutation(len(sequences))
    learn, check = ([sequences[n] for n in part] for part in (order[:LEARNERS], order[LEARNERS : 2 * LEARNERS]))
    parts = [candidates(sources, [s[:-1] for s in block]) for block in blocks(learn)]
    columns, features = parts[0][0], np.concatenate([part[1] for part in parts])
    groups = Groups(features, np.concatenate([part[2] for part in parts]), np.array([len(features)]))
    blends = {strength: fit_linear(groups, columns, strength) for strength in STRENGTHS}
    tried = {c: float(hits_of(sources, check, blend, -1)["blend"][0].mean()) for c, blend in blends.items()}
    strength = max(tried, key=lambda c: tried[c])
    found = hits_of(sources, sequences, blends[strength], None)
    names = list(found)
    best_source = max((name for name in names if name != "blend"), key=lambda name: found[name][0].mean())
    values = np.stack([found[name][0] for name in names] + [found["blend"][0] - found[best_source][0]], axis=1)
    told = [
        {end: round(getattr(i, end), 5) for end in ("value", "low", "high")}
        for i in bootstrap_means(values, 2000, seed)
    ]
    return {
        f"ndcg@{K}": dict(zip(names, told[:-1], strict=True)), f"hr@{K}": {n: round(float(found[n][1].mean()), 5) for n in names},
        "best_source": best_source, "blend_minus_best": told[-1], "strength": strength,
        "tried": {str(c): round(value, 5) for c, value in tried.items()},
        "regularisation_of_ease": REGULARISATION, "users_learned_from": LEARNERS,
    }  # fmt: skip


def blocks(sequences: list[NDArray[np.int64]]) -> Iterator[list[NDArray[np.int64]]]:
    """Some users at a time."""
    for start in range(0, len(sequences), BLOCK):
        yield sequences[start : start + BLOCK]


def candidates(
    sources: Sources, sequences: list[NDArray[np.int64]]
) -> tuple[list[str], Floats, NDArray[np.int8], dict[str, Floats], tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Names and values of the features of each user's candidates, whether they are the last item; all scores; the pairs."""
    histories, asked = [s[:-1] for s in sequences], np.array([s[-1] for s in sequences])
    scores = sources.scores(histories)
    proposed = np.zeros(scores["ease"].shape, bool)
    for name in ("next_item", "ease", "neighbours"):
        np.put_along_axis(proposed, best(scores[name], CANDIDATES), True, axis=1)
    users, items = np.nonzero(proposed)
    said = np.stack([values[users, items] for values in scores.values()], axis=1).astype(np.float32)
    columns, features = source_features(users, said, list(scores))
    length = np.log1p([len(h) for h in histories])[users]
    own = np.column_stack([features, length, length * features[:, columns.index("next_item_deviation")]])
    labels = (items == asked[users]).astype(np.int8)
    return [*columns, "length", "length_next_item"], own.astype(np.float32), labels, scores, (users, items)


def hits_of(
    sources: Sources, sequences: list[NDArray[np.int64]], blend: LinearBlend, end: int | None
) -> dict[str, tuple[Floats, Floats]]:
    """nDCG and hit rate at 10 of the last item of each sequence cut at ``end``, by source and blend."""
    found: dict[str, list[Floats]] = {}
    for block in blocks([s[:end] for s in sequences]):
        _, features, _, scores, pairs = candidates(sources, block)
        together = np.full(scores["ease"].shape, -np.inf)
        together[pairs] = blend.scores(features)
        asked, one = np.array([s[-1] for s in block]), np.ones(len(block), np.int64)
        for name, values in {**scores, "blend": together}.items():
            hits = best(values, K) == asked[:, None]
            found.setdefault(name, []).append(np.stack([METRICS[m](hits, one, K) for m in ("ndcg", "recall")]))
    return {name: tuple(np.concatenate(parts, axis=1)) for name, parts in found.items()}  # type: ignore[misc]


if __name__ == "__main__":
    sys.exit(main())
