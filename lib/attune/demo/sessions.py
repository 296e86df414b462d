"""What users do in their visits: impressions, searches, clicks, views, carts, purchases and refunds."""

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import pandas as pd

from attune.demo.catalogue import make_catalogue
from attune.demo.people import People, make_people, match, num_sessions, sessions_per_weight
from attune.demo.randomness import Floats, Ints, Mask, sigmoid
from attune.demo.visits import DIRECT, SEARCH, Shown, Visits, click_given_look, examination, make_visits, show
from attune.demo.vocabulary import CATEGORIES
from attune.demo.world import DAY_MS, World
from attune.schemas import EVENT_TYPES

IMPRESSION, SEARCHED, CLICK, VIEW, CART, PURCHASE, REFUND = range(len(EVENT_TYPES))

COLUMNS: Mapping[str, str] = {
    "event_key": "bigint", "user": "int", "item": "int", "type": "int", "ts_ms": "bigint", "price": "double",
    "quantity": "int", "noun": "int", "style": "int", "position": "int", "campaign": "int", "device": "int",
    "country": "int", "propensity": "double", "day": "int", "arrival_day": "int", "dirt": "int",
}  # fmt: skip
"""Columns of generated events, with Spark types. Numbers stand for names; none is -1, NaN in doubles, 0 in quantity."""

_MAX_OPENED = 5
_SAMPLE_USERS = 2_000
_TYPICAL_ROWS_PER_SESSION = 9.8


@lru_cache(maxsize=2)
def calibrate(world: World) -> float:
    """Sessions for each unit of activity that give the rows asked for; rows per session are measured on some users."""
    sample = np.arange(min(_SAMPLE_USERS, world.num_users))
    people, rows_per_session = make_people(world, sample), _TYPICAL_ROWS_PER_SESSION
    for _ in range(3):
        per_weight = sessions_per_weight(world, world.num_people_rows / rows_per_session)
        sessions = int(num_sessions(world, people, per_weight).sum())
        rows_per_session = len(make_events(world, sample, per_weight)) / max(sessions, 1)
    return per_weight


def make_events(world: World, user: Ints, per_weight: float) -> pd.DataFrame:
    """All events of some users, free of dirt. Columns: those of COLUMNS but arrival_day and dirt."""
    people = make_people(world, user)
    visits = make_visits(world, people, per_weight)
    shown = show(world, visits)
    suits = match(world, people, visits.row[shown.visit], visits.tau[shown.visit], shown.item)
    listed: Mask = visits.kind[shown.visit] != DIRECT
    clicked: Mask = listed & _is_clicked(world, visits, shown, suits)
    opened: Mask = clicked | (~listed & _is_opened(world, visits, shown, suits))
    at: Ints = visits.start_ms[shown.visit]
    moment = world.random.uniform("click moment", *_key(visits, shown))
    thinking: Ints = np.floor(6_000 * moment).astype(np.int64)
    opened_ms = at + 4_000 + 2_500 * shown.position + thinking
    searching = np.flatnonzero(visits.kind == SEARCH)
    parts = [
        _events(world, people, visits, SEARCHED, searching, visits.start_ms[searching]),
        _listed(world, people, visits, shown, IMPRESSION, listed, at + 1_000 + 20 * shown.position),
        _listed(world, people, visits, shown, CLICK, clicked, opened_ms),
    ]
    parts += _after_opening(world, people, visits, shown, suits, opened, opened_ms)
    return pd.concat(parts, ignore_index=True)


def _key(visits: Visits, shown: Shown) -> tuple[Ints, Ints, Ints]:
    return visits.user[shown.visit], visits.number[shown.visit], shown.item


def _is_clicked(world: World, visits: Visits, shown: Shown, suits: Floats) -> Mask:
    catalogue, key = make_catalogue(world), _key(visits, shown)
    looked: Mask = world.random.uniform("look", *key) < examination(shown.position)
    off = discount(world, shown.item, visits.day[shown.visit])
    wanted: Mask = world.random.uniform("click", *key) < click_given_look(suits, catalogue.quality[shown.item], off)
    return looked & wanted


def _is_opened(world: World, visits: Visits, shown: Shown, suits: Floats) -> Mask:
    """Items opened without a list: those of the first few that suit; at least the first."""
    wanted = world.random.uniform("open", *_key(visits, shown)) < sigmoid(suits - 0.2)
    return (shown.position <= _MAX_OPENED) & (wanted | (shown.position == 1))


