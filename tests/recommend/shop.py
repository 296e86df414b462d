"""A made-up log: two circles of users, each with its own items, and a country for each circle."""

import datetime as dt

import numpy as np
import pandas as pd

START = dt.date(2026, 1, 1)
NUM_DAYS = 80
NUM_USERS = 60
ITEMS_PER_CIRCLE = 15
COUNTRIES = ("France", "Spain")


def events(seed: int = 1) -> pd.DataFrame:
    """Columns of table events. Users with even numbers act on items of circle 0, the others on those of circle 1."""
    generator = np.random.default_rng(seed)
    rows = []
    for user in range(NUM_USERS):
        circle = user % 2
        # Some users come late, so that each period has new ones.
        first = 0 if user < NUM_USERS // 2 else int(generator.integers(0, NUM_DAYS - 5))
        for day in sorted(generator.integers(first, NUM_DAYS, 12)):
            session = f"s{user}-{day}"
            for item in generator.choice(ITEMS_PER_CIRCLE, 2, replace=False):
                kind = "purchase" if generator.random() < 0.3 else "view"
                rows.append((user, session, f"i{circle}-{item:02}", kind, int(day), COUNTRIES[circle]))
    frame = pd.DataFrame(rows, columns=["user", "session_id", "item_id", "event_type", "day", "country"])
    stamps = pd.Timestamp(START) + pd.to_timedelta(frame["day"], unit="D") + pd.Timedelta(hours=9)
    return pd.DataFrame(
        {
            "event_id": [f"e{place}" for place in range(len(frame))],
            "user_id": [f"u{user:02}" for user in frame["user"]],
            "session_id": frame["session_id"],
            "item_id": frame["item_id"],
            "event_type": frame["event_type"],
            "event_ts": stamps.dt.tz_localize("UTC"),
            "value": 5.0,
            "quantity": 2.0,
            "country": frame["country"],
            "ds": stamps.dt.date,
        }
    )


def items() -> pd.DataFrame:
    """Columns of table items: two categories, three brands, some items of none, and one item of the first that nobody has met."""
    ids = [f"i{circle}-{item:02}" for circle in (0, 1) for item in range(ITEMS_PER_CIRCLE)] + ["i0-new"]
    return pd.DataFrame(
        {
            "item_id": ids,
            "title": [f"Item {name}" for name in ids],
            "category": [f"Circle {name[1]} > All" for name in ids],
            "brand": [f"Brand {place % 3}" if place % 5 else None for place in range(len(ids))],
            "price": [10.0 + place for place in range(len(ids))],
        }
    )


def vectors() -> pd.DataFrame:
    """Columns of table embeddings: one direction a circle."""
    ids = items()["item_id"]
    return pd.DataFrame(
        {
            "id": ids,
            "kind": "item",
            "vector": [[1.0, 0.0] if name[1] == "0" else [0.0, 1.0] for name in ids],
            "model_version": "m",
        }
    )
