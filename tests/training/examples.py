"""Small training sets whose right answer is known."""

import numpy as np

from attune.models.tokens import Ragged, TextEncoder
from attune.training.reader import Rows
from models.tiny_bert import tiny_tokenizer, words

GOOD = words("good great fine lovely excellent happy love")
BAD = words("bad poor awful broken terrible sad hate")
NEUTRAL = words("the a is it and lamp mug chair table book phone cable bag cup")
COLOURS = words("red blue green large small wooden steel glass")
THINGS = words("lamp mug chair table book phone cable bag cup")


def review_texts(num: int, seed: int = 0) -> tuple[list[str], list[int]]:
    """Texts with two good words (label 1) or two bad ones (label 0) among neutral ones."""
    rng = np.random.default_rng(seed)
    texts, labels = [], []
    for number in range(num):
        words = [*rng.choice(NEUTRAL, rng.integers(2, 9)), *rng.choice(GOOD if number % 2 else BAD, 2)]
        texts.append(" ".join(rng.permutation(words)))
        labels.append(number % 2)
    return texts, labels


def tokens(texts: list[str], max_tokens: int = 16) -> Ragged:
    """Token ids of texts in the words of the tiny BERT."""
    return Ragged.of(TextEncoder(tiny_tokenizer(), max_tokens).encode(texts))


def review_rows(num: int, seed: int = 0) -> Rows:
    """Rows for classification."""
    texts, labels = review_texts(num, seed)
    return Rows({"tokens": tokens(texts)}, {"label": np.array(labels, np.int64)})


def match_rows(num: int, seed: int = 0) -> Rows:
    """Rows for matching: a thing of one colour goes with another thing of the same colour."""
    rng = np.random.default_rng(seed)
    colours = rng.integers(0, len(COLOURS), num)
    first, second = rng.integers(0, len(THINGS), num), rng.integers(0, len(THINGS), num)
    anchors = [f"{COLOURS[c]} {THINGS[t]}" for c, t in zip(colours, first, strict=True)]
    targets = [f"{COLOURS[c]} {THINGS[t]}" for c, t in zip(colours, second, strict=True)]
    target_id = colours * len(THINGS) + second
    counts = np.bincount(target_id, minlength=len(COLOURS) * len(THINGS))
    values = {
        "anchor_id": (colours * len(THINGS) + first).astype(np.int64),
        "target_id": target_id.astype(np.int64),
        "target_log_q": np.log(counts[target_id] / num),
        "weight": rng.integers(1, 4, num).astype(np.float64),
    }
    return Rows({"anchor": tokens(anchors), "target": tokens(targets)}, values)
