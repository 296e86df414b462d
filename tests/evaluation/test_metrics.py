"""Figures that decide which model is shipped must be those of the textbook."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from attune.evaluation.metrics import METRICS, average_precision, coverage, ndcg, precision, recall

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
