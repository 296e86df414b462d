"""Random numbers must depend on their keys alone, or the demo data would change with the cluster."""

import numpy as np
from scipy import stats

from attune.demo.randomness import Dice, Randomness, choose_rows, softmax_cumulative

KEYS = np.arange(20_000)


def test_a_number_does_not_depend_on_what_else_is_drawn():
    random = Randomness(7)
    together = random.uniform("a", KEYS[:, None], np.arange(3))
    assert np.array_equal(together[5000:6000, 2], random.uniform("a", KEYS[5000:6000], 2))
    assert np.array_equal(random.normal("a", KEYS)[::-1], random.normal("a", KEYS[::-1]))


def test_seeds_streams_and_keys_give_unrelated_numbers():
    first = Randomness(7).uniform("a", KEYS, 0)
    others = [
        Randomness(8).uniform("a", KEYS, 0),
        Randomness(7).uniform("b", KEYS, 0),
        Randomness(7).uniform("a", KEYS, 1),
    ]
    for other in [*others, np.roll(first, 1)]:
        assert abs(np.corrcoef(first, other)[0, 1]) < 0.03


def test_numbers_have_the_distributions_they_promise():
    random = Randomness(7)
    assert stats.kstest(random.uniform("a", KEYS), "uniform").pvalue > 0.001
    assert stats.kstest(random.normal("a", KEYS), "norm").pvalue > 0.001
    counts = np.bincount(random.below(7, "a", KEYS), minlength=7)
    assert len(counts) == 7
    assert stats.chisquare(counts).pvalue > 0.001


def test_rows_are_chosen_by_their_weights():
    logits = np.tile(np.log([1.0, 2.0, 5.0]), (len(KEYS), 1))
    chosen = choose_rows(softmax_cumulative(logits), Randomness(7).uniform("a", KEYS))
    assert np.allclose(np.bincount(chosen) / len(KEYS), [1 / 8, 2 / 8, 5 / 8], atol=0.015)


def test_dice_give_every_option_and_different_samples():
    drawn = [Dice(int(key)).choose("abc") for key in Randomness(7).bits("dice", KEYS[:3000])]
    assert stats.chisquare([drawn.count(letter) for letter in "abc"]).pvalue > 0.001
    dice = Dice(1)
    assert sorted(dice.sample([1, 2, 3], 5)) == [1, 2, 3]
    assert [dice.uniform(), dice.uniform()] != [Dice(1).uniform(), Dice(1).uniform()]
