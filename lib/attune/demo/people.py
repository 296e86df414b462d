"""The demo shop's users: who they are, what they like and how that drifts, how often they come."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from attune.demo.catalogue import NUM_HIDDEN, Catalogue, make_catalogue
from attune.demo.randomness import Floats, Ints
from attune.demo.vocabulary import AGE_BANDS, CATEGORIES, COUNTRIES, DEVICES, GENDERS, STYLES
from attune.demo.world import World

_TASTE_KEPT = 0.7
"""Correlation of a user's tastes at the end of the log with those at its start."""

_MAX_SESSIONS_PER_DAY = 6
CONSENT_REFUSED, CONSENT_UNKNOWN = 0.008, 0.05


@dataclass(frozen=True)
class People:
    """Some users as arrays, one row a user.

    ``category_start`` and ``category_end`` (n, categories) are logits of the categories a user comes for at both ends
    of the log; ``style_start`` and ``style_end`` (n, styles) are liking, standard normal; ``thrift`` is the log of the
    price level a user is used to, 0 being the category's median; ``device`` is the device used most.
    """

    user: Ints
    country: Ints
    device: Ints
    age: Ints
    gender: Ints
    first_day: Ints
    weight: Floats
    category_start: Floats
    category_end: Floats
    style_start: Floats
    style_end: Floats
    hidden: Floats
    thrift: Floats


def make_people(world: World, user: Ints) -> People:
    """The users of the given numbers; the same whichever others are asked for."""
    random, each = world.random, user[:, None]
    num_categories = min(len(CATEGORIES), world.num_items)
    category, style = np.arange(num_categories), np.arange(len(STYLES))
    country = _pick(random.uniform("country", user), [share for _, share, _ in COUNTRIES])
    age = _pick(random.uniform("age", user), [0.16, 0.26, 0.22, 0.16, 0.12, 0.08])
    # What is liked differs a little by country and by age, so that a stranger's region tells something.
    shared = 0.6 * random.normal("country taste", country[:, None], category) + 0.4 * random.normal(
        "age taste", age[:, None], category
    )
    start, end = _drifting(world, "category taste", each, category)
    style_start, style_end = _drifting(world, "style taste", each, style)
    first_day = _first_day(world, user)
    return People(
        user=user,
        country=country,
        device=_pick(random.uniform("device", user), [0.58, 0.34, 0.08]),
        age=age,
        gender=_pick(random.uniform("gender", user), [0.46, 0.42, 0.02, 0.10]),
        first_day=first_day,
        weight=_weight(world, user, first_day),
        category_start=2.2 * start + shared,
        category_end=2.2 * end + shared,
        style_start=style_start,
        style_end=style_end,
        hidden=random.normal("hidden taste", each, np.arange(NUM_HIDDEN)),
        thrift=0.5 * random.normal("thrift", user),
    )


def _pick(uniform: Floats, shares: list[float]) -> Ints:
    return np.minimum(np.searchsorted(np.cumsum(shares), uniform, side="right"), len(shares) - 1)


def _drifting(world: World, stream: str, user: Ints, axis: Ints) -> tuple[Floats, Floats]:
    start = world.random.normal(stream, user, axis)
    new = world.random.normal(f"{stream}, new", user, axis)
    return start, _TASTE_KEPT * start + math.sqrt(1 - _TASTE_KEPT**2) * new


def _first_day(world: World, user: Ints) -> Ints:
    """Two thirds are there from the start, a quarter comes during the log, a tenth in its last ninth."""
    kind, when = world.random.uniform("arrival", user), world.random.uniform("arrival day", user)
    share = np.select([kind < 0.66, kind < 0.90], [0.0, 0.89 * when], 0.89 + 0.10 * when)
    return np.floor(share * world.num_days).astype(np.int64)


def _activity(world: World, user: Ints) -> Floats:
    """Heavy-tailed weight (Pareto, cut at 40), spread evenly over user numbers so that no partition gets more."""
    step = next(
        s for s in range(int(world.num_users * 0.618) + 1, 2 * world.num_users + 2) if math.gcd(s, world.num_users) == 1
    )
    shift = world.random.below(world.num_users, "activity")
    quantile = ((user * step + shift) % world.num_users + 0.5) / world.num_users
    return np.minimum((1 - quantile) ** (-1 / 1.4), 40.0)


