"""Made-up frames, as the tables of a small shop would give them, with texts that a plot could stumble over."""

import datetime as dt

import numpy as np
import pandas as pd

HOSTILE = "50 $ off $x^2$ <b> & a title that goes on and on and on and on and on"


def activity(num_days: int = 60) -> pd.DataFrame:
    days = [dt.date(2026, 1, 1) + dt.timedelta(days=n) for n in range(num_days)]
    nums = {"events": 100, "impressions": 1000}
    rows = [{"table": name, "ds": day, "num": num + n} for name, num in nums.items() for n, day in enumerate(days)]
    return pd.DataFrame(rows)


def funnel() -> pd.DataFrame:
    found = pd.DataFrame({"stage": ["Shown", "Clicked", "Put in the cart", "Bought"], "num": [9000, 1800, 450, 90]})
    return found.assign(rate=found["num"] / found["num"].shift())


def visits_by_hour() -> pd.DataFrame:
    found = pd.DataFrame(0, index=range(7), columns=range(24))
    found.loc[5, 20] = 40
    found.loc[1, 9] = 25
    return found


def actions_by_item() -> pd.DataFrame:
    # 1 of 10 items has half of the actions; 5 have none.
    return pd.DataFrame({"num_actions": [8, 2, 0], "num_items": [1, 4, 5]})


def actions() -> pd.DataFrame:
    kinds = ["search", "click", "view", "cart", "purchase", "refund"]
    rows = [
        {"event_ts": pd.Timestamp(2026, 1, 1 + n, 9), "event_type": kind, "title": HOSTILE, "category": "Home > Lamps",
         "value": 5.0, "query": None}
        for n, kind in enumerate(kinds * 3)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def interests() -> pd.DataFrame:
    return pd.DataFrame({"category": ["Home", HOSTILE, "Toys"], "own": [0.7, 0.3, 0.0], "everyone": [0.2, 0.3, 0.5]})


def standing() -> pd.DataFrame:
    return pd.DataFrame(
        {"feature": ["visits", "money spent"], "value": [12.0, 34.5], "middle": [4.0, 50.0], "below": [0.9, 0.25]}
    )


def items_beside() -> pd.DataFrame:
    return pd.DataFrame(
        {"item_id": ["a", "b", "c"], "title": ["Lamp", HOSTILE, None], "category": ["Home"] * 3, "num_reviews": [9, 30, 2],
         "satisfaction": [0.9, 0.6, 0.3], "praise": [["solid"]] * 3, "complaints": [["dim"]] * 3, "own": [False, True, False]}
    )  # fmt: skip


def reviews() -> pd.DataFrame:
    labels = ["positive", "positive", "positive", "negative", "negative"]
    words = [["solid", "bright"], ["solid"], ["gift"], ["dim", "bright"], ["broken"]]
    return pd.DataFrame(
        {"review_ts": pd.to_datetime(["2025-11-03", "2026-01-05", "2026-01-09", "2026-02-01", "2026-02-02"]),
         "rating": [5.0, 4.0, 1.0, 2.0, 1.0], "title": ["T"] * 5, "body": list("vwxyz"), "label": labels,
         "probability": [0.99, 0.9, 0.8, 0.2, 0.01], "words": words}
    )  # fmt: skip


def offers() -> pd.DataFrame:
    return pd.DataFrame(
        {"rank": [1, 2], "title": [HOSTILE, "Lamp"], "category": ["Home", "Home"], "price": [3.0, np.nan],
         "score": [0.04, 0.01], "sources": ["als, text", "popular"], "reasons": ["Like Mug that you viewed; New", "New"]}
    )  # fmt: skip


def reasons_given() -> pd.DataFrame:
    return pd.DataFrame({"reason": ["Often chosen with …", "New"], "num": [3, 1], "share": [0.75, 0.25]})


def sources_by_rank() -> pd.DataFrame:
    return pd.DataFrame([[0.9, 0.4], [0.2, 0.6]], index=["als", "popular"], columns=[1, 2])


def mix() -> pd.DataFrame:
    return pd.DataFrame({"category": ["Home", "Toys"], "acted": [0.6, 0.4], "offered": [0.8, 0.2]})


def evaluated() -> pd.DataFrame:
    return pd.DataFrame(
        {"model": ["Blend", "Implicit ALS", "Popularity"], "value": [0.10, 0.08, 0.03], "low": [0.08, 0.07, np.nan],
         "high": [0.12, 0.09, np.nan], "num": [600] * 3}
    )  # fmt: skip


def differences() -> pd.DataFrame:
    return pd.DataFrame(
        {"model": ["Implicit ALS", "Popularity", "EASE"], "value": [0.01, 0.07, -0.01], "low": [-0.01, 0.05, -0.02],
         "high": [0.03, 0.09, -0.005], "num": [600] * 3}
    )  # fmt: skip


def losses() -> pd.DataFrame:
    rows = [(name, part / 4, 1 / part) for name in ("sentiment", "text match") for part in range(1, 5)]
    return pd.DataFrame(rows, columns=["model", "done", "loss"])


def accuracies() -> pd.DataFrame:
    return pd.DataFrame(
        {"name": ["all", "Home"], "value": [0.9, 1.0], "low": [0.87, 0.7], "high": [0.93, 1.0], "num": [300.0, 9.0]}
    )


def learning_curve() -> pd.DataFrame:
    return pd.DataFrame(
        {"model": ["a", "b", "c"], "num_examples": [50, 200, 1335], "value": [0.6, 0.8, 0.9], "low": [0.5, 0.75, 0.87],
         "high": [0.7, 0.85, 0.93], "seconds": [1.0, 3.0, 20.0]}
    )  # fmt: skip
