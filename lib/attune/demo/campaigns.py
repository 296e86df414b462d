"""Ad campaigns: what each promotes, who was exposed or held out at random, who responded and why."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from attune.demo.people import People, category_taste, make_people
from attune.demo.randomness import Ints, sigmoid
from attune.demo.vocabulary import CATEGORIES, CHANNELS, STYLES
from attune.demo.world import DAY_MS, World

NUM_CAMPAIGNS = 12
HOLDOUT_SHARE = 0.2
_TARGETED_SHARE = 0.5
_COST_BY_CHANNEL = {"email": 0.01, "search_ad": 0.45, "social_ad": 0.22, "display": 0.05, "push": 0.004}
_BASE, _TASTE_EFFECT, _LIFT, _LIFT_BY_TASTE = -3.4, 0.75, 0.45, 0.30


@dataclass(frozen=True)
class Campaign:
    """One campaign; days are counted from the start of the log, ``end_day`` not included, the cost is per exposure."""

    number: int
    channel: str
    category: int
    style: int
    first_day: int
    end_day: int
    cost: float

    @property
    def id(self) -> str:
        """Id in the raw files."""
        return campaign_id(self.number)


def campaign_id(number: int) -> str:
    """Id of a campaign in the raw files."""
    return f"c{number:03d}"


@lru_cache(maxsize=2)
def make_campaigns(world: World) -> tuple[Campaign, ...]:
    """All campaigns of a world, spread over the log."""
    number = np.arange(NUM_CAMPAIGNS)
    categories = min(len(CATEGORIES), world.num_items)
    order = np.argsort(world.random.uniform("campaign category", np.arange(categories)), kind="stable")
    style = world.random.below(len(STYLES), "campaign style", number)
    channel = world.random.below(len(CHANNELS), "campaign channel", number)
    length = np.maximum(np.minimum(7 + world.random.below(15, "campaign length", number), world.num_days // 2), 2)
    first = np.floor((world.num_days - length) * number / (NUM_CAMPAIGNS - 1)).astype(int)
    return tuple(
        Campaign(
            int(n), CHANNELS[channel[n]], int(order[n % categories]), int(style[n]), int(first[n]),
            int(first[n] + length[n]), _COST_BY_CHANNEL[CHANNELS[channel[n]]],
        )
        for n in number
    )  # fmt: skip


def describe_campaigns(world: World) -> pd.DataFrame:
    """Raw fields of campaigns: campaign, channel, category, style, start and end (last day), cost_per_exposure."""
    rows = [
        (
            c.id, c.channel, CATEGORIES[c.category].path, tuple(STYLES)[c.style],
            str(np.datetime64(world.start) + c.first_day), str(np.datetime64(world.start) + c.end_day - 1), c.cost,
        )
        for c in make_campaigns(world)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["campaign", "channel", "category", "style", "start", "end", "cost_per_exposure"])


def make_exposures(world: World, user: Ints) -> pd.DataFrame:
    """Exposures of some users. Grain: one user and campaign that chose the user, held out or treated at random.

    Columns: exposure_key, user, campaign, ts_ms, treated, probability (of a response, as it came about),
    probability_untreated, probability_treated, responded, response_ms, value.
    """
    people = make_people(world, user)
    parts = [_expose(world, people, campaign) for campaign in make_campaigns(world)]
    return pd.concat(parts, ignore_index=True)


def _expose(world: World, people: People, campaign: Campaign) -> pd.DataFrame:
    random = world.random
    known = people.first_day < campaign.end_day
    chosen = np.flatnonzero(known & (random.uniform("target", people.user, campaign.number) < _TARGETED_SHARE))
    key = (people.user[chosen], np.int64(campaign.number))
    first_ms = world.start_ms + np.maximum(people.first_day[chosen], campaign.first_day) * DAY_MS
    last_ms = world.start_ms + campaign.end_day * DAY_MS
    ts_ms = first_ms + (random.uniform("exposure moment", *key) * (last_ms - first_ms)).astype(np.int64)
    tau = (ts_ms - world.start_ms) / (world.num_days * DAY_MS)
    taste = category_taste(people, chosen, tau)[:, campaign.category]
    liking = (1 - tau) * people.style_start[chosen, campaign.style] + tau * people.style_end[chosen, campaign.style]
    base = _BASE + _TASTE_EFFECT * taste + 0.25 * liking
    untreated = sigmoid(base)
    with_ad = sigmoid(base + _LIFT + _LIFT_BY_TASTE * np.clip(taste, -2, 3))
    treated = random.uniform("holdout", *key) >= HOLDOUT_SHARE
    probability = np.where(treated, with_ad, untreated)
    response_ms = ts_ms + random.below(3 * DAY_MS, "response moment", *key)
    median = CATEGORIES[campaign.category].median_price
    value = np.round(median * np.exp(people.thrift[chosen] + 0.3 * random.normal("response value", *key)), 2)
    responded = (random.uniform("response", *key) < probability) & (response_ms < world.end_ms)
    return pd.DataFrame(
        {
            "exposure_key": random.bits("exposure", *key).view(np.int64),
            "user": people.user[chosen],
            "campaign": campaign.number,
            "ts_ms": ts_ms,
            "treated": treated,
            "probability": probability,
            "probability_untreated": untreated,
            "probability_treated": with_ad,
            "responded": responded,
            "response_ms": response_ms,
            "value": value,
        }
    )
