"""A tiny shop whose right answers are known: four items, blocks of users made by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from attune.recommend.batch import Batch, to_batch
from attune.recommend.catalogue import Catalogue
from attune.recommend.sources import SOURCES

LAMP, BULB, MUG, NOVELTY = range(4)
"""Items: a lamp and its bulb are visited together, a mug alone; nobody has met the novelty yet, but it reads like a lamp."""


def catalogue(**changes: object) -> Catalogue:
    """Four items in two categories, with factors and text vectors of two dimensions."""
    similarity = np.zeros((4, 4), np.float32)
    similarity[LAMP, BULB] = similarity[BULB, LAMP] = 0.8
    similarity[BULB, MUG] = similarity[MUG, BULB] = 0.1
    linear = np.zeros((4, 4), np.float32)
    linear[LAMP, BULB], linear[LAMP, MUG] = 0.5, -0.2
    parts: dict[str, object] = {
        "item_ids": np.array(["lamp", "bulb", "mug", "novelty"], object),
        "titles": np.array(["Brass lamp", "Warm bulb", "Blue mug", "Copper lamp"], object),
        "offered": np.ones(4, bool),
        "prices": np.array([40, 5, 8, 50], np.float32),
        "category": np.array([0, 0, 1, 0], np.int32),
        "categories": ["Home > Lighting", "Kitchen"],
        "brand": np.array([0, 1, -1, 0], np.int32),
        "brands": ["Lux", "Volt"],
        "columns": ["item_satisfaction", "item_days_since_first", "item_actors"],
        "features": np.array([[0.9, 90, 4], [0.6, 90, 3], [0.5, 90, 16], [np.nan, np.nan, np.nan]], np.float32),
        "popularity": np.array([2, 3, 9, 0], np.float32),
        "regions": ["France", "Spain"],
        "region_popularity": np.array([[1, 4, 2, 0], [0, 0, 7, 0]], np.float32),
        "neighbours": sparse.csr_matrix(similarity),
        "linear": sparse.csr_matrix(linear),
        "factors": np.array([[1, 0], [0.9, 0.1], [0, 1], [0, 0]], np.float32),
        "vectors": np.array([[1, 0], [0.6, 0.8], [0, 1], [0.8, 0.6]], np.float32),
    }
    return Catalogue(**{**parts, **changes})  # type: ignore[arg-type]


def batch(*users: dict[str, object], num_items: int = 4) -> Batch:
    """Users given by what differs from a user of whom nothing is known."""
    blank: dict[str, object] = {
        "region": None, "items": None, "weights": None, "ages": None, "first_ages": None, "recent": None, "bought": None, "capped": None, "labels": None, "factors": None,
    }  # fmt: skip
    rows = [
        {"user_id": f"user {place}", **blank, "first_ages": user.get("ages"), **user}
        for place, user in enumerate(users)
    ]
    return to_batch(pd.DataFrame(rows), num_items)


LAMP_BUYER: dict[str, object] = {
    "user_id": "lamp buyer", "region": "France", "items": [LAMP], "weights": [5.0], "ages": [2.0], "recent": [1],
    "bought": [LAMP], "factors": [1.0, 0.0], "labels": [BULB, LAMP],
}  # fmt: skip
STRANGER: dict[str, object] = {"user_id": "stranger", "region": "Spain", "labels": [MUG]}


def quotas(number: int, **others: int) -> dict[str, int]:
    """So many candidates from each source, other numbers from some."""
    return dict.fromkeys(SOURCES, number) | others


def damaged_copy(folder: Path, into: Path) -> Path:
    """A copy of a stored model whose weights differ in one bit."""
    copy = into / folder.name
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    weights = bytearray((copy / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "model.safetensors").write_bytes(bytes(weights))
    return copy
