"""One customer: what is known, what he did, what he likes beside others, what he wrote."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from attune.errors import InputError
from attune.report import aggregates
from attune.show import style
from attune.show.workspace import fetch, read_if_there
from attune.tables import Tables

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pyspark.sql import DataFrame

ACTIONS: Mapping[str, tuple[str, str, str]] = {
    "search": ("searched", style.GREY, "x"),
    "click": ("clicked", style.SKY, "o"),
    "view": ("looked at", style.SKY, "o"),
    "cart": ("put in the cart", style.ORANGE, "s"),
    "purchase": ("bought", style.BLUE, "D"),
    "refund": ("sent back", style.RED, "v"),
}
"""Words, colour and mark of each kind of action, weakest first."""

STANDING: Mapping[str, str] = {
    "num_sessions": "visits",
    "num_items": "different items looked at",
    "num_categories": "categories looked at",
    "num_purchases": "purchases",
    "value_total": "money spent",
    "mean_price": "mean price of the items looked at",
}
"""Features by which a customer is set beside the others, and their names for people."""

_MOST_CATEGORIES = 8


def choose_customer(tables: Tables, user_id: str | None = None) -> str:
    """The customer to look at: the one asked for, or else the one with most purchases who has recommendations.

    Raises InputError where the log has no action of the one asked for.
    """
    from pyspark.sql import functions as F

    events = tables.read("events")
    if user_id is not None:
        if events.where(F.col("user_id") == user_id).isEmpty():
            raise InputError(f"no event is of user {user_id!r}: give an id as in table events, or None for a good one")
        return user_id
    bought = F.count_if(F.col("event_type") == "purchase").alias("bought")
    ranked = events.groupBy("user_id").agg(bought, F.count("*").alias("num"))
    if (lists := read_if_there(tables, "recommendations")) is not None:
        ranked = ranked.join(lists.select("user_id").distinct(), "user_id", "left_semi")
    best = ranked.orderBy(F.desc("bought"), F.desc("num"), "user_id").first()
    if best is None:
        raise InputError(f"no user of table events in {tables.root} has recommendations: run the job recommend")
    return str(best["user_id"])


def known(tables: Tables, user_id: str) -> pd.DataFrame:
    """What is known of a customer in words. Index: what; column ``value``. What no table tells is left out."""
    user = _row(read_if_there(tables, "users"), "user_id", user_id)
    profile = _row(read_if_there(tables, "user_profiles"), "user_id", user_id)
    features = _row(_latest_features(tables), "user_id", user_id)
    segment = _row(read_if_there(tables, "segments"), "segment_id", profile.get("segment_id"))
    told = {
        "age": user.get("age_band"),
        "gender": user.get("gender"),
        "region": user.get("region"),
        "group of like interests": segment.get("name"),
        "most at home in": features.get("top_category"),
        "favourite brand": features.get("top_brand"),
        "customer for, days": _rounded(features.get("days_since_first")),
        "last seen, days ago": _rounded(features.get("days_since_last")),
        "visits": features.get("num_sessions"),
        "purchases": features.get("num_purchases"),
        "spent less refunds, shop's currency": _rounded(features.get("value_total"), 2),
    }
    there = {name: str(value) for name, value in told.items() if value is not None}
    return pd.DataFrame({"value": pd.Series(there, dtype=object)}).rename_axis("what")


def _rounded(value: float | None, digits: int = 0) -> str | None:
    return None if value is None else f"{value:,.{digits}f}"


def _row(rows: "DataFrame | None", key: str, value: object) -> dict[str, Any]:
    """The row of a key; empty where there is none."""
    from pyspark.sql import functions as F

    found = rows.where(F.col(key) == F.lit(value)).first() if rows is not None and value is not None else None
    return found.asDict() if found else {}


def _latest_features(tables: Tables) -> "DataFrame | None":
    """Table user_features as of its latest date."""
    if not tables.exists("user_features") or not (dates := tables.partitions("user_features")):
        return None
    return tables.read("user_features", partitions=[max(dates)])


def actions(tables: Tables, user_id: str) -> pd.DataFrame:
    """What a customer did, in order. Grain: action; columns event_ts, event_type, title, category, value, query."""
    from pyspark.sql import functions as F

    own = tables.read("events").where(F.col("user_id") == user_id)
    told = aggregates.with_titles(own, read_if_there(tables, "items")).orderBy("event_ts", "event_id")
    return fetch(told.select("event_ts", "event_type", "title", "category", "value", "query"))


def plot_actions(actions: pd.DataFrame) -> "Figure":
    """A line for each kind of action, with a mark for each time."""
    kinds = [kind for kind in ACTIONS if (actions["event_type"] == kind).any()]
    figure, (axes,) = style.canvas(1.2 + 0.45 * len(kinds))
    for place, kind in enumerate(kinds):
        _, colour, mark = ACTIONS[kind]
        times = actions.loc[actions["event_type"] == kind, "event_ts"]
        axes.plot(times, [place] * len(times), mark, color=colour, markersize=7, alpha=0.75)
    axes.set_yticks(range(len(kinds)), [f"{ACTIONS[k][0]}: {(actions['event_type'] == k).sum()}" for k in kinds])
    axes.set_ylim(-0.6, len(kinds) - 0.4)
    style.date_axis(axes, 5)
    style.grid(axes, "both")
    style.entitle(axes, "Every action of this customer", "time, UTC")
    return figure


def interests(tables: Tables, user_id: str) -> pd.DataFrame:
    """Share of the actions by first level of the category, most of the customer's own first.

    Columns category, own, everyone. Raises InputError where no action of the customer is on an item with a category.
    """
    from pyspark.sql import functions as F

    items = tables.read("items").select("item_id", F.split("category", " > ")[0].alias("category"))
    acted = tables.read("events").join(items.where("category IS NOT NULL"), "item_id")
    own = F.count_if(F.col("user_id") == user_id).alias("own")
    counts = fetch(acted.groupBy("category").agg(own, F.count("*").alias("everyone"))).set_index("category")
    if not counts["own"].sum():
        raise InputError(f"no action of user {user_id!r} is on an item with a category: choose another customer")
    shares = (counts / counts.sum()).reset_index()
    return shares.sort_values(["own", "everyone"], ascending=False, ignore_index=True)


def plot_interests(interests: pd.DataFrame) -> "Figure":
    """The customer's share of each category, beside that of everyone."""
    top = interests.head(_MOST_CATEGORIES)
    figure, (axes,) = style.canvas(1.5 + 0.4 * len(top))
    style.pairs(axes, top["category"].tolist(), {"everyone": top["everyone"], "this customer": top["own"]})
    style.percent_axis(axes, "x")
    style.entitle(axes, "What this customer looks at", "share of the actions on items")
    return figure


