"""What the demo data are made from: sizes, dates and seed, small enough to travel to every executor."""

import datetime as dt
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from attune.demo.randomness import Randomness

if TYPE_CHECKING:
    from attune.config import Config

DAY_MS = 86_400_000

BOT_SHARE = 0.28
"""Part of the dirty event rows that bots make, where the log is large enough to hold one bot."""

DUPLICATE_SHARE = 0.18
"""Part of the dirty event rows that are second copies."""


@dataclass(frozen=True)
class World:
    """Sizes, dates and seed of the demo data. Days count from ``start``; times are milliseconds since 1970, UTC."""

    seed: int
    num_events: int
    num_users: int
    num_items: int
    num_reviews: int
    num_days: int
    start: dt.date
    dirty_share: float
    bot_events_per_day: int
    image_share: float
    random: Randomness = field(compare=False)

    @property
    def start_ms(self) -> int:
        """First moment of the log."""
        return (self.start - dt.date(1970, 1, 1)).days * DAY_MS

    @property
    def end_ms(self) -> int:
        """First moment after the log."""
        return self.start_ms + self.num_days * DAY_MS

    @property
    def num_people_rows(self) -> float:
        """Raw rows of people that give, with bots and second copies, the number of events asked for."""
        bots = self.num_bot_days * self.bot_rows_per_day
        copies = self.num_events * self.dirty_share * DUPLICATE_SHARE
        return self.num_events - bots - copies

    @property
    def num_bot_days(self) -> int:
        """User-days of bots: as many as fit in their part of the dirt, each well over the limit of cleaning."""
        return int(self.num_events * self.dirty_share * BOT_SHARE / (1.25 * self.bot_events_per_day))

    @property
    def bot_rows_per_day(self) -> int:
        """Rows of one bot on one day."""
        return int(self.num_events * self.dirty_share * BOT_SHARE / max(self.num_bot_days, 1))

    @property
    def drift_day(self) -> int:
        """First day on which events carry one more field than before."""
        return int(self.num_days * 0.6)


def make_world(settings: "Config") -> World:
    """Sizes that the settings give, the others grown with the number of events."""
    g = settings.generate
    return World(
        seed=settings.seed,
        num_events=g.num_events,
        num_users=g.num_users or max(10, g.num_events // 60),
        num_items=g.num_items or round(math.sqrt(10 * g.num_events)),
        num_reviews=g.num_reviews or max(10, g.num_events // 25),
        num_days=g.num_days,
        start=settings.as_of - dt.timedelta(days=g.num_days),
        dirty_share=g.dirty_share,
        bot_events_per_day=settings.clean.bots.events_per_day,
        image_share=g.image_share,
        random=Randomness(settings.seed),
    )
