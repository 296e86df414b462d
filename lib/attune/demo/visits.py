"""Who comes when, for what, and what the incumbent policy shows: sessions and their lists of impressions."""

from dataclasses import dataclass

import numpy as np

from attune.demo.campaigns import make_campaigns
from attune.demo.catalogue import context_of, draw, make_catalogue, make_shelves
from attune.demo.people import People, category_taste, noun_taste, num_sessions, session_device
from attune.demo.randomness import Floats, Ints, choose_rows, sigmoid, softmax_cumulative
from attune.demo.vocabulary import NOUNS_PER_CATEGORY
from attune.demo.world import DAY_MS, World

SEARCH, PAGE, HOME, DIRECT = range(4)
_KIND_SHARES = (0.45, 0.25, 0.10, 0.20)
_HOUR_WEIGHTS = (2, 1, 1, 1, 1, 2, 4, 6, 7, 8, 9, 10, 11, 10, 9, 9, 10, 11, 13, 15, 16, 14, 9, 5)
_WEEKDAY_WEIGHTS = (0.95, 0.9, 0.9, 0.95, 1.0, 1.2, 1.25)
_SHORTEST, _LONGEST, _DRAWS = 5, 13, 26


@dataclass(frozen=True)
class Visits:
    """Sessions as arrays, one row a session; ``row`` is the user's row in People, ``number`` counts by user.

    ``tau`` is the time as a share of the log; ``noun`` and ``style`` (-1: none) are what is searched for; ``context``
    is the shelf looked at; ``campaign`` (-1: none) led to the visit.
    """

    row: Ints
    user: Ints
    number: Ints
    day: Ints
    start_ms: Ints
    tau: Floats
    kind: Ints
    noun: Ints
    style: Ints
    context: Ints
    campaign: Ints
    device: Ints


@dataclass(frozen=True)
class Shown:
    """Items in lists, one row an item; ``visit`` is the row in Visits, ``position`` counts from 1.

    ``propensity`` is the probability that the policy put the item there, given the items above it.
    """

    visit: Ints
    item: Ints
    position: Ints
    propensity: Floats


def make_visits(world: World, people: People, per_weight: float) -> Visits:
    """All sessions of some users; ``per_weight`` from ``sessions.calibrate``."""
    random, catalogue = world.random, make_catalogue(world)
    counts = num_sessions(world, people, per_weight)
    row = np.repeat(np.arange(len(people.user)), counts)
    number = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    user = people.user[row]
    key = (user, number)
    day, start_ms = _arrival(world, people.first_day[row], key)
    tau = (start_ms - world.start_ms) / (world.num_days * DAY_MS)
    category = choose_rows(softmax_cumulative(category_taste(people, row, tau)), random.uniform("visit category", *key))
    kind = np.searchsorted(np.cumsum(_KIND_SHARES), random.uniform("visit kind", *key), side="right")
    kind = np.minimum(kind, DIRECT)
    nouns = category[:, None] * NOUNS_PER_CATEGORY + np.arange(NOUNS_PER_CATEGORY)
    liking = noun_taste(world, user[:, None], nouns, tau[:, None])
    noun = category * NOUNS_PER_CATEGORY + choose_rows(
        softmax_cumulative(2.0 * liking), random.uniform("visit noun", *key)
    )
    searched = choose_rows(
        softmax_cumulative(1.4 * _style_logits(people, row, tau)), random.uniform("visit style", *key)
    )
    names_style = random.uniform("names style", *key) < 0.5
    style = np.where(((kind == SEARCH) & names_style) | (kind == DIRECT), searched, -1)
    context = np.select([kind == HOME, kind == PAGE], [0, 1 + category], context_of(catalogue, noun, style))
    return Visits(
        row, user, number, day, start_ms, tau, kind, noun, style, context,
        _campaign(world, kind, category, day, key), session_device(world, people, row, number),
    )  # fmt: skip


def _arrival(world: World, first_day: Ints, key: tuple[Ints, Ints]) -> tuple[Ints, Ints]:
    """Day and millisecond at which sessions start, by weekday and hour; never so late that one outlasts the log."""
    weekday = (world.start.weekday() + np.arange(world.num_days)) % 7
    upto = np.concatenate([[0.0], np.cumsum(np.array(_WEEKDAY_WEIGHTS)[weekday])])
    place = upto[first_day] + world.random.uniform("visit day", *key) * (upto[-1] - upto[first_day])
    day = np.clip(np.searchsorted(upto, place, side="right") - 1, first_day, world.num_days - 1)
    hours = np.cumsum(_HOUR_WEIGHTS) / np.sum(_HOUR_WEIGHTS)
    hour = np.minimum(np.searchsorted(hours, world.random.uniform("visit hour", *key), side="right"), 23)
    within = world.random.below(3_600_000, "visit moment", *key)
    latest = world.end_ms - 1_800_000
    return day, np.minimum(world.start_ms + day * DAY_MS + hour * 3_600_000 + within, latest)


def _style_logits(people: People, row: Ints, tau: Floats) -> Floats:
    late: Floats = tau[:, None]
    start: Floats = people.style_start[row]
    end: Floats = people.style_end[row]
    return (1 - late) * start + late * end


def _campaign(world: World, kind: Ints, category: Ints, day: Ints, key: tuple[Ints, Ints]) -> Ints:
    """The running campaign for the category that led to a visit of its page, if any."""
    found = np.full(len(kind), -1)
    for campaign in make_campaigns(world):
        running = (day >= campaign.first_day) & (day < campaign.end_day) & (category == campaign.category)
        led = (kind == PAGE) & running & (world.random.uniform("from campaign", *key, campaign.number) < 0.5)
        found = np.where(led, campaign.number, found)
    return found


def show(world: World, visits: Visits) -> Shown:
    """Lists of every visit: items drawn one after the other without repeats, by the weights of the context.

    That is a Plackett-Luce ranking by weight. A direct visit has such a list too: what else the user might open.
    """
    catalogue, shelves, random = make_catalogue(world), make_shelves(world), world.random
    key = (visits.user[:, None], visits.number[:, None], np.arange(_DRAWS))
    places = draw(shelves, visits.context[:, None], random.uniform("slate", *key))
    items = shelves.item[places]
    fits = catalogue.launch_day[items] <= visits.day[:, None]
    for j in range(1, _DRAWS):
        fits[:, j] &= ~((items[:, :j] == items[:, j : j + 1]) & fits[:, :j]).any(axis=1)
    length = _SHORTEST + random.below(_LONGEST - _SHORTEST + 1, "slate length", visits.user, visits.number)
    position = np.cumsum(fits, axis=1)
    taken = fits & (position <= length[:, None])
    share = np.where(taken, shelves.probability[places], 0.0)
    left = shelves.on_sale[visits.context, visits.day][:, None] - (np.cumsum(share, axis=1) - share)
    visit, place = np.nonzero(taken)
    propensity = share[visit, place] / np.maximum(left[visit, place], share[visit, place])
    return Shown(visit, items[visit, place], position[visit, place], propensity)


def examination(position: Ints) -> Floats:
    """Probability that a user looks at a position at all: the position bias of the log."""
    return 1.0 / (1.0 + 0.22 * (position - 1.0))


CLICK_BASE = -3.15
"""Logit of a click on an item that is looked at and suits the user as well as any."""


def click_given_look(match: Floats, quality: Floats, discount: Floats) -> Floats:
    """Probability of a click on an item that is looked at."""
    return sigmoid(CLICK_BASE + match + 0.2 * quality + 2.0 * discount)