def standing(tables: Tables, user_id: str) -> pd.DataFrame:
    """Where a customer stands among all: share of the customers with less, half of those with as much.

    Grain: feature of ``STANDING`` that the customer has; columns feature, value, middle (median of all), below (0 to 1).
    Raises InputError where the customer has no features yet.
    """
    from pyspark.sql import functions as F

    features = _latest_features(tables)
    row = _row(features, "user_id", user_id)
    own = {name: float(row[name]) for name in STANDING if row.get(name) is not None}
    if features is None or not own:
        raise InputError(f"table user_features has no row of user {user_id!r}: run the job featurize")
    below = [
        F.avg(F.when(F.col(name) < value, 1.0).when(F.col(name) == value, 0.5).when(F.col(name).isNotNull(), 0.0))
        for name, value in own.items()
    ]
    middle = [F.median(name) for name in own]
    found = features.agg(*(column.alias(f"c{n}") for n, column in enumerate([*below, *middle]))).collect()[0]
    rows = [(STANDING[name], own[name], found[len(own) + n], found[n]) for n, name in enumerate(own)]
    return pd.DataFrame(rows, columns=["feature", "value", "middle", "below"])


def plot_standing(standing: pd.DataFrame) -> "Figure":
    """A dot for each feature, between the customers with less on the left and those with more on the right."""
    figure, (axes,) = style.canvas(1.5 + 0.42 * len(standing))
    places = range(len(standing))
    axes.axvline(0.5, color=style.GREY, linewidth=1.2, linestyle="--")
    axes.hlines(places, 0.5, standing["below"], color=style.SKY, linewidth=4, alpha=0.6)
    axes.plot(standing["below"], places, "o", color=style.BLUE, markersize=9)
    for place, value, middle, below in zip(places, *(standing[c] for c in ("value", "middle", "below")), strict=True):
        left = below < 0.5
        style.note(axes, below, place, f"{value:,.4g}, median {middle:,.4g}", xytext=(-9 if left else 9, 0), textcoords="offset points",
                   va="center", ha="right" if left else "left")  # fmt: skip
    style.name_rows(axes, standing["feature"].tolist())
    # Room for the words beside the dots.
    axes.set_xlim(0, 1.3)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0%", "25%", "half", "75%", "100%"])
    style.entitle(axes, "This customer among all", "share of the customers who have less")
    return figure


def reviews_by(tables: Tables, user_id: str) -> pd.DataFrame:
    """What a customer wrote and how it sounds, latest first. Columns review_ts, item, rating, title, body, positive."""
    from pyspark.sql import functions as F

    columns = ["review_ts", "item", "rating", "title", "body", "positive"]
    reviews, scored = read_if_there(tables, "reviews"), read_if_there(tables, "review_sentiment")
    if reviews is None or scored is None:
        return pd.DataFrame(columns=columns)
    own = reviews.where(F.col("user_id") == user_id).withColumnRenamed("title", "headline")
    told = aggregates.with_titles(own, read_if_there(tables, "items"))
    told = told.join(scored.select("review_id", F.col("probability").alias("positive")), "review_id", "left")
    latest = told.orderBy(F.desc("review_ts"), "review_id")
    names = {"item": F.col("title"), "title": F.col("headline")}
    return fetch(latest.select(*(names.get(name, F.col(name)).alias(name) for name in columns)))
