"""An item that nobody has met and whose text says nothing is found by those who like what its picture shows."""

import numpy as np
import pytest
import torch

from attune.models.image_encoder import load_image_encoder
from attune.recommend.catalogue import Catalogue, Floats
from attune.recommend.sources import NOT_PROPOSED, SOURCES
from attune.scoring.fusion import learn_fusion
from models.tiny_vit import picture, write_tiny_vit
from recommend.tiny import batch

KNOWN, NEW = 15, 5
NUM = 2 * (KNOWN + NEW)
IS_RED = np.arange(NUM) % 2 == 0
IS_NEW = np.arange(NUM) >= 2 * KNOWN


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Floats:
    """Vectors of the pictures of red and blue items, by turns; the last ten items are new."""
    encoder = load_image_encoder(write_tiny_vit(tmp_path_factory.mktemp("vit")), torch.device("cpu"), "float32")
    return encoder.encode([picture("red" if red else "blue", seed) for seed, red in enumerate(IS_RED)])


def likes_red(vectors: Floats) -> Floats:
    """Scores of source text for a user who bought five red items."""
    nothing = np.zeros(NUM, np.float32)
    catalogue = Catalogue(
        item_ids=np.arange(NUM).astype(str).astype(object), titles=np.full(NUM, "Item", object), offered=np.ones(NUM, bool),
        prices=nothing, category=np.full(NUM, -1, np.int32), categories=[],
        brand=np.full(NUM, -1, np.int32), brands=[], columns=[], features=np.zeros((NUM, 0), np.float32),
        popularity=nothing, vectors=vectors,
    )  # fmt: skip
    history = np.flatnonzero(IS_RED)[:5].tolist()
    user = batch({"items": history, "weights": [1.0] * 5, "ages": [1.0] * 5, "recent": [0] * 5}, num_items=NUM)
    return SOURCES["text"](catalogue, user)[0]


def test_new_items_without_text_are_reached_by_their_pictures_alone(pictures: Floats) -> None:
    text = np.where(IS_NEW[:, None], 0, np.eye(4, dtype=np.float32)[0])
    assert (likes_red(text)[IS_NEW] == NOT_PROPOSED).all()
    scores = likes_red(learn_fusion(text, pictures, 0.5)(text, pictures))
    assert scores[IS_NEW & IS_RED].min() > scores[IS_NEW & ~IS_RED].max()
    assert scores[IS_NEW & IS_RED].min() > scores[~IS_NEW & ~IS_RED].max(), "they stand before what is known, too"


def test_texts_that_are_all_alike_leave_it_to_the_pictures(pictures: Floats) -> None:
    text = np.repeat(np.eye(4, dtype=np.float32)[:1], NUM, axis=0)
    assert np.ptp(likes_red(text)) < 1e-6, "by text all items are one"
    scores = likes_red(learn_fusion(text, pictures, 0.5)(text, pictures))
    assert scores[IS_NEW & IS_RED].min() > scores[IS_NEW & ~IS_RED].max()


def test_items_without_a_picture_stay_in_the_lists(pictures: Floats) -> None:
    """Texts tell the colour, every third picture is missing: red items without one stand before blue ones with one."""
    rng = np.random.default_rng(0)
    text = np.where(IS_RED[:, None], [1.0, 0, 0, 0], [0, 1.0, 0, 0]) + 0.2 * rng.normal(size=(NUM, 4))
    text = (text / np.linalg.norm(text, axis=1, keepdims=True)).astype(np.float32)
    without = np.arange(NUM) % 3 == 0
    seen = np.where(without[:, None], 0, pictures)
    scores = likes_red(learn_fusion(text, seen, 0.5)(text, seen))
    assert scores[IS_RED & without].min() > scores[~IS_RED & ~without].max()
