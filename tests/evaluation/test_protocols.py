"""What a protocol keeps apart stays apart."""

import numpy as np
import pandas as pd
import pytest

from attune.errors import InputError
from attune.evaluation.protocols import by_time, leave_one_out, stratified_by_item


def test_by_time_splits_at_the_first_moment_of_each_period() -> None:
    days = pd.to_datetime(["2020-01-31 23:59", "2020-02-01 00:00", "2020-02-29 12:00", "2020-03-01 00:00"])
    splits = by_time(days, pd.Timestamp("2020-02-01"), pd.Timestamp("2020-03-01"))
    assert splits.tolist() == ["train", "valid", "valid", "test"]


def test_leave_one_out_takes_each_users_last_two() -> None:
    rng = np.random.default_rng(0)
    users, times = rng.integers(0, 40, 600), rng.random(600)
    splits = leave_one_out(users, times)
    for user in np.unique(users):
        own = pd.Series(splits[users == user]).iloc[np.argsort(times[users == user])]
        assert own.iloc[-2:].tolist() == ["valid", "test"]
        assert set(own.iloc[:-2]) <= {"train"}


def test_leave_one_out_keeps_the_order_of_the_log_at_one_time_and_single_actions() -> None:
    assert leave_one_out(["u", "u", "u", "v"], [1, 1, 1, 1]).tolist() == ["train", "valid", "test", "train"]
    assert leave_one_out(["u", "u"], [2, 1]).tolist() == ["test", "valid"]
    assert leave_one_out([], []).tolist() == []


def test_stratified_by_item_takes_its_share_of_every_item() -> None:
    items = np.random.default_rng(1).integers(0, 30, 3000)
    splits = stratified_by_item(items, 0.75, 42)
    for item in np.unique(items):
        own = splits[items == item]
        assert (own == "train").sum() == round(0.75 * len(own))
    assert (splits == stratified_by_item(items, 0.75, 42)).all()
    assert (splits != stratified_by_item(items, 0.75, 43)).any()


def test_stratified_by_item_is_the_published_split() -> None:
    """The rule that published results on MovieLens were made by, spelled out for one item."""
    shuffled = pd.Series(range(10)).sample(frac=1, random_state=42).to_numpy()
    expected = np.full(10, "test", object)
    expected[shuffled[:8]] = "train"
    assert stratified_by_item(["a"] * 10, 0.75, 42).tolist() == expected.tolist()


@pytest.mark.parametrize("share", [0.0, 1.0, 1.5])
def test_a_share_that_leaves_nothing_is_refused(share: float) -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        stratified_by_item(["a"], share, 1)