def sessions_per_weight(world: World, num_sessions: float) -> float:
    """Sessions for each unit of activity that give so many sessions, the most that a user may have reckoned in."""
    per_weight = 1.0
    for _ in range(5):
        total = 0.0
        for begin in range(0, world.num_users, 100_000):
            user = np.arange(begin, min(begin + 100_000, world.num_users))
            first_day = _first_day(world, user)
            total += float(np.minimum(_weight(world, user, first_day) * per_weight, _most(world, first_day)).sum())
        per_weight *= num_sessions / total
    return per_weight


def num_sessions(world: World, people: People, per_weight: float) -> Ints:
    """Sessions of each user; ``per_weight`` from ``sessions.calibrate``."""
    expected = people.weight * per_weight + world.random.uniform("sessions", people.user)
    return np.minimum(np.floor(expected).astype(np.int64), _most(world, people.first_day))


def _weight(world: World, user: Ints, first_day: Ints) -> Floats:
    """Activity of users over the days that they are there."""
    weight: Floats = _activity(world, user) * ((world.num_days - first_day) / world.num_days) ** 0.7
    return weight


def _most(world: World, first_day: Ints) -> Ints:
    return _MAX_SESSIONS_PER_DAY * (world.num_days - first_day)


def category_taste(people: People, row: Ints, tau: Floats) -> Floats:
    """Logits (n, categories) of users, by row of ``people``, at times ``tau`` from 0 (start of the log) to 1 (end)."""
    return _between(people.category_start[row], people.category_end[row], tau[:, None])


def _between(start: Floats, end: Floats, tau: Floats) -> Floats:
    # Scaled so that the liking keeps its variance in the middle of the log, where start and end are averaged.
    scale = np.sqrt((1 - tau) ** 2 + tau**2 + 2 * _TASTE_KEPT * tau * (1 - tau))
    return ((1 - tau) * start + tau * end) / scale


def noun_taste(world: World, user: Ints, noun: Ints, tau: Floats) -> Floats:
    """Liking, standard normal, of users for kinds of item."""
    start, end = _drifting(world, "noun taste", user, noun)
    return _between(start, end, tau)


def match(world: World, people: People, row: Ints, tau: Floats, item: Ints) -> Floats:
    """How well items suit users at times ``tau``: mean about 0, variance about 2, in logits of a click.

    ``row``, ``tau`` and ``item`` have one length. The parts: category, kind of item, style, material, taste that no
    text tells, and price.
    """
    catalogue: Catalogue = make_catalogue(world)
    category = catalogue.category[item]
    style = catalogue.style[item]
    logits = _between(people.category_start[row, category], people.category_end[row, category], tau)
    liked_style = _between(people.style_start[row, style], people.style_end[row, style], tau)
    user = people.user[row]
    median = np.array([c.median_price for c in CATEGORIES])[category]
    dear = np.log(catalogue.price[item] / median) - people.thrift[row]
    return (
        0.25 * np.clip(logits, -3, 3)
        + 0.7 * noun_taste(world, user, catalogue.noun[item], tau)
        + 1.0 * liked_style
        + 0.4 * world.random.normal("material taste", user, catalogue.material[item])
        + 0.25 * (people.hidden[row] * catalogue.hidden[item]).sum(axis=1)
        - 0.6 * np.abs(dear)
    )


def describe_users(world: World, user: Ints) -> pd.DataFrame:
    """Raw fields of users: user, age_band, gender, country, consent (null where not asked)."""
    people = make_people(world, user)
    consent = world.random.uniform("consent", user)
    return pd.DataFrame(
        {
            "user": [user_id(u) for u in user],
            "age_band": np.array(AGE_BANDS)[people.age],
            "gender": np.array(GENDERS)[people.gender],
            "country": np.array([name for name, _, _ in COUNTRIES])[people.country],
            "consent": np.select(
                [consent < CONSENT_REFUSED, consent < CONSENT_REFUSED + CONSENT_UNKNOWN], ["false", "unknown"], "true"
            ),
        }
    ).assign(consent=lambda df: df["consent"].map({"true": True, "false": False, "unknown": None}).astype(object))


def session_device(world: World, people: People, row: Ints, session: Ints) -> Ints:
    """Device of a session: the user's own, or now and then another."""
    user = people.user[row]
    other = world.random.uniform("other device", user, session) < 0.12
    return np.where(other, world.random.below(len(DEVICES), "which device", user, session), people.device[row])


def user_id(user: int) -> str:
    """Id of a user in the raw files."""
    return f"u{user:07d}"
