"""What tasks know of the rows and the settings of cleaning: plain names and values, so that workers need no more than NumPy
and Arrow."""

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from attune.clean.forgotten import Forgotten

if TYPE_CHECKING:
    from attune.config import Clean

KEY, KIND, DETAIL, IDENTITY, STATE = "_key", "_kind", "_detail", "_identity", "_state"
ONLY_EVENTS = ("value", "quantity", "query", "device", "country")
ONLY_IMPRESSIONS = ("price", "propensity")
DETAILS = (*ONLY_EVENTS, *ONLY_IMPRESSIONS, "position", "campaign_id")
IDS = ("event_id", "user_id", "session_id", "item_id")
ROW_COLUMNS = (*IDS, KIND, "event_ts", *DETAILS, "refund_of")
"""What is known of an action: of one that was just read, or that an earlier run kept."""
REFUSED_COLUMNS = ("file", "raw", "reasons")
"""What is known of a refused row, as in table quarantine."""
ARRANGED = (KEY, STATE, *ROW_COLUMNS, DETAIL, IDENTITY, *REFUSED_COLUMNS, "ds")
"""Columns of rows that are ready to be put together by user."""


class State(IntEnum):
    """What a row is to the run."""

    NEW = 0
    KNOWN = 1
    """Kept by an earlier run."""
    CONTEXT = 2
    """An order of earlier days that only serves to find what a refund undoes."""
    REFUSED = 3
    FORGOTTEN = 4
    """Of a user that was erased: counted and dropped."""


@dataclass(frozen=True)
class BotLimits:
    """As ``clean.bots`` in the settings."""

    events_per_day: float
    items_per_day: float
    min_pause_variation: float
    min_events: int


@dataclass(frozen=True)
class Rules:
    """The settings of group ``clean`` by which actions of one user are told apart and put together."""

    session_gap_minutes: float
    near_duplicate_seconds: float
    click_window_minutes: float
    refund_days: int
    bots: BotLimits
    forgotten: Forgotten | None = None

    @staticmethod
    def of(settings: "Clean", forgotten: Forgotten | None = None) -> "Rules":
        """The rules that the settings give; and the users that were erased."""
        bots = settings.bots
        return Rules(
            settings.session_gap_minutes,
            settings.near_duplicate_seconds,
            settings.click_window_minutes,
            settings.refund_days,
            BotLimits(bots.events_per_day, bots.items_per_day, bots.min_pause_variation, bots.min_events),
            forgotten,
        )
