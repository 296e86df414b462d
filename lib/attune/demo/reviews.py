"""Reviews: who reviews what, the stars he gives, and the dirt of real review logs."""

import numpy as np
import pandas as pd

from attune.demo.catalogue import context_of, draw, item_id, make_catalogue, make_shelves
from attune.demo.people import category_taste, make_people, match, noun_taste, user_id
from attune.demo.randomness import Dice, Ints, choose_rows, softmax_cumulative
from attune.demo.review_text import Subject, write_review
from attune.demo.vocabulary import ASPECTS, CATEGORIES, COUNTRIES, NOUNS_PER_CATEGORY
from attune.demo.world import DAY_MS, World

COLUMNS = (
    "review_id string, user string, item string, stars string, headline string, text string, ts_ms bigint, "
    "helpful int, dirt string, true_stars int, problem string"
)
"""Columns of generated reviews. ``dirt`` is null in clean rows; ``true_stars`` are the stars that the words follow."""

_STAR_LIMITS = (-0.51, -0.11, 0.29, 0.86)
_LABEL_NOISE = 0.03
_DIRT_SHARES = {
    "duplicate": 0.012, "html": 0.02, "email": 0.006, "phone": 0.006, "malformed": 0.004, "null_item": 0.003,
    "wrong_stars": 0.005, "future": 0.002,
}  # fmt: skip
"""Shares of the reviews, at the default dirty_share of 0.03; they grow with it."""

_DEFAULT_DIRTY_SHARE = 0.03
_CANDIDATES = 4


def make_reviews(world: World, number: Ints) -> pd.DataFrame:
    """Reviews by number. Grain: one review, twice where it is a duplicate. Columns: see COLUMNS."""
    random = world.random
    user = random.below(world.num_users, "reviewer", number)
    people, row = make_people(world, user), np.arange(len(number))
    first = people.first_day / world.num_days
    tau = first + (1 - first) * random.uniform("review moment", number)
    ts_ms = np.minimum(world.start_ms + (tau * world.num_days * DAY_MS).astype(np.int64), world.end_ms - 1)
    item = _choose_items(world, number, tau)
    suits = match(world, people, row, tau, item)
    catalogue = make_catalogue(world)
    content = 0.75 * catalogue.quality[item] + 0.3 * suits + 0.75 * random.normal("mood", number) + 0.25
    true_stars = 1 + np.searchsorted(_STAR_LIMITS, content)
    noisy = random.uniform("wrong label", number) < _LABEL_NOISE
    stars = np.where(noisy, 1 + random.below(5, "which label", number), true_stars)
    chinese = np.array([language == "zh" for _, _, language in COUNTRIES])[people.country]
    language = np.where(chinese & (random.uniform("language", number) < 0.92), "zh", "en")
    texts = _write(world, number, item, true_stars, language)
    reviews = pd.DataFrame(
        {
            "review_id": [f"r{n:09d}" for n in number],
            "user": [user_id(u) for u in user],
            "item": [item_id(i) for i in item],
            "stars": stars.astype(str),
            "headline": [headline for headline, _ in texts],
            "text": [body for _, body in texts],
            "ts_ms": ts_ms,
            "helpful": np.floor(-1.5 * np.log(random.uniform("helpful", number))).astype(int),
            "dirt": _choose_dirt(world, number),
            "true_stars": true_stars,
            "problem": np.array(ASPECTS)[catalogue.problem[item]],
        }
    )
    return _soil(world, number, reviews)


def _choose_items(world: World, number: Ints, tau: np.ndarray) -> Ints:
    """Of a few items that the user's taste leads to and that are on sale, the one that suits best."""
    random, catalogue, shelves = world.random, make_catalogue(world), make_shelves(world)
    user = random.below(world.num_users, "reviewer", number)
    people, row = make_people(world, user), np.arange(len(number))
    category = choose_rows(
        softmax_cumulative(category_taste(people, row, tau)), random.uniform("review category", number)
    )
    nouns = category[:, None] * NOUNS_PER_CATEGORY + np.arange(NOUNS_PER_CATEGORY)
    liking = noun_taste(world, user[:, None], nouns, tau[:, None])
    noun = category * NOUNS_PER_CATEGORY + choose_rows(
        softmax_cumulative(liking), random.uniform("review noun", number)
    )
    context = context_of(catalogue, noun, np.full(len(number), -1))
    uniform = random.uniform("review item", number[:, None], np.arange(_CANDIDATES))
    items = shelves.item[draw(shelves, context[:, None], uniform)]
    # The first item of a category is always on sale: the one to fall back on.
    items[:, 0] = np.where(catalogue.launch_day[items[:, 0]] <= tau * world.num_days, items[:, 0], category)
    suits = np.stack([match(world, people, row, tau, items[:, j]) for j in range(_CANDIDATES)], axis=1)
    on_sale = catalogue.launch_day[items] <= (tau * world.num_days)[:, None]
    best = np.where(on_sale, suits, -np.inf).argmax(axis=1)
    chosen: Ints = items[row, best]
    return chosen


def _write(world: World, number: Ints, item: Ints, stars: Ints, language: np.ndarray) -> list[tuple[str, str]]:
    catalogue, keys = make_catalogue(world), world.random.bits("review text", number)
    written = []
    for i, key, rating, tongue in zip(item, keys, stars, language, strict=True):
        category = CATEGORIES[catalogue.category[i]]
        noun = category.nouns[catalogue.noun[i] % NOUNS_PER_CATEGORY]
        subject = Subject(category, noun, ASPECTS[catalogue.strength[i]], ASPECTS[catalogue.problem[i]])
        written.append(write_review(subject, int(rating), tongue, Dice(int(key))))
    return written


def _choose_dirt(world: World, number: Ints) -> np.ndarray:
    limits = np.cumsum(list(_DIRT_SHARES.values())) * min(world.dirty_share / _DEFAULT_DIRTY_SHARE, 8.0)
    place = np.searchsorted(limits, world.random.uniform("review dirt", number), side="right")
    return np.array([*_DIRT_SHARES, None], dtype=object)[place]


def _soil(world: World, number: Ints, reviews: pd.DataFrame) -> pd.DataFrame:
    """Write the dirt into the rows that have it."""
    kind = reviews["dirt"]
    digits = world.random.below(9_000, "contact", number) + 1_000
    body = reviews["text"]
    html = "<p>" + body.str.replace(" ", "&nbsp;", n=1).str.replace("'", "&#39;") + "<br />Cheers &amp; thanks</p>"
    mail = body + [f" Write to jo.martin{d}@example.com if you want mine." for d in digits]
    phone = body + [f" Call me on +44 20 7946 {d}." for d in digits]
    wrong = np.array(["0", "11", "five", "-1"])[digits % 4]
    ahead_ms = (1 + digits % 12) * 366 * DAY_MS
    copies = kind == "duplicate"
    soiled = reviews.assign(
        text=np.select([kind == "html", kind == "email", kind == "phone"], [html, mail, phone], body),
        item=reviews["item"].where(kind != "null_item", None),
        stars=np.where(kind == "wrong_stars", wrong, reviews["stars"]),
        ts_ms=reviews["ts_ms"] + np.where(kind == "future", ahead_ms, 0),
        dirt=kind.where(~copies, None),
    )
    return pd.concat([soiled, soiled[copies].assign(dirt="duplicate")], ignore_index=True)