def _after_opening(
    world: World, people: People, visits: Visits, shown: Shown, suits: Floats, opened: Mask, opened_ms: Ints
) -> list[pd.DataFrame]:
    """Views, carts, purchases, refunds and repeat purchases of opened items."""
    random, catalogue = world.random, make_catalogue(world)
    key = _key(visits, shown)

    def later(stream: str, low_ms: int, high_ms: int) -> Ints:
        return low_ms + random.below(high_ms - low_ms, stream, *key)

    wish = suits + 0.5 * catalogue.quality[shown.item]
    viewed = opened & (random.uniform("view", *key) < 0.92)
    looked_twice = viewed & (random.uniform("second view", *key) < 0.25 + 0.25 * sigmoid(suits))
    carted = viewed & (random.uniform("cart", *key) < sigmoid(-2.6 + 0.6 * wish))
    bought = carted & (random.uniform("purchase", *key) < sigmoid(-1.95 + 0.4 * wish))
    cart_ms = opened_ms + later("cart moment", 20_000, 120_000)
    buy_ms = cart_ms + later("purchase moment", 40_000, 300_000)
    refund_ms = buy_ms + later("refund moment", 2 * DAY_MS, 12 * DAY_MS)
    again_ms = buy_ms + later("repeat moment", 7 * DAY_MS, 35 * DAY_MS)
    again_rate = np.array([c.bought_again for c in CATEGORIES])[catalogue.category[shown.item]]
    again = bought & (random.uniform("repeat", *key) < again_rate) & (again_ms < world.end_ms)
    unhappy = sigmoid(-3.1 - 0.6 * catalogue.quality[shown.item])
    refunded = bought & (random.uniform("refund", *key) < unhappy) & (refund_ms < world.end_ms)
    quantity = np.where(random.uniform("quantity", *key) < 0.13, 2 + random.below(2, "how many", *key), 1)
    moves = (
        (VIEW, viewed, opened_ms + 400, 0, 0),
        (VIEW, looked_twice, opened_ms + later("second view moment", 8_000, 19_000), 1, 0),
        (CART, carted, cart_ms, 0, 1),
        (PURCHASE, bought, buy_ms, 0, 1),
        (VIEW, again, again_ms - 45_000, 2, 0),
        (PURCHASE, again, again_ms, 1, 1),
        (REFUND, refunded, refund_ms, 0, -1),
    )
    return [
        _listed(world, people, visits, shown, code, which, ms, copy, sign * quantity if sign else None)
        for code, which, ms, copy, sign in moves
    ]


def _listed(
    world: World, people: People, visits: Visits, shown: Shown, code: int, which: Mask, ts_ms: Ints,
    copy: int = 0, quantity: Ints | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Events of one type for the shown items that a mask picks."""
    chosen = np.flatnonzero(which)
    visit, item = shown.visit[chosen], shown.item[chosen]
    in_list = code in (IMPRESSION, CLICK)
    events = _events(world, people, visits, code, visit, ts_ms[chosen], item, copy)
    price = make_catalogue(world).price[item] * (1 - discount(world, item, visits.day[visit]))
    return events.assign(
        price=np.round(price, 2),
        quantity=0 if quantity is None else quantity[chosen],
        position=shown.position[chosen] if in_list else -1,
        propensity=shown.propensity[chosen] if code == IMPRESSION else np.nan,
    )


def _events(
    world: World, people: People, visits: Visits, code: int, visit: Ints, ts_ms: Ints,
    item: Ints | None = None, copy: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """Events of one type in the given visits."""
    item = np.full(len(visit), -1) if item is None else item
    user, number = visits.user[visit], visits.number[visit]
    searched = code == SEARCHED
    return pd.DataFrame(
        {
            "event_key": world.random.bits("event", user, number, item, np.int64(8 * code + copy)).view(np.int64),
            "user": user,
            "item": item,
            "type": code,
            "ts_ms": ts_ms,
            "price": np.nan,
            "quantity": 0,
            "noun": visits.noun[visit] if searched else -1,
            "style": visits.style[visit] if searched else -1,
            "position": -1,
            "campaign": visits.campaign[visit],
            "device": visits.device[visit],
            "country": people.country[visits.row[visit]],
            "propensity": np.nan,
            "day": (ts_ms - world.start_ms) // DAY_MS,
        }
    )


def discount(world: World, item: Ints, day: Ints) -> Floats:
    """Share taken off an item's price on a day: one item in eight is on offer in any week."""
    week = day // 7
    on_offer = world.random.uniform("offer", item, week) < 0.125
    return np.where(on_offer, 0.1 + 0.2 * world.random.uniform("offer size", item, week), 0.0)
