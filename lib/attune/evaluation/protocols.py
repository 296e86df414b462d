"""Protocols by name: which actions of a log a model may learn from, which choose its settings, which it is measured on.

Shapes: A actions. All are deterministic given their seed.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attune.errors import InputError

TRAIN, VALID, TEST = "train", "valid", "test"
Splits = NDArray[np.object_]


def by_time(times: Sequence[object] | NDArray, valid_start: object, test_start: object) -> Splits:
    """Split of each action [A]: train before ``valid_start``, valid before ``test_start``, test from then on.

    >>> by_time([1, 5, 9], 3, 7).tolist()
    ['train', 'valid', 'test']
    """
    given = pd.Series(times)
    splits = np.where(given < valid_start, TRAIN, np.where(given < test_start, VALID, TEST))
    return splits.astype(object)


def leave_one_out(users: Sequence[object] | NDArray, times: Sequence[object] | NDArray) -> Splits:
    """Split of each action [A]: each user's last is for the test, the one before for validation, the others to learn from.

    Of actions at one time the later one in the log counts as later. A user with two actions has none to learn from, one
    with one is only learned from.

    >>> leave_one_out(["u", "u", "v", "u", "u"], [1, 2, 9, 4, 3]).tolist()
    ['train', 'train', 'train', 'test', 'valid']
    """
    frame = pd.DataFrame({"user": users, "time": times})
    in_time = frame.sort_values("time", kind="stable").groupby("user", sort=False)
    left = in_time.cumcount(ascending=False).reindex(frame.index).to_numpy()
    size = frame.groupby("user")["time"].transform("size").to_numpy()
    splits = np.where((left == 0) & (size > 1), TEST, np.where((left == 1) & (size > 1), VALID, TRAIN))
    return splits.astype(object)


def stratified_by_item(items: Sequence[object] | NDArray, train_share: float, seed: int) -> Splits:
    """Split of each action [A] into train and test, a share of each item's actions to learn from, drawn at random.

    The actions of each item, in the order of the log, are shuffled by ``pandas.Series.sample`` with the same seed and cut at
    the rounded share, as published results on MovieLens have it (recommenders, ``python_stratified_split``).

    >>> stratified_by_item(["a"] * 4 + ["b"], 0.75, 42).tolist().count("test")
    1
    """
    if not 0 < train_share < 1:
        raise InputError(f"the share to learn from is {train_share:g}: it must lie between 0 and 1")
    splits = np.full(len(items), TEST, object)
    places = pd.Series(np.arange(len(items)))
    for _, of_item in places.groupby(np.asarray(items), sort=False):
        shuffled = of_item.sample(frac=1, random_state=seed).to_numpy()
        splits[shuffled[: round(train_share * len(shuffled))]] = TRAIN
    return splits
