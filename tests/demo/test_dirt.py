"""Every kind of dirt must be there, be told in the truth, and stay within what cleaning accepts."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from attune.demo.dirt import DUPLICATE, KINDS, LATE, MAX_LATE_DAYS, make_bot_rows, soil
from attune.demo.sessions import IMPRESSION
from attune.demo.world import DAY_MS, World


def test_dirty_rows_have_the_share_asked_for(world: World, events: pd.DataFrame):
    soiled = soil(world, events)
    bots = world.num_bot_days * world.bot_rows_per_day
    share = ((soiled["dirt"] > 0).sum() + bots) / (len(soiled) + bots)
    assert bots > 0
    assert share == pytest.approx(world.dirty_share, rel=0.15)
    found = set(soiled["dirt"].unique())
    assert found == set(range(len(KINDS) - 1))


def test_no_dirt_leaves_the_rows_as_they_are(make: Callable[..., World], events: pd.DataFrame):
    world = make(dirty_share=0)
    assert world.num_bot_days == 0
    pd.testing.assert_frame_equal(soil(world, events)[events.columns], events, check_dtype=False)


def test_refused_kinds_stay_under_the_limit_of_cleaning(world: World, events: pd.DataFrame):
    soiled = soil(world, events)
    refused = ("malformed", "future", "null_user", "null_item", "negative_price", "absurd_price", "wrong_type")
    rows = (
        soiled["dirt"].isin([KINDS.index(kind) for kind in refused]).sum() + world.num_bot_days * world.bot_rows_per_day
    )
    assert rows / len(soiled) < 0.03


def test_second_copies_equal_the_first(world: World, events: pd.DataFrame):
    soiled = soil(world, events)
    copies = soiled[soiled["dirt"] == DUPLICATE]
    both = soiled[soiled["event_key"].isin(copies["event_key"])].drop(columns="dirt")
    assert len(both) == 2 * len(copies)
    assert len(both.drop_duplicates()) == len(copies)


def test_late_rows_arrive_within_the_log(world: World, events: pd.DataFrame):
    late = soil(world, events).query(f"dirt == {LATE}")
    delay = late["arrival_day"] - late["day"]
    assert delay.between(1, MAX_LATE_DAYS).all()
    assert (late["arrival_day"] < world.num_days).all()


def test_bots_act_regularly_and_more_than_people_may(world: World):
    rows = make_bot_rows(world, np.arange(world.num_bot_days * world.bot_rows_per_day))
    per_day = rows.groupby(["user", "day"])["ts_ms"]
    assert (per_day.size() > world.bot_events_per_day).all()
    assert rows["ts_ms"].between(world.start_ms, world.end_ms).all()
    assert rows.sort_values("ts_ms").groupby("user")["ts_ms"].diff().dropna().nunique() == 1
    assert ((rows["ts_ms"] - world.start_ms) // DAY_MS == rows["day"]).all()
    assert (rows["user"] >= world.num_users).all()
    assert 0.4 < (rows["type"] == IMPRESSION).mean() < 0.6
