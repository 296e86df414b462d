"""Worlds to test the demo data on."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from attune import config
from attune.demo.sessions import calibrate, make_events
from attune.demo.world import World, make_world


@pytest.fixture(scope="session")
def make() -> Callable[..., World]:
    """Makes a world from settings, such as ``make("seed=3", num_events=5000)``; names stand for generate's settings."""

    def world(*overrides: str, **generate: object) -> World:
        return make_world(config.load(["demo"], [*overrides, *(f"generate.{k}={v}" for k, v in generate.items())]))

    return world


@pytest.fixture(scope="session")
def world(make: Callable[..., World]) -> World:
    """A world of 100,000 events."""
    return make()


@pytest.fixture(scope="session")
def events(world: World) -> pd.DataFrame:
    """All its events, free of dirt."""
    return make_events(world, np.arange(world.num_users), calibrate(world))
