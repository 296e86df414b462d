"""A group of items that is promised a share of the places must have it, and no list pays more for it than it must."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attune.evaluation.metrics import discounts
from attune.recommend.exposure import item_groups, required_exposure
from recommend.tiny import BULB, LAMP, MUG, NOVELTY, catalogue

SHARES = st.floats(0.01, 0.99)


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("new", [NOVELTY]),
        ("tail", [BULB, NOVELTY]),  # of 23 actors the mug has 16 and the lamp 4, which makes 87%
        ("Home", [LAMP, BULB, NOVELTY]),
        ("Home > Lighting", [LAMP, BULB, NOVELTY]),
        ("Ho", []),
        ("Kitchen", [MUG]),
        ("Lux", [LAMP, NOVELTY]),
        ("Volt", [BULB]),
    ],
)
def test_who_is_in_a_group(name: str, members: list[int]) -> None:
    assert np.flatnonzero(item_groups(catalogue(), [name])[0]).tolist() == members


def test_without_groups_nothing_is_required() -> None:
    assert item_groups(catalogue(), []).shape == (0, 4)
    assert required_exposure((), 5).shape == (0, 5)


def test_without_actions_nothing_is_head_or_tail_by_accident() -> None:
    assert item_groups(catalogue(columns=["a", "b", "c"]), ["tail"]).all()


@settings(deadline=None)
@given(SHARES, st.integers(1, 30))
def test_a_group_never_lacks_a_whole_first_place_and_in_the_end_lacks_nothing(share: float, length: int) -> None:
    table = required_exposure((share,), length)[0]
    due = share * np.cumsum(discounts(length))
    assert (due - table < 1).all()
    assert table[-1] == pytest.approx(due[-1])


@settings(deadline=None)
@given(st.lists(SHARES, min_size=1, max_size=4), st.integers(1, 30))
def test_each_place_is_enough_for_what_is_newly_required(shares: list[float], length: int) -> None:
    """One place has one item: it may serve one group for sure, and no more than its exposure."""
    sizes = np.array(shares) / max(1, sum(shares))
    rises = np.diff(required_exposure(tuple(sizes), length), prepend=0)
    assert ((rises > 1e-9).sum(axis=0) <= 1).all()
    assert (rises <= discounts(length) + 1e-9).all()


@settings(deadline=None)
@given(st.lists(SHARES, min_size=2, max_size=4), st.integers(5, 30))
def test_several_groups_have_their_shares_but_for_what_whole_places_cannot_give(
    shares: list[float], length: int
) -> None:
    sizes = np.array(shares) / max(1, 2 * sum(shares))
    whole = discounts(length).sum()
    assert (required_exposure(tuple(sizes), length)[:, -1] / whole >= sizes - 0.02).all()


def test_small_shares_leave_the_first_places_free() -> None:
    assert not required_exposure((0.1,), 10)[0, :6].any()
    assert required_exposure((0.1,), 10)[0, 6] == pytest.approx(1 / np.log2(8))
