"""An interval that is too narrow sells chance as progress."""

import numpy as np
import pytest
from scipy import stats

from attune.evaluation.bootstrap import bootstrap_means


def test_interval_is_that_of_scipy() -> None:
    values = np.random.default_rng(1).gamma(0.5, size=400)
    ours = bootstrap_means(values[:, None], 4000, seed=2)[0]
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(3)
    ).confidence_interval
    width = theirs.high - theirs.low
    assert ours.value == pytest.approx(values.mean())
    assert ours.low == pytest.approx(theirs.low, abs=0.05 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.05 * width)


def test_interval_covers_the_truth_about_95_times_in_100() -> None:
    generator = np.random.default_rng(4)
    samples = generator.normal(size=(300, 60))
    covered = [i.low <= 0 <= i.high for i in (bootstrap_means(s[:, None], 500, seed=5)[0] for s in samples)]
    assert 0.9 <= np.mean(covered) <= 0.98


def test_difference_is_paired() -> None:
    base = np.random.default_rng(6).random(200)
    better = base + 0.01
    intervals = bootstrap_means(np.stack([base, better, better - base], axis=1), 500, seed=7)
    assert intervals[0].high > intervals[1].low, "alone they cannot be told apart"
    assert intervals[2].low == pytest.approx(0.01)


def test_same_seed_same_interval_and_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(8).random((50, 2))
    first = bootstrap_means(values, 300, seed=9)
    monkeypatch.setattr("attune.evaluation.bootstrap._BLOCK", 1000)
    assert bootstrap_means(values, 300, seed=9) == first
    assert bootstrap_means(values, 300, seed=10) != first
