"""Clicks on news: what a text model knows of a title that nobody has met, beside popularity and TF-IDF.

Usage: python benchmarks/quality_news.py
Bing news: 10,401 titles that users clicked or did not, 462 others of the same users to be measured on, none of them in both.
Popularity is the click rate of the entities in a title. TF-IDF is a logistic regression over the words, and with the likeness
to what the user clicked. The text models are MiniLM: one reads the title, one some of the user's clicked titles and the title,
one is a logistic regression over what the first says and how like its vectors the title is to all that the user clicked. A tenth
of the rows chooses penalty, epoch and text model (and is what that regression learns from, told by cross-validation); clicks
learned from are no part of the history they are read with. The area under the ROC curve has an interval by resampling users.
Writes benchmarks/results/news.json, printed as one line.
"""

import csv
import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

HERE = Path(__file__).parent
DATA = HERE.parents[1] / "shared" / "data" / "bing_news"
sys.path.insert(0, str(HERE.parent / "lib"))

import measured

from attune.models.encoder import load_encoder, load_tokenizer
from attune.models.networks import TextEmbedder
from attune.models.tokens import Ragged, TextEncoder
from attune.training.communicator import SingleProcess
from attune.training.cross_encoder import CrossEncoder
from attune.training.devices import reuse_memory
from attune.training.loop import Loop
from attune.training.plan import LoopSettings
from attune.training.reader import Rows
from attune.training.task import take_batch

SEED, ENCODER, SAMPLES = 7, "minilm", 2000
HISTORY, EPOCHS = 3, 2
"""Clicked titles that are read with a title, and epochs at most."""
PENALTIES = (0.01, 0.1, 1.0, 10.0)
SMOOTHING = 5.0
"""Impressions at the mean click rate that each entity starts with."""
PACKAGES = ("torch", "transformers", "scikit-learn")


class Shown(NamedTuple):
    """A title that a user saw."""

    user: str
    title: str
    is_click: int
    entities: tuple[str, ...]


