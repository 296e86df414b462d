"""What reviewers of an item say: how many are content, what they like and what they do not."""

from typing import TYPE_CHECKING

import pandas as pd

from attune.errors import InputError
from attune.report import aggregates
from attune.show import style
from attune.show.workspace import fetch, read_if_there
from attune.tables import Tables

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = {"positive": style.BLUE, "negative": style.RED}


def choose_item(tables: Tables, item_id: str | None = None) -> str:
    """The item to look at: the one asked for, or else the one with most reviews of both kinds.

    Raises InputError where the one asked for has no scored review, or no item has any.
    """
    from pyspark.sql import functions as F

    rated = tables.read("item_satisfaction")
    if item_id is not None:
        if rated.where(F.col("item_id") == item_id).isEmpty():
            raise InputError(f"item {item_id!r} has no scored review: give an id of table item_satisfaction, or None")
        return item_id
    rare = F.least("share_negative", 1 - F.col("share_negative")) * F.col("num_reviews")
    best = rated.orderBy(F.desc(rare), F.desc("num_reviews"), "item_id").first()
    if best is None:
        raise InputError("table item_satisfaction is empty: there are no scored reviews; run the job score")
    return str(best["item_id"])


def items_beside(tables: Tables, item_id: str) -> pd.DataFrame:
    """The item and the others of its first level of category (all, where it has none) that have reviews.

    Grain: item; columns item_id, title, category, num_reviews, satisfaction, praise, complaints, own.
    """
    from pyspark.sql import functions as F

    rated = aggregates.with_titles(tables.read("item_satisfaction"), read_if_there(tables, "items"))
    rated = rated.withColumn("category", F.split("category", " > ")[0]).withColumn("own", F.col("item_id") == item_id)
    columns = ["item_id", "title", "category", "num_reviews", "satisfaction", "praise", "complaints", "own"]
    found = fetch(rated.select(columns).orderBy(F.desc("satisfaction"), "item_id"))
    category = found.loc[found["own"], "category"].iloc[0]
    return found[found["category"] == category].reset_index(drop=True) if category else found


def plot_satisfaction(items_beside: pd.DataFrame) -> "Figure":
    """Each item by its reviews and how content their writers are, the one looked at among the others."""
    own = items_beside[items_beside["own"]].iloc[0]
    others = items_beside[~items_beside["own"]]
    figure, (axes,) = style.canvas(4.0)
    axes.plot(others["num_reviews"], others["satisfaction"], "o", color=style.GREY, alpha=0.45, markersize=6)
    axes.plot([own["num_reviews"]], [own["satisfaction"]], "D", color=style.ORANGE, markersize=11)
    place = int((items_beside["satisfaction"] > own["satisfaction"]).sum()) + 1
    right = own["num_reviews"] > items_beside["num_reviews"].max() * 0.6
    style.note(
        axes, own["num_reviews"], own["satisfaction"], f"{style.shorten(own['title'] or own['item_id'])}\n"
        f"number {place} of {len(items_beside)}", xytext=(-12 if right else 12, 0), textcoords="offset points",
        ha="right" if right else "left", va="center", fontweight="bold",
    )  # fmt: skip
    axes.set_ylim(0, 1.02)
    axes.set_xlim(0)
    style.percent_axis(axes, "y")
    style.thousands_axis(axes, "x")
    style.grid(axes, "both")
    among = f"items of {own['category']}" if own["category"] else "all items"
    style.entitle(axes, f"How content reviewers are, among {among}", "reviews", "mean probability of a positive review")
    return figure


def reviews_of(tables: Tables, item_id: str) -> pd.DataFrame:
    """Reviews of an item with their sentiment, best first.

    Columns review_ts, rating, title, body, label, probability, words (distinct, lower case).
    """
    from pyspark.sql import functions as F

    from attune.features.words import distinct_words

    own = tables.read("reviews").where(F.col("item_id") == item_id)
    scored = tables.read("review_sentiment").select("review_id", "label", "probability")
    words = distinct_words(F.concat_ws(" ", "title", "body")).alias("words")
    told = own.join(scored, "review_id").orderBy(F.desc("probability"), "review_id")
    return fetch(told.select("review_ts", "rating", "title", "body", "label", "probability", words))


