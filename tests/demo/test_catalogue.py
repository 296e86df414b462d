"""Items must differ in ways that their texts tell, or text models could learn nothing."""

from collections.abc import Callable

import numpy as np
import pytest

from attune.demo.catalogue import describe_items, make_catalogue, make_shelves
from attune.demo.vocabulary import CATEGORIES, COUNTRIES, NOUNS_PER_CATEGORY, STYLES
from attune.demo.world import World


@pytest.fixture(scope="module")
def items(world: World):
    return describe_items(world, np.arange(world.num_items))


def test_titles_name_the_noun_and_the_style(world: World, items):
    catalogue = make_catalogue(world)
    for row, (title, description) in enumerate(zip(items["title"], items["description"], strict=True)):
        category = CATEGORIES[catalogue.category[row]]
        noun = category.nouns[catalogue.noun[row] % NOUNS_PER_CATEGORY]
        words = list(STYLES.values())[catalogue.style[row]]
        assert noun in title
        assert any(word in title for word in words)
        assert noun.split()[-1].lower() in description.lower()


def test_items_differ(items):
    assert items["title"].nunique() > 0.95 * len(items)
    assert items["category"].nunique() == len(CATEGORIES)
    assert items["price"].between(1, 2000).all()


def test_prices_are_log_normal_about_the_categorys(world: World, items):
    median = items.groupby("category")["price"].median()
    told = {c.path: c.median_price for c in CATEGORIES}
    assert all(0.7 < median[path] / told[path] < 1.4 for path in told)
    assert np.log(items["price"]).std() > 0.5


def test_popularity_is_zipf_like(world: World):
    ranked = np.sort(make_catalogue(world).popularity)[::-1]
    slope = np.polyfit(np.log(np.arange(50, 500)), np.log(ranked[50:500]), 1)[0]
    assert -1.0 < slope < -0.5


@pytest.mark.parametrize("num_items", [1, 5, 40])
def test_small_catalogues_always_have_something_on_sale(make: Callable[..., World], num_items: int):
    shelves = make_shelves(make(num_events=1000, num_items=num_items))
    assert (shelves.on_sale > 0).all()


def test_words_are_complete():
    assert sum(share for _, share, _ in COUNTRIES) == pytest.approx(1)
    for category in CATEGORIES:
        assert len(category.nouns) == NOUNS_PER_CATEGORY
        assert len(set(category.aspects)) == len(category.aspects) >= 5
        assert len(category.materials) == 5
    words = [word for style in STYLES.values() for word in style]
    assert len(set(words)) == len(words)