def main() -> int:
    """Learn, measure, write the result."""
    if not DATA.is_dir():
        print(f"skipped, no real data in {DATA}", file=sys.stderr)
        return 0
    shown, test = (read(DATA / f"raw_{name}.txt") for name in ("train", "test"))
    order = np.random.default_rng(SEED).permutation(len(shown))
    valid, train = ([shown[n] for n in part] for part in (order[: len(order) // 10], order[len(order) // 10 :]))
    found = {"popularity": popularity(train, [valid, test])}
    for name, with_user in (("tfidf_words", False), ("tfidf_words_and_user", True)):
        found[name] = tfidf(train, valid, test, with_user)
    seconds = {}
    for name, history in (("text_title", 0), ("text_user_and_title", HISTORY)):
        began = time.monotonic()
        found[name] = text_model(train, valid, test, history)
        seconds[name] = round(time.monotonic() - began)
    labels = [np.array([row.is_click for row in part]) for part in (valid, test)]
    alike = likeness(train, [valid, test])
    found["text_title_and_likeness"] = with_likeness(found["text_title"], alike, labels[0])
    seconds["text_title_and_likeness"] = seconds["text_title"]
    on_valid = {name: round(float(roc_auc_score(labels[0], scores[0])), 4) for name, scores in found.items()}
    text = max((name for name in found if name.startswith("text")), key=lambda name: on_valid[name])
    users = np.array([row.user for row in test])
    areas = intervals({name: scores[1] for name, scores in found.items()}, labels[1], users, text)
    figures = {
        "rows": {"train": len(train), "valid": len(valid), "test": len(test)}, "users_of_test": len(set(users)),
        "valid_auc": on_valid, "chosen": text, **areas, "seconds": seconds,
    }  # fmt: skip
    print(json.dumps(measured.save("news", SEED, figures, PACKAGES)))
    return 0


def read(file: Path) -> list[Shown]:
    """Rows of a file."""
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [Shown(user, title, int(click), tuple(names.split(";"))) for user, title, click, names in rows]


def popularity(train: list[Shown], asked: list[list[Shown]]) -> list[NDArray[np.float64]]:
    """Mean click rate of the entities of each title."""
    mean = np.mean([row.is_click for row in train])
    clicks, views = Counter[str](), Counter[str]()
    for row in train:
        views.update(row.entities)
        clicks.update(row.entities if row.is_click else ())

    def rate(entity: str) -> float:
        return float((clicks[entity] + SMOOTHING * mean) / (views[entity] + SMOOTHING))

    return [np.array([np.mean([rate(entity) for entity in row.entities]) for row in part]) for part in asked]


def tfidf(train: list[Shown], valid: list[Shown], test: list[Shown], with_user: bool) -> list[NDArray[np.float64]]:
    """Logistic regression over the words, and with the cosine to the mean of the titles that the user clicked."""
    vectorizer = TfidfVectorizer(min_df=2, sublinear_tf=True).fit([row.title for row in train])
    parts = []
    for rows in (train, valid, test):
        words = vectorizer.transform([row.title for row in rows])
        if with_user:
            own = vectorizer.transform([" ".join(titles) for titles in histories(rows, train, None)])
            words = sparse.hstack([words, sparse.csr_matrix(words.multiply(own).sum(axis=1))]).tocsr()
        parts.append(words)
    labels, checked = ([row.is_click for row in rows] for rows in (train, valid))
    models = [LogisticRegression(C=c, max_iter=1000).fit(parts[0], labels) for c in PENALTIES]
    best = max(models, key=lambda model: float(roc_auc_score(checked, model.predict_proba(parts[1])[:, 1])))
    return [best.predict_proba(part)[:, 1] for part in parts[1:]]


def text_model(train: list[Shown], valid: list[Shown], test: list[Shown], history: int) -> list[NDArray[np.float64]]:
    """Probability of a click by MiniLM, which reads a title, with so many titles that the user clicked."""
    reuse_memory()
    torch.set_num_threads(measured.machine()["cores"])
    torch.manual_seed(SEED)
    encoder = TextEncoder(load_tokenizer(ENCODER), 24 + 16 * history)

    def rows_of(part: list[Shown]) -> Rows:
        titles = [row.title for row in part]
        if history:
            before = [". ".join(own) or "nothing" for own in histories(part, train, history)]
            tokens = encoder.encode_pairs(before, titles)
        else:
            tokens = encoder.encode(titles)
        _, users = np.unique([row.user for row in part], return_inverse=True)
        values = {"label": np.array([row.is_click for row in part], np.float64), "weight": np.ones(len(part))}
        return Rows({"tokens": Ragged.of(tokens)}, {**values, "group": users.astype(np.int64)})

    settings = LoopSettings(EPOCHS, 2048, 5e-5, 1e-3, 0.1, 0.01, 1.0, seed=SEED)
    loop = Loop(CrossEncoder(ENCODER, 0.1), settings, SingleProcess(), torch.device("cpu"))
    loop.fit([rows_of(train)], rows_of(valid), lambda line: print(line, file=sys.stderr))
    return [loop.predict(rows_of(part))[:, 0].astype(np.float64) for part in (valid, test)]


def likeness(train: list[Shown], asked: list[list[Shown]]) -> list[NDArray[np.float64]]:
    """Mean and highest cosine of each title to those that the user clicked, by MiniLM as it is [N, 2]; 0 without any."""
    titles = sorted({row.title for part in (train, *asked) for row in part})
    network = TextEmbedder(load_encoder(ENCODER)).eval()
    rows = Rows({"tokens": Ragged.of(TextEncoder(load_tokenizer(ENCODER), 32).encode(titles))}, {})
    with torch.inference_mode():
        parts = [
            network(*take_batch(rows, part, 0, torch.device("cpu")).tokens["tokens"]).numpy()
            for part in np.array_split(np.arange(len(titles)), max(1, len(titles) // 256))
        ]
    of_title = dict(zip(titles, np.concatenate(parts), strict=True))
    found = []
    for part in asked:
        cosines = [
            np.array([of_title[row.title] @ of_title[title] for title in own] or [0.0])
            for row, own in zip(part, histories(part, train, None), strict=True)
        ]
        found.append(np.array([(values.mean(), values.max()) for values in cosines]))
    return found


def with_likeness(
    scores: list[NDArray[np.float64]], alike: list[NDArray[np.float64]], labels: NDArray[np.int64]
) -> list[NDArray[np.float64]]:
    """Logistic regression learned on the validation rows, whose own scores come from the folds they are not in."""
    parts = [np.column_stack([np.log(p / (1 - p)), own]) for p, own in zip(scores, alike, strict=True)]
    model = make_pipeline(StandardScaler(), LogisticRegression())
    aside = cross_val_predict(model, parts[0], labels, cv=10, method="predict_proba")[:, 1]
    return [aside, model.fit(parts[0], labels).predict_proba(parts[1])[:, 1]]


def histories(asked: list[Shown], train: list[Shown], at_most: int | None) -> list[list[str]]:
    """Titles that the user of each row clicked, but for that of the row; a sample where there are many."""
    clicked: dict[str, list[str]] = defaultdict(list)
    for row in train:
        if row.is_click:
            clicked[row.user].append(row.title)
    rng = np.random.default_rng(SEED)
    found = []
    for row in asked:
        others = [title for title in clicked[row.user] if title != row.title]
        if at_most is not None and len(others) > at_most:
            others = [others[n] for n in rng.choice(len(others), at_most, replace=False)]
        found.append(others)
    return found


def intervals(
    scores: dict[str, NDArray[np.float64]], labels: NDArray[np.int64], users: NDArray[np.str_], chosen: str
) -> dict[str, object]:
    """Area under the curve of each model, and what the chosen one has more than the others, with 95% intervals."""
    of_user = [np.flatnonzero(users == user) for user in sorted(set(users))]
    rng = np.random.default_rng(SEED)
    samples: dict[str, list[float]] = {name: [] for name in scores}
    for _ in range(SAMPLES):
        rows = np.concatenate([of_user[n] for n in rng.integers(0, len(of_user), len(of_user))])
        for name, values in scores.items():
            samples[name].append(float(roc_auc_score(labels[rows], values[rows])))
    whole = {name: float(roc_auc_score(labels, values)) for name, values in scores.items()}
    others = [name for name in scores if name != chosen]
    return {
        "auc": {name: _told(whole[name], samples[name]) for name in scores},
        "chosen_minus": {
            name: _told(whole[chosen] - whole[name], np.subtract(samples[chosen], samples[name])) for name in others
        },
    }


def _told(value: float, samples: Sequence[float] | NDArray[np.float64]) -> dict[str, float]:
    low, high = np.quantile(samples, [0.025, 0.975])
    return {"value": round(value, 4), "low": round(float(low), 4), "high": round(float(high), 4)}


if __name__ == "__main__":
    sys.exit(main())