def mentions(reviews: pd.DataFrame, praise: list[str], complaints: list[str]) -> pd.DataFrame:
    """How many of the positive reviews hold each word of praise, and of the negative ones each complaint.

    Args:
        reviews: as ``reviews_of`` gives them.

    Returns:
        Grain: word and label; columns word, label, num (reviews with the word), num_reviews (of that label), share.
    """
    rows = []
    for label, words in (("positive", praise), ("negative", complaints)):
        held = [set(of_review) for of_review in reviews.loc[reviews["label"] == label, "words"]]
        for word in words:
            num = sum(word in own for own in held)
            rows.append((word, label, num, len(held), num / len(held) if held else 0.0))
    return pd.DataFrame(rows, columns=["word", "label", "num", "num_reviews", "share"])


def plot_mentions(mentions: pd.DataFrame) -> "Figure":
    """What reviewers like on the left, what they dislike on the right: words by the share of the reviews that hold them."""
    longest = max(mentions["label"].value_counts().max(), 1) if len(mentions) else 1
    figure, sides = style.canvas(1.0 + 0.45 * longest, columns=2)
    for axes, (label, colour) in zip(sides, COLOURS.items(), strict=True):
        words = mentions[mentions["label"] == label].sort_values("share", ascending=False, kind="stable")
        told = [f"{row.share:.0%}  ({row.num} of {row.num_reviews})" for row in words.itertuples()]
        style.bars(axes, words["word"].tolist(), words["share"].tolist(), told.__getitem__, colour)
        axes.set_xlim(0, max([*mentions["share"], 1e-9]) * 1.6)
        axes.set_ylim(longest - 0.4, -0.6)
        title = "What they like" if label == "positive" else "What they dislike"
        style.entitle(axes, title, f"share of the {label} reviews")
        if words.empty:
            style.note(axes, 0.0, 0.5, "no word stands out", xycoords="axes fraction", color=style.SOFT)
    return figure


def plot_months(reviews: pd.DataFrame) -> "Figure":
    """Positive and negative reviews of the item by month."""
    month = reviews["review_ts"].dt.to_period("M")
    counts = reviews.groupby([month, "label"]).size().unstack(fill_value=0)
    counts = counts.reindex(pd.period_range(month.min(), month.max(), freq="M"), fill_value=0)
    figure, (axes,) = style.canvas(3.2)
    below = pd.Series(0, index=counts.index)
    for label, colour in COLOURS.items():
        if label in counts:
            axes.bar(range(len(counts)), counts[label], bottom=below, color=colour, width=0.7, label=label)
            below += counts[label]
    step = max(1, len(counts) // 8)
    axes.set_xticks(range(0, len(counts), step), [m.strftime("%b %Y") for m in counts.index[::step]])
    axes.set_ylim(0, below.max() * 1.1)
    style.thousands_axis(axes, "y")
    style.grid(axes, "y")
    style.legend(axes, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    style.entitle(axes, "Reviews of this item by month", y="reviews")
    return figure


def plot_stars(reviews: pd.DataFrame) -> "Figure":
    """Where stars and words disagree: each review by its stars and what the model reads in its text."""
    rated = reviews.dropna(subset=["rating", "probability"])
    figure, (axes,) = style.canvas(3.6)
    # Reviews of as many stars stand side by side.
    place = rated.groupby("rating").cumcount()
    of_stars = rated.groupby("rating")["rating"].transform("size")
    x = rated["rating"] + 0.6 * ((place + 0.5) / of_stars - 0.5)
    for label, colour in COLOURS.items():
        chosen = rated["label"] == label
        y = rated.loc[chosen, "probability"]
        if y.empty:
            continue
        axes.plot(x[chosen], y, "o", color=colour, alpha=0.7, markersize=7, label=label, clip_on=False)
    axes.axhline(0.5, color=style.GREY, linewidth=1.2, linestyle="--")
    axes.set(xlim=(0.5, 5.5), ylim=(-0.03, 1.03))
    axes.set_xticks(range(1, 6))
    style.percent_axis(axes, "y")
    style.grid(axes, "y")
    style.legend(axes, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    style.entitle(axes, "Stars given, and what the words say", "stars", "probability of positive")
    return figure


def telling(reviews: pd.DataFrame, most: int = 2) -> pd.DataFrame:
    """The most positive and the most negative reviews of an item. Columns label, probability, rating, title, body."""
    ordered = reviews.dropna(subset=["probability"])
    ends = [ordered[ordered["label"] == "positive"].head(most), ordered[ordered["label"] == "negative"].tail(most)]
    return pd.concat(ends)[["label", "probability", "rating", "title", "body"]].reset_index(drop=True)
