"""Figures that decide which model is shipped must be those of the textbook."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score, roc_auc_score

from attune.evaluation.metrics import (
    METRICS,
    auc_by_group,
    average_precision,
    coverage,
    discounts,
    exposure,
    intra_list_diversity,
    ndcg,
    novelty,
    popularity_of_lists,
    precision,
    recall,
    reciprocal_rank,
)

NUM_ITEMS = 12


def ranking_and_relevant() -> st.SearchStrategy[tuple[list[int], set[int]]]:
    return st.tuples(
        st.permutations(range(NUM_ITEMS)), st.sets(st.integers(0, NUM_ITEMS - 1), min_size=1, max_size=NUM_ITEMS)
    )


def hits_of(ranking: list[int], relevant: set[int]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([[item in relevant for item in ranking]]), np.array([len(relevant)])


@given(ranking_and_relevant(), st.integers(1, NUM_ITEMS))
def test_ndcg_is_that_of_scikit_learn(case: tuple[list[int], set[int]], k: int) -> None:
    ranking, relevant = case
    scores = np.empty(NUM_ITEMS)
    scores[ranking] = np.arange(NUM_ITEMS, 0, -1)
    truth = np.array([item in relevant for item in range(NUM_ITEMS)], float)
    expected = ndcg_score(truth[None], scores[None], k=k)
    assert ndcg(*hits_of(ranking, relevant), k)[0] == pytest.approx(expected)


@given(ranking_and_relevant(), st.integers(1, NUM_ITEMS))
def test_others_are_those_of_their_definition(case: tuple[list[int], set[int]], k: int) -> None:
    ranking, relevant = case
    first = ranking[:k]
    found = [item for item in first if item in relevant]
    at_hits = [len([i for i in first[:n] if i in relevant]) / n for n in range(1, k + 1) if first[n - 1] in relevant]
    hits = hits_of(ranking, relevant)
    assert recall(*hits, k)[0] == pytest.approx(len(found) / len(relevant))
    assert precision(*hits, k)[0] == pytest.approx(len(found) / k)
    assert average_precision(*hits, k)[0] == pytest.approx(sum(at_hits) / min(k, len(relevant)))
    places = [place for place, item in enumerate(first, 1) if item in relevant]
    assert reciprocal_rank(*hits, k)[0] == pytest.approx(1 / places[0] if places else 0)


@pytest.mark.parametrize("name", METRICS)
def test_perfect_and_hopeless_lists(name: str) -> None:
    hits = np.array([[1, 1, 0, 0], [0, 0, 0, 0]])
    best, worst = METRICS[name](hits, np.array([2, 2]), 2)
    assert (best, worst) == (1, 0)


def test_list_shorter_than_k_counts_its_missing_places_as_misses() -> None:
    assert precision(np.array([[1]]), np.array([1]), 5)[0] == pytest.approx(0.2)
    assert ndcg(np.array([[1]]), np.array([3]), 5)[0] == pytest.approx(1 / (1 + 1 / np.log2(3) + 1 / 2))


def test_coverage_counts_distinct_items_of_the_first_k_places() -> None:
    items = np.array([[0, 1, 7], [1, 0, 8], [2, -1, -1]])
    assert coverage(items, 10, 2) == pytest.approx(0.3)
    assert coverage(items, 10, 3) == pytest.approx(0.5)


def test_auc_by_group_is_the_mean_of_the_groups_areas() -> None:
    rng = np.random.default_rng(0)
    groups, scores = rng.permutation(np.repeat([3, 1, 7, 9], [50, 20, 30, 5])), rng.integers(0, 8, 105) / 8
    labels = (rng.random(105) < 0.4).astype(int)
    labels[groups == 9] = 1
    parts = [(groups == group, (groups == group).sum()) for group in (3, 1, 7)]
    expected = sum(num * roc_auc_score(labels[rows], scores[rows]) for rows, num in parts) / 100
    assert auc_by_group(groups, scores, labels) == pytest.approx(expected)
    assert np.isnan(auc_by_group(np.array([1, 1]), np.array([0.1, 0.2]), np.array([1, 1])))
    assert np.isnan(auc_by_group(np.array([]), np.array([]), np.array([])))


POPULARITY = np.array([8, 4, 4, 0])
LISTS = np.array([[0, 1, 3], [2, -1, -1], [-1, -1, -1]])


def test_novelty_is_the_mean_surprise_in_bits() -> None:
    np.testing.assert_allclose(novelty(LISTS, POPULARITY, 3), [(1 + 2 + 4) / 3, 2, np.nan])
    np.testing.assert_allclose(novelty(LISTS, POPULARITY, 1), [1, 2, np.nan])


def test_popularity_of_lists_is_the_mean_number_of_actions() -> None:
    np.testing.assert_allclose(popularity_of_lists(LISTS, POPULARITY, 2), [6, 4, np.nan])


def test_diversity_is_the_mean_distance_of_all_pairs() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(9, 5))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[1] *= 0.8  # a part of it is only expected
    vectors[8] = 0
    items = np.array([[0, 1, 2, 3], [4, 8, 5, -1], [6, 8, -1, -1], [7, 7, 7, 7]])
    found = intra_list_diversity(items, vectors, 4)
    pairs = [1 - vectors[a] @ vectors[b] for a in range(4) for b in range(4) if a < b]
    np.testing.assert_allclose(found, [np.mean(pairs), 1 - vectors[4] @ vectors[5], np.nan, 0], atol=1e-12)
    assert intra_list_diversity(items, vectors, 2)[0] == pytest.approx(1 - vectors[0] @ vectors[1])


def test_exposure_is_the_share_of_the_discounts() -> None:
    items = np.array([[0, 1, 2], [2, 1, -1], [-1, -1, -1]])
    found = exposure(items, np.array([True, False, True]), 3)
    first, second, third = discounts(3)
    assert found[0] == pytest.approx((first + third) / (first + second + third))
    assert found[1] == pytest.approx(first / (first + second)), "places that nobody fills give no exposure"
    assert np.isnan(found[2])
    assert exposure(items, np.array([True, False, True]), 1)[:2].tolist() == [1, 1]
    assert exposure(items[:2], np.ones(3, bool), 3).tolist() == [1, 1]
