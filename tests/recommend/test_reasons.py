"""A reason is shown to customers: it must be true, and it must be what moved the score."""

import numpy as np
import pytest

from attune.recommend.reasons import Pair, because_of, reasons, removals
from attune.recommend.sources import SOURCES
from recommend.tiny import BULB, LAMP, LAMP_BUYER, MUG, NOVELTY, STRANGER, batch, catalogue

CATALOGUE = catalogue()
USERS = batch(LAMP_BUYER, STRANGER)
COLUMNS = (
    "covisit_score", "ease_score", "als_rank", "text_score", "pair_weight", "region_rank", "pair_category_share", "item_satisfaction",
    "pair_price_ratio", "item_days_since_first", "popular_rank",
)  # fmt: skip


def falls(*strongest: str) -> np.ndarray:
    """The score falls without some features, and rises without the others."""
    columns = [column for column in COLUMNS if column in strongest]
    return np.where(removals(columns).any(axis=1), 1.0, -1.0) if columns else -np.ones(len(removals(COLUMNS)))


def told(user: int, item: int, *strongest: str, **changes: object) -> list[str]:
    """Reasons where some features moved the score and the others spoke against the item."""
    return [reason.text for reason in reasons(Pair(catalogue(**changes), USERS, user, item), falls(*strongest))]


@pytest.mark.parametrize(
    ("item", "strongest", "text"),
    [
        (BULB, "covisit_score", "Bought together with Brass lamp"),
        (BULB, "ease_score", "Bought together with Brass lamp"),
        (BULB, "als_rank", "Chosen by customers with a similar taste"),
        (NOVELTY, "text_score", "Like Brass lamp that you bought"),
        (LAMP, "pair_weight", "You bought it before"),
        (BULB, "region_rank", "Popular in France"),
        (BULB, "pair_category_share", "Fits your interest in Lighting"),
        (LAMP, "item_satisfaction", "Rated 90% positive"),
        (NOVELTY, "pair_price_ratio", "In your usual price range"),
        (NOVELTY, "item_days_since_first", "New"),
        (MUG, "popular_rank", "Popular with other customers"),
    ],
)
def test_what_moved_the_score_comes_first(item: int, strongest: str, text: str) -> None:
    small = {"popularity": np.array([2, 3, 9, 0], np.float32)}
    assert told(0, item, strongest, **small)[0] == text


@pytest.mark.parametrize(
    ("item", "strongest"),
    [
        (MUG, "text_score"),
        (MUG, "pair_category_share"),
        (MUG, "item_satisfaction"),
        (BULB, "pair_price_ratio"),
        (NOVELTY, "popular_rank"),
    ],
)
def test_what_is_not_true_is_not_told(item: int, strongest: str) -> None:
    wrong = {"text_score": "Like", "pair_category_share": "interest", "item_satisfaction": "Rated", "pair_price_ratio": "price", "popular_rank": "Popular with"}  # fmt: skip
    assert not any(wrong[strongest] in text for text in told(0, item, strongest))


def test_this_week_is_said_of_this_week_only() -> None:
    week = {"columns": ["item_num_events_7d"], "features": np.array([[0], [8], [3], [0]], np.float32)}
    assert told(0, BULB, "popular_rank", **week)[0] == "Popular this week"
    assert told(0, MUG, "popular_rank", **week)[0] == "Popular with other customers"


def test_viewed_is_not_called_bought() -> None:
    viewer = batch(LAMP_BUYER | {"bought": []})
    texts = [reason.text for reason in reasons(Pair(CATALOGUE, viewer, 0, BULB), falls(*COLUMNS))]
    assert texts[0] == "Often chosen with Brass lamp"
    assert not any("bought" in text.lower() for text in texts)


def test_no_reason_is_told_twice() -> None:
    for user in (0, 1):
        for item in (LAMP, BULB, MUG, NOVELTY):
            for strongest in (COLUMNS, ()):
                texts = told(user, item, *strongest)
                assert len(set(texts)) == len(texts)


def test_what_does_not_lower_the_score_is_no_reason() -> None:
    assert told(0, BULB) == []
    assert told(0, BULB, "als_rank") == ["Chosen by customers with a similar taste"]


def test_every_feature_of_a_source_is_removed_with_its_reason() -> None:
    for source in SOURCES:
        assert removals([f"{source}_score", f"{source}_rank"]).all(axis=1).sum() == 1, source


def test_the_item_that_speaks_most_is_named() -> None:
    user = batch({"items": [LAMP, MUG], "weights": [1.0, 50.0], "ages": [1.0, 1.0], "recent": [1, 1]})
    assert because_of(Pair(CATALOGUE, user, 0, BULB)) == MUG
    assert because_of(Pair(CATALOGUE, USERS, 1, BULB)) is None


def test_reasons_tell_the_history_that_they_rest_on() -> None:
    (interest,) = reasons(Pair(CATALOGUE, USERS, 0, BULB), falls("pair_category_share"))
    (together,) = reasons(Pair(CATALOGUE, USERS, 0, BULB), falls("covisit_score"))
    (taste,) = reasons(Pair(CATALOGUE, USERS, 0, BULB), falls("als_rank"))
    assert (interest.items, together.items, taste.items) == ((LAMP,), (LAMP,), ())
