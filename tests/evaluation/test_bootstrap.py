"""An interval that is too narrow sells chance as progress."""

import numpy as np
import pytest
from scipy import stats

from attune.evaluation.bootstrap import bootstrap_gaps, bootstrap_known_means, bootstrap_means, gaps_by_chance


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


def test_columns_are_taken_over_the_users_who_have_a_value() -> None:
    whole = np.random.default_rng(11).random(60)
    holed = np.where(np.arange(60) % 3 == 0, np.nan, whole)
    found = bootstrap_known_means([whole, holed, np.full(60, np.nan), holed + 1], 200, seed=12)
    assert found[0] == (bootstrap_means(whole[:, None], 200, seed=12)[0], 60)
    known = holed[np.isfinite(holed)]
    assert found[1] == (bootstrap_means(known[:, None], 200, seed=12)[0], 40)
    assert found[2] is None
    assert found[3] is not None
    assert found[3][0].value == pytest.approx(known.mean() + 1)


def test_a_gap_is_that_of_the_best_and_the_worst_group() -> None:
    generator = np.random.default_rng(13)
    groups = np.repeat([0, 1, 2], [200, 300, 100])
    values = np.array([0.5, 0.2, 0.4])[groups] + generator.normal(0, 0.1, 600)
    (gap,) = bootstrap_gaps(values[:, None], groups, 1000, seed=14)
    assert gap.value == pytest.approx(values[groups == 0].mean() - values[groups == 1].mean())
    # With groups so far apart the best and the worst are always the same two, so the error is that of a plain difference.
    error = np.sqrt(0.1**2 / 200 + 0.1**2 / 300)
    assert gap.high - gap.low == pytest.approx(2 * 1.96 * error, rel=0.15)
    assert gap.low < gap.value < gap.high
    (chance,) = gaps_by_chance(values[:, None], groups, 1000, seed=14)
    assert chance.high < 0.1 < gap.low


def test_a_gap_that_chance_alone_makes_lies_where_chance_says() -> None:
    generator = np.random.default_rng(15)
    groups = np.repeat(np.arange(5), 40)
    within = []
    for _ in range(100):
        values = generator.random((200, 1))
        (gap,), (chance,) = bootstrap_gaps(values, groups, 50, seed=16), gaps_by_chance(values, groups, 200, seed=17)
        within.append(chance.low <= gap.value <= chance.high)
        assert gap.low <= gap.value <= gap.high
    assert 0.88 <= np.mean(within) <= 1


def test_chance_keeps_the_sizes_of_the_groups_wherever_their_users_stand() -> None:
    values = np.random.default_rng(18).random((50, 2))
    mixed = np.arange(50) % 3
    assert gaps_by_chance(values, mixed, 100, seed=19) == gaps_by_chance(values, np.sort(mixed), 100, seed=19)


@pytest.mark.parametrize("value", [0.7, 0.0173, 1 / 3, 0.0])
def test_a_measure_that_is_the_same_for_all_has_an_interval_of_no_width(value: float) -> None:
    """Else the value would lie outside its own interval by a rounding error."""
    (found,) = bootstrap_means(np.full((639, 1), value), 200, seed=7)
    assert found.low == found.value == found.high
