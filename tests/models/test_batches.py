"""Every sample is trained on once an epoch, no batch exceeds memory, and padding stays small."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from attune.models.batches import batches_by_length, epoch_batches

lengths_of_rows = st.lists(st.integers(1, 300), max_size=200).map(lambda values: np.array(values, np.int64))


@given(lengths_of_rows, st.integers(1, 2000), st.integers(0, 5), st.integers(0, 3))
def test_every_row_once_and_within_the_budget(lengths: np.ndarray, budget: int, seed: int, epoch: int) -> None:
    for batches in (epoch_batches(lengths, budget, seed, epoch), batches_by_length(lengths, budget)):
        rows = np.concatenate(batches) if batches else np.empty(0, np.int64)
        assert sorted(rows.tolist()) == list(range(len(lengths)))
        for batch in batches:
            assert len(batch) == 1 or len(batch) * lengths[batch].max() <= budget


def test_batches_depend_on_seed_and_epoch_alone() -> None:
    lengths = np.random.default_rng(0).integers(5, 100, 500)
    first = epoch_batches(lengths, 1000, seed=1, epoch=0)
    assert all(np.array_equal(a, b) for a, b in zip(first, epoch_batches(lengths, 1000, 1, 0), strict=True))
    for other in (epoch_batches(lengths, 1000, 2, 0), epoch_batches(lengths, 1000, 1, 1)):
        assert [b.tolist() for b in first] != [b.tolist() for b in other]


def test_padding_is_small_where_lengths_vary() -> None:
    lengths = np.random.default_rng(0).geometric(1 / 30, 5000).clip(1, 128)
    batches = epoch_batches(lengths, 4096, seed=0, epoch=0)
    padded = sum(len(b) * lengths[b].max() for b in batches)
    assert padded < 1.1 * lengths.sum()


def test_longest_rows_are_scored_first() -> None:
    batches = batches_by_length(np.array([3, 50, 7]), 50)
    assert [b.tolist() for b in batches] == [[1], [2, 0]]
