"""Items as arrays: names become codes, and what is not known of an item stays unknown."""

import pandas as pd

from attune.recommend.catalogue import item_arrays


def test_categories_and_brands_are_codes_of_sorted_names() -> None:
    items = pd.DataFrame(
        {
            "item_id": ["a", "b", "c", "d"],
            "title": ["A", None, "C", "D"],
            "category": ["Toys", "Home", "", None],
            "brand": ["Volt", None, "Lux", "Volt"],
            "price": [1.0, None, 0.0, 2.0],
            "item_days_since_first": [3.0, 2.0, 1.0, None],
            "item_popularity_7d": [1.0, 2.0, 3.0, None],
        }
    )
    found = item_arrays(items, "item_popularity_7d", new_items=True)
    assert (found["categories"], found["category"].tolist()) == (["Home", "Toys"], [1, 0, -1, -1])
    assert (found["brands"], found["brand"].tolist()) == (["Lux", "Volt"], [1, -1, 0, 1])
    assert found["columns"] == ["item_days_since_first", "item_popularity_7d"]
    unnamed = item_arrays(items.assign(brand=None), "item_popularity_7d", new_items=True)
    assert (list(unnamed["brands"]), unnamed["brand"].tolist()) == ([], [-1] * 4)
