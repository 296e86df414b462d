"""Candidates must be the best of each source, and never what the user owns already."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from attune import config
from attune.config import SOURCE_NAMES
from attune.errors import SettingsError
from attune.recommend.measured import found_by_source
from attune.recommend.retrieval import allowed_scores, best, best_mask, ranks_within, retrieve
from attune.recommend.sources import SOURCES
from recommend.tiny import BULB, LAMP, LAMP_BUYER, MUG, NOVELTY, STRANGER, batch, catalogue, quotas

USERS = batch(LAMP_BUYER, STRANGER)
SCORES = arrays(
    np.float32, st.tuples(st.integers(1, 4), st.integers(1, 9)), elements=st.sampled_from([-np.inf, 0, 1, 2, 3])
)


@given(SCORES, st.integers(1, 10))
def test_best_is_a_stable_sort_cut_off(scores: np.ndarray, k: int) -> None:
    assert best(scores, k).tolist() == np.argsort(-scores, axis=1, kind="stable")[:, :k].tolist()


@given(SCORES, st.integers(1, 10))
def test_mask_holds_as_many_as_there_are_and_no_better_item_outside(scores: np.ndarray, k: int) -> None:
    mask = best_mask(scores, k)
    finite = scores > -np.inf
    assert mask.sum(axis=1).tolist() == np.minimum(finite.sum(axis=1), k).tolist()
    for row, chosen in zip(scores, mask, strict=True):
        if chosen.any():
            assert row[chosen].min() >= row[~chosen].max(initial=-np.inf)


def test_bought_items_are_left_out_unless_repeats_are_wanted() -> None:
    once, again = retrieve(catalogue(), USERS, quotas(4), False), retrieve(catalogue(), USERS, quotas(4), True)
    assert LAMP not in once.items[once.users == 0]
    assert LAMP in again.items[again.users == 0]
    assert LAMP in once.items[once.users == 1], "another user's purchase is no reason"


def test_items_that_are_not_offered_never_come() -> None:
    offered = np.array([True, True, True, False])
    assert NOVELTY not in retrieve(catalogue(offered=offered), USERS, quotas(4), True).items
    assert NOVELTY in retrieve(catalogue(), USERS, quotas(4), True).items


def test_each_source_proposes_its_best_and_says_so() -> None:
    found = retrieve(catalogue(), USERS, quotas(1), False)
    proposed = {
        (int(user), int(item)): [name for name, by_it in zip(found.sources, row, strict=True) if by_it]
        for user, item, row in zip(found.users, found.items, found.proposed, strict=True)
    }
    assert proposed == {
        (0, MUG): ["popular"],
        (0, BULB): ["region", "category", "als", "ease", "covisit", "latest_visit"],
        (0, NOVELTY): ["text"],
        (1, MUG): ["popular", "region"],
    }


def test_a_source_without_a_quota_proposes_nothing_but_is_still_asked() -> None:
    found = retrieve(catalogue(), USERS, quotas(1, text=0, popular=2), False)
    of = dict(zip(found.sources, found.proposed.T, strict=True))
    assert not of["text"].any()
    assert np.bincount(found.users[of["popular"]], minlength=2).tolist() == [2, 2]
    text = found.sources.index("text")
    assert np.isfinite(found.scores[found.users == 0, text]).all()


def test_settings_name_the_sources_there_are() -> None:
    assert tuple(SOURCES) == SOURCE_NAMES
    given = config.load(["demo"], ["recommend.quotas={text: 7, region: 0}"]).recommend.num_candidates
    assert given == dict.fromkeys(SOURCES, 50) | {"text": 7, "region": 0}
    with pytest.raises(SettingsError, match="'txt' is no source of candidates; did you mean 'text'"):
        config.load(["demo"], ["recommend.quotas={txt: 7}"])


def test_candidates_that_users_chose_next_are_counted() -> None:
    users = batch(LAMP_BUYER, STRANGER)
    relevant = np.zeros((2, 4), bool)
    relevant[0, [BULB, NOVELTY]] = relevant[1, MUG] = True
    num, met = found_by_source(retrieve(catalogue(), users, quotas(1), False), relevant)
    names = [*SOURCES, "candidates"]
    assert dict(zip(names, num[0].tolist(), strict=True)) == dict.fromkeys(SOURCES, 1) | {
        "again": 0, "next_item": 0, "candidates": 3
    }  # fmt: skip
    assert {name for name, n in zip(names, met[0], strict=True) if n} == {*SOURCES, "candidates"} - {
        "popular", "again", "next_item"
    }  # fmt: skip
    assert met[0, -1] == 2
    assert (met[1, 0], met[1, -1]) == (1, 1)


def test_scores_are_known_for_candidates_of_other_sources_too() -> None:
    found = retrieve(catalogue(), USERS, quotas(1), False)
    text, mug = found.sources.index("text"), (found.users == 0) & (found.items == MUG)
    assert not found.proposed[mug, text]
    assert found.scores[mug, text] == 0
    assert np.isnan(found.scores[mug, found.sources.index("covisit")]), "lamp and mug have not met"


def test_ranks_count_from_one_within_each_user() -> None:
    ranks = ranks_within(np.array([0, 0, 0, 1]), np.array([[5], [9], [-np.inf], [1]], np.float32))
    np.testing.assert_array_equal(ranks[:, 0], [2, 1, np.nan, 1])


def test_one_by_one_is_as_in_a_block() -> None:
    together = allowed_scores(catalogue(), USERS, False)
    alone = [
        allowed_scores(catalogue(), batch(user), False)
        for user in (LAMP_BUYER, {**STRANGER, "factors": [np.nan, np.nan]})
    ]
    for name, scores in together.items():
        np.testing.assert_array_equal(scores, np.concatenate([one[name] for one in alone]), err_msg=name)
