"""What customers are offered and why: one list in full, and what all lists are made of."""

import re
from typing import TYPE_CHECKING

import pandas as pd

from attune.recommend.batch import ANYONE
from attune.recommend.reasons import NO_REASON
from attune.report.measured import model_name
from attune.show import style
from attune.show.workspace import fetch, read_if_there
from attune.tables import Tables

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pyspark.sql import DataFrame

_MOST_KINDS, _MOST_CATEGORIES = 9, 10
_NAMED = re.compile(r"^(Often chosen with|Bought together with|Often chosen after|Like|Fits your interest in) .*$")
"""Reasons that go on with the name of an item or a category."""
_RATED = re.compile(r"^Rated \d+% positive$")


def list_of(tables: Tables, user_id: str) -> pd.DataFrame:
    """What a customer is offered, best first. Columns rank, title, category, price, score, sources, reasons."""
    from pyspark.sql import functions as F

    rows = tables.read("recommendations").where(F.col("user_id") == user_id)
    if (items := read_if_there(tables, "items")) is not None:
        rows = rows.join(items.select("item_id", "title", "category", "price"), "item_id", "left")
    else:
        rows = rows.withColumns({"title": F.col("item_id"), "category": F.lit(""), "price": F.lit(None).cast("double")})
    rows = rows.withColumn("title", F.coalesce("title", "item_id")).orderBy("rank")
    told = fetch(rows.select("rank", "title", "category", "price", "score", "sources", "reasons"))
    words = {"sources": ", ", "reasons": "; "}
    return told.assign(**{name: told[name].map(sep.join) for name, sep in words.items()})


def plot_list(offers: pd.DataFrame) -> "Figure":
    """The list by score, each item with its first reason."""
    figure, (axes,) = style.canvas(1.0 + 0.46 * len(offers), 10)
    reasons = [str(reasons).split("; ")[0] for reasons in offers["reasons"]]
    scores = offers["score"].tolist()
    style.bars(axes, offers["title"].tolist(), scores, lambda n: f"{scores[n]:.1%}   {style.shorten(reasons[n], 52)}")
    axes.set_xlim(0, max(scores) * 2.4)
    style.entitle(axes, "How likely each item is taken next, and the first reason")
    return figure


def kind_of_reason(reason: str) -> str:
    """A reason without what it names, so that reasons can be counted.

    >>> kind_of_reason("Often chosen with Red lamp")
    'Often chosen with …'
    >>> kind_of_reason("Popular in FR")
    'Popular in the region'
    """
    if named := _NAMED.match(reason):
        return f"{named[1]} …"
    if _RATED.match(reason):
        return "Rated positive"
    return "Popular in the region" if reason.startswith("Popular in ") else reason


def reasons_given(tables: Tables) -> pd.DataFrame:
    """How often each kind of reason is the first, of all recommendations to known customers. Columns reason, num, share."""
    from pyspark.sql import functions as F

    first = F.coalesce(F.get("reasons", F.lit(0)), F.lit(NO_REASON)).alias("reason")
    # A title makes a reason its own; they are many, but each only a line.
    counts = fetch(_to_known(tables).groupBy(first).agg(F.count("*").alias("num")))
    kinds = counts.assign(reason=counts["reason"].map(kind_of_reason)).groupby("reason", as_index=False)["num"].sum()
    return kinds.assign(share=kinds["num"] / kinds["num"].sum()).sort_values("num", ascending=False, ignore_index=True)


def plot_reasons(reasons_given: pd.DataFrame) -> "Figure":
    """A bar for each kind of reason."""
    top = reasons_given.head(_MOST_KINDS)
    figure, (axes,) = style.canvas(0.9 + 0.42 * len(top))
    shares = top["share"].tolist()
    style.bars(axes, top["reason"].tolist(), shares, lambda n: f"{shares[n]:.1%}", style.GREEN)
    style.entitle(axes, "First reason given, share of all recommendations")
    return figure


def sources_by_rank(tables: Tables) -> pd.DataFrame:
    """Share of the recommendations that each source proposed, by rank. Index: source, most first; columns: ranks.

    An item may be proposed by several sources.
    """
    from pyspark.sql import functions as F

    rows = _to_known(tables)
    totals = fetch(rows.groupBy("rank").agg(F.count("*").alias("num"))).set_index("rank")["num"].sort_index()
    proposed = rows.select("rank", F.explode("sources").alias("source"))
    counted = fetch(proposed.groupBy("rank", "source").count())
    wide = counted.pivot_table(index="source", columns="rank", values="count").reindex(columns=totals.index)
    shares = wide.fillna(0) / totals
    return shares.loc[shares.mean(axis=1).sort_values(ascending=False, kind="stable").index]


def plot_sources(sources_by_rank: pd.DataFrame) -> "Figure":
    """A field for each source and rank, darker where the source proposed more of the items."""
    figure, (axes,) = style.canvas(1.3 + 0.42 * len(sources_by_rank))
    image = axes.imshow(sources_by_rank.to_numpy(), cmap="Blues", aspect="auto", vmin=0, vmax=1)
    for place, (_, row) in enumerate(sources_by_rank.iterrows()):
        for column, share in enumerate(row):
            colour = "white" if share > 0.55 else style.INK
            style.note(axes, column, place, f"{share:.0%}", ha="center", va="center", color=colour, fontsize=9)
    axes.set_yticks(range(len(sources_by_rank)), [model_name(name) for name in sources_by_rank.index])
    axes.set_xticks(range(sources_by_rank.shape[1]), sources_by_rank.columns)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    image.set_clim(0, 1)
    style.entitle(axes, "Which source proposed what is offered, share of the lists", "rank in the list")
    return figure


def mix(tables: Tables) -> pd.DataFrame:
    """Share of the actions and of the recommendations by first level of category. Columns category, acted, offered."""
    from pyspark.sql import functions as F

    items = tables.read("items").select("item_id", F.split("category", " > ")[0].alias("category"))
    items = items.where("category IS NOT NULL")

    def share(rows: "DataFrame", name: str) -> "pd.Series[float]":
        counts = fetch(rows.join(items, "item_id").groupBy("category").agg(F.count("*").alias(name)))
        found = counts.set_index("category")[name]
        return found / found.sum()

    both = pd.concat([share(tables.read("events"), "acted"), share(_to_known(tables), "offered")], axis=1).fillna(0.0)
    return both.rename_axis("category").reset_index().sort_values("acted", ascending=False, ignore_index=True)


def plot_mix(mix: pd.DataFrame) -> "Figure":
    """What customers look at, beside what they are offered."""
    top = mix.head(_MOST_CATEGORIES)
    figure, (axes,) = style.canvas(1.5 + 0.4 * len(top))
    style.pairs(axes, top["category"].tolist(), {"looked at": top["acted"], "offered": top["offered"]})
    style.percent_axis(axes, "x")
    style.entitle(axes, "What customers look at, and what they are offered", "share of the actions, and of the lists")
    return figure


def _to_known(tables: Tables) -> "DataFrame":
    """Recommendations without the lists for strangers."""
    from pyspark.sql import functions as F

    return tables.read("recommendations").where(~F.col("user_id").startswith(ANYONE))
