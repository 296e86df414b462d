"""The dirt of real logs: which event rows are bad and how, and the rows of bots."""

import numpy as np
import pandas as pd

from attune.demo.people import make_people
from attune.demo.randomness import Ints
from attune.demo.sessions import IMPRESSION, REFUND, SEARCHED
from attune.demo.world import DAY_MS, DUPLICATE_SHARE, World

KINDS = (
    "clean", "malformed", "duplicate", "late", "future", "null_user", "null_item", "price_text", "negative_price",
    "absurd_price", "wrong_type", "email_in_query", "bot",
)  # fmt: skip
"""Names of the kinds of dirt, by number. ``duplicate`` marks the second copy of a row, ``late`` arrives days later."""

(_, MALFORMED, DUPLICATE, LATE, FUTURE, NULL_USER, NULL_ITEM, PRICE_TEXT, NEGATIVE_PRICE, ABSURD_PRICE, WRONG_TYPE,
 EMAIL_IN_QUERY, BOT) = range(len(KINDS))  # fmt: skip

_SHARES = {
    MALFORMED: 0.10, DUPLICATE: DUPLICATE_SHARE, LATE: 0.10, FUTURE: 0.08, NULL_USER: 0.05, NULL_ITEM: 0.04, PRICE_TEXT: 0.06,
    NEGATIVE_PRICE: 0.03, ABSURD_PRICE: 0.02, WRONG_TYPE: 0.06,
}  # fmt: skip
"""Parts of the dirty rows; `world.BOT_SHARE` is that of bots."""

_EMAIL_SEARCH_RATE = 0.15
"""Searches with an e-mail address in them, as a multiple of the share of dirty rows."""

MAX_LATE_DAYS = 3


def soil(world: World, events: pd.DataFrame) -> pd.DataFrame:
    """Make some rows dirty, each in one way; adds ``arrival_day`` and ``dirt``, and the second copy of duplicates."""
    random, key = world.random, events["event_key"].to_numpy()
    kinds = list(_SHARES)
    limits = np.cumsum([_SHARES[kind] for kind in kinds]) * world.dirty_share
    place = np.searchsorted(limits, random.uniform("dirt", key), side="right")
    dirt = np.array([*kinds, 0])[place]
    code, day = events["type"].to_numpy(), events["day"].to_numpy()
    searched = code == SEARCHED
    email = searched & (random.uniform("email", key) < _EMAIL_SEARCH_RATE * world.dirty_share)
    dirt = np.where(email, EMAIL_IN_QUERY, dirt)
    impossible = (
        (searched & np.isin(dirt, (NULL_ITEM, PRICE_TEXT, NEGATIVE_PRICE, ABSURD_PRICE, WRONG_TYPE)))
        | ((code == REFUND) & np.isin(dirt, (NEGATIVE_PRICE, ABSURD_PRICE)))
        | ((dirt == LATE) & (day + MAX_LATE_DAYS >= world.num_days))
    )
    dirt = np.where(impossible, 0, dirt)
    delay = np.where(dirt == LATE, 1 + random.below(MAX_LATE_DAYS, "delay", key), 0)
    ahead_ms = np.where(dirt == FUTURE, (1 + random.below(20, "years ahead", key)) * 366 * DAY_MS, 0)
    price = events["price"].to_numpy()
    price = np.select([dirt == NEGATIVE_PRICE, dirt == ABSURD_PRICE], [-price, price * 1e7], price)
    soiled = events.assign(
        user=np.where(dirt == NULL_USER, -1, events["user"]),
        item=np.where(dirt == NULL_ITEM, -1, events["item"]),
        ts_ms=events["ts_ms"].to_numpy() + ahead_ms,
        price=price,
        arrival_day=day + delay,
        dirt=np.where(dirt == DUPLICATE, 0, dirt),
    )
    copies = soiled[dirt == DUPLICATE].assign(dirt=DUPLICATE)
    return pd.concat([soiled, copies], ignore_index=True)


def make_bot_rows(world: World, number: Ints) -> pd.DataFrame:
    """Rows of bots by number: one user for each bot-day, an impression or a click of it at every tick of that day."""
    random, per_day = world.random, world.bot_rows_per_day
    bot, tick = number // per_day, number % per_day
    pair = tick // 2
    day = random.below(world.num_days, "bot day", bot)
    user = bot_user(world, bot)
    spacing = DAY_MS // per_day
    clicks = tick % 2
    item = (random.below(world.num_items, "bot item", bot) + 7 * pair) % world.num_items
    return pd.DataFrame(
        {
            "event_key": random.bits("bot event", bot, tick).view(np.int64),
            "user": user,
            "item": item,
            "type": np.where(clicks == 1, 2, IMPRESSION),
            "ts_ms": world.start_ms + day * DAY_MS + tick * spacing,
            "price": np.nan,
            "quantity": 0,
            "noun": -1,
            "style": -1,
            "position": 1 + pair % 10,
            "campaign": -1,
            "device": 1,
            "country": make_people(world, user).country,
            "propensity": np.nan,
            "day": day,
            "arrival_day": day,
            "dirt": BOT,
        }
    )


def bot_user(world: World, bot: Ints) -> Ints:
    """User numbers of bots: after those of people."""
    return world.num_users + bot
