"""The demo shop's items: what they are, how good, how popular, since when; and how likely its pages show each."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from attune.demo.randomness import Dice, Floats, Ints
from attune.demo.vocabulary import (
    ASPECTS,
    CATEGORIES,
    COLOURS,
    MATERIALS_PER_CATEGORY,
    NOUNS_PER_CATEGORY,
    STYLES,
    Category,
)
from attune.demo.world import World

NUM_HIDDEN = 4
_NOUN_BOOST, _STYLE_BOOST = 6.0, 5.0
_STYLE_NAMES = tuple(STYLES)
_PROPER = ("Scandinavian", "Nordic", "Danish", "Bluetooth", "Sunday")


@dataclass(frozen=True)
class Catalogue:
    """Items as arrays of length num_items, by item number.

    ``noun`` and ``material`` count over all categories; ``strength`` and ``problem`` are indices of ASPECTS;
    ``hidden`` (num_items, NUM_HIDDEN) is taste that no text tells; ``launch_day`` is 0 or the first day on sale.
    """

    category: Ints
    noun: Ints
    material: Ints
    style: Ints
    price: Floats
    quality: Floats
    popularity: Floats
    launch_day: Ints
    hidden: Floats
    strength: Ints
    problem: Ints
    num_categories: int

    @property
    def num_nouns(self) -> int:
        """Nouns over all categories that have items."""
        return self.num_categories * NOUNS_PER_CATEGORY


@lru_cache(maxsize=2)
def make_catalogue(world: World) -> Catalogue:
    """All items of a world; the same arrays wherever it is called."""
    random, item = world.random, np.arange(world.num_items)
    num_categories = min(len(CATEGORIES), world.num_items)
    category = item % num_categories
    quality = random.normal("quality", item)
    median = np.array([c.median_price for c in CATEGORIES])[category]
    price = median * np.exp(0.45 * random.normal("price", item) + 0.12 * quality)
    rank = np.empty(world.num_items, dtype=np.int64)
    rank[np.argsort(random.uniform("rank", item), kind="stable")] = item
    aspects = [[ASPECTS.index(a) for a in c.aspects] for c in CATEGORIES]
    width = max(map(len, aspects))
    padded = np.array([(a * width)[:width] for a in aspects])
    counts = np.array([len(a) for a in aspects])[category]
    first = random.below(counts, "strength", item)
    second = (first + 1 + random.below(counts - 1, "problem", item)) % counts
    return Catalogue(
        category=category,
        noun=category * NOUNS_PER_CATEGORY + random.below(NOUNS_PER_CATEGORY, "noun", item),
        material=category * MATERIALS_PER_CATEGORY + random.below(MATERIALS_PER_CATEGORY, "material", item),
        style=random.below(len(STYLES), "style", item),
        price=np.maximum(np.floor(price), 1.0) + np.array([0.99, 0.5, 0.95, 0.0])[random.below(4, "cents", item)],
        quality=quality,
        popularity=(rank + 10.0) ** -0.8,
        launch_day=_launch_day(world, item, num_categories),
        hidden=random.normal("hidden", item[:, None], np.arange(NUM_HIDDEN)),
        strength=padded[category, first],
        problem=padded[category, second],
        num_categories=num_categories,
    )


def _launch_day(world: World, item: Ints, num_categories: int) -> Ints:
    """Most items are there from the start; an eighth comes in the middle of the log, a twelfth near its end."""
    kind, when = world.random.uniform("launch", item), world.random.uniform("launch day", item)
    middle, late = 0.2 + 0.6 * when, 0.85 + 0.13 * when
    share = np.select([kind < 0.80, kind < 0.92], [0.0, middle], late)
    # One item of each category is always on sale, so that no page is ever empty.
    return np.where(item < num_categories, 0, np.floor(share * world.num_days)).astype(np.int64)


@dataclass(frozen=True)
class Shelves:
    """How the incumbent policy ranks: items of each context with cumulative weights, flattened for one search.

    Context 0 is the home page, 1 to C the categories, then one per noun and query style, the last style being "none".
    ``cumulative`` adds the context's number to the share of weight up to and including an item; ``probability`` is the
    weight's share over all items, and ``on_sale`` (contexts, num_days) the share of weight on sale on a day.
    """

    item: Ints
    cumulative: Floats
    probability: Floats
    on_sale: Floats


def context_of(catalogue: Catalogue, noun: Ints, style: Ints) -> Ints:
    """Context of a search; style -1 is a search without one."""
    return 1 + catalogue.num_categories + noun * (len(STYLES) + 1) + np.where(style < 0, len(STYLES), style)


@lru_cache(maxsize=2)
def make_shelves(world: World) -> Shelves:
    """Weights of every context: popularity, times a boost where the query's noun and style are the item's."""
    catalogue = make_catalogue(world)
    members = [np.flatnonzero(catalogue.category == c) for c in range(catalogue.num_categories)]
    shelves = [(np.arange(world.num_items), catalogue.popularity)]
    shelves += [(items, catalogue.popularity[items]) for items in members]
    for noun in range(catalogue.num_nouns):
        items = members[noun // NOUNS_PER_CATEGORY]
        found = catalogue.popularity[items] * np.where(catalogue.noun[items] == noun, _NOUN_BOOST, 1.0)
        shelves += [
            (items, found * np.where(catalogue.style[items] == s, _STYLE_BOOST, 1.0)) for s in range(len(STYLES))
        ]
        shelves.append((items, found))
    probabilities = [weights / weights.sum() for _, weights in shelves]
    ends = [np.cumsum(p) for p in probabilities]
    by_day = [
        np.cumsum(np.bincount(catalogue.launch_day[items], p, minlength=world.num_days))[: world.num_days]
        for (items, _), p in zip(shelves, probabilities, strict=True)
    ]
    return Shelves(
        item=np.concatenate([items for items, _ in shelves]),
        cumulative=np.concatenate([context + end / end[-1] for context, end in enumerate(ends)]),
        probability=np.concatenate(probabilities),
        on_sale=np.stack(by_day),
    )


def draw(shelves: Shelves, context: Ints, uniform: Floats) -> Ints:
    """Places on the shelves, one for each context and uniform number, by weight."""
    places = np.searchsorted(shelves.cumulative, context + uniform, side="right")
    return np.minimum(places, len(shelves.item) - 1)


def describe_items(world: World, items: Ints) -> pd.DataFrame:
    """Raw fields of items: item, title, description, category, brand, price."""
    catalogue = make_catalogue(world)
    keys = world.random.bits("item text", items)
    rows = [_describe(catalogue, int(i), Dice(int(key))) for i, key in zip(items, keys, strict=True)]
    return pd.DataFrame(rows, columns=["item", "title", "description", "category", "brand", "price"])


def _describe(catalogue: Catalogue, item: int, dice: Dice) -> tuple[str, str, str, str, str, float]:
    category = CATEGORIES[catalogue.category[item]]
    noun = category.nouns[catalogue.noun[item] % NOUNS_PER_CATEGORY]
    material = category.materials[catalogue.material[item] % MATERIALS_PER_CATEGORY]
    words = STYLES[_STYLE_NAMES[catalogue.style[item]]]
    style, second = dice.sample(words, 2)
    feature, other = dice.sample(category.features, 2)
    colour, brand = dice.choose(COLOURS), dice.choose(category.brands)
    title = dice.choose(
        (
            f"{style} {material} {noun} with {feature}",
            f"{style} {noun} in {material}, {colour}",
            f"{brand} {style} {material} {noun}",
            f"{colour} {style} {noun} with {feature}",
            f"{material} {noun} with {feature}, {style} Style",
        )
    )
    description = _description(
        category, dice, _lower(noun), _lower(material), (_lower(style), _lower(second)), _lower(feature), _lower(other)
    )
    price = round(float(catalogue.price[item]), 2)
    return item_id(item), title, description, category.path, brand, price


def _description(
    category: Category, dice: Dice, noun: str, material: str, styles: tuple[str, str], feature: str, other: str
) -> str:
    use = dice.choose(category.uses)
    first = dice.choose(
        (
            f"In {styles[1]} style: our {noun} in {material}, with {feature}.",
            f"Our {styles[0]} {noun} in {material}, now with {feature}.",
            f"{noun[0].upper()}{noun[1:]} in {material} for everyone who loves {styles[1]} design.",
        )
    )
    second = dice.choose(
        (
            f"Made for {use}; {other} included.",
            f"Good for {use}, and with a touch of {styles[1]} charm.",
            f"With {other}, it is ready for {use}.",
        )
    )
    return f"{first} {second}"


def _lower(words: str) -> str:
    """Lower case, but for what is written in capitals anywhere: USB, RFID, Danish."""
    return " ".join(w if w[:2].isupper() or w in _PROPER else w.lower() for w in words.split())


def item_id(item: int) -> str:
    """Id of an item in the raw files."""
    return f"p{item:06d}"
