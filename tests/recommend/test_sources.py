"""Each source must propose what its name promises, and nothing where it knows nothing."""

import numpy as np
import pytest

from attune.recommend.sources import NOT_PROPOSED, SOURCES, category_shares, popular_by
from recommend.tiny import BULB, LAMP, LAMP_BUYER, MUG, NOVELTY, STRANGER, batch, catalogue

CATALOGUE = catalogue()
USERS = batch(LAMP_BUYER, STRANGER)


@pytest.mark.parametrize(
    ("source", "best_of_lamp_buyer"),
    [("popular", MUG), ("region", BULB), ("category", BULB), ("als", LAMP), ("ease", BULB), ("covisit", BULB), ("latest_visit", BULB),
     ("text", LAMP), ("again", LAMP)],
)  # fmt: skip
def test_best_item_of_a_user_with_history(source: str, best_of_lamp_buyer: int) -> None:
    assert SOURCES[source](CATALOGUE, USERS)[0].argmax() == best_of_lamp_buyer


@pytest.mark.parametrize("source", ["category", "als", "ease", "covisit", "latest_visit", "text", "again"])
def test_nothing_for_a_user_without_history(source: str) -> None:
    assert (SOURCES[source](CATALOGUE, USERS)[1] == NOT_PROPOSED).all()


def test_item_that_nobody_has_met_is_reached_by_its_text_alone() -> None:
    reached = {name for name, source in SOURCES.items() if source(CATALOGUE, USERS)[0, NOVELTY] > NOT_PROPOSED}
    assert reached == {"text"}
    assert SOURCES["text"](CATALOGUE, USERS)[0, NOVELTY] == pytest.approx(0.8)


def test_text_is_the_cosine_to_the_weighted_mean_of_the_history() -> None:
    user = batch({"items": [LAMP, MUG], "weights": [3.0, 4.0], "ages": [1.0, 1.0], "recent": [1, 1]})
    assert SOURCES["text"](CATALOGUE, user)[0, BULB] == pytest.approx((3 * 0.6 + 4 * 0.8) / 5)


def test_covisit_adds_up_weight_times_similarity() -> None:
    user = batch({"items": [LAMP, MUG], "weights": [5.0, 2.0], "ages": [9.0, 1.0], "recent": [0, 1]})
    assert SOURCES["covisit"](CATALOGUE, user)[0, BULB] == pytest.approx(5 * 0.8 + 2 * 0.1)
    assert SOURCES["latest_visit"](CATALOGUE, user)[0, BULB] == pytest.approx(0.1)


def test_ease_counts_an_item_once_and_lets_items_speak_against_others() -> None:
    user = batch({"items": [LAMP], "weights": [7.0], "ages": [1.0], "recent": [1]})
    scores = SOURCES["ease"](CATALOGUE, user)[0]
    assert scores[BULB] == pytest.approx(0.5)
    assert scores[MUG] == NOT_PROPOSED


@pytest.mark.parametrize(
    ("source", "changes"),
    [("als", {"factors": None}), ("ease", {"linear": None}), ("covisit", {"neighbours": None}), ("text", {"vectors": None}),
     ("category", {"category": np.full(4, -1, np.int32), "categories": []}),
     ("region", {"regions": [], "region_popularity": np.zeros((0, 4), np.float32)})],
)  # fmt: skip
def test_absent_input_silences_its_source(source: str, changes: dict) -> None:
    assert (SOURCES[source](catalogue(**changes), USERS) == NOT_PROPOSED).all()


def test_popular_by_another_column() -> None:
    assert popular_by("item_satisfaction")(CATALOGUE, USERS)[0].argmax() == LAMP


def test_category_shares_add_up() -> None:
    user = batch({"items": [LAMP, BULB, MUG], "weights": [1.0, 2.0, 1.0], "ages": [1.0] * 3, "recent": [1] * 3})
    assert category_shares(CATALOGUE, user)[0].tolist() == [0.75, 0.25]
