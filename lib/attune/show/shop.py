"""What happens in the shop: how much, when, how far visitors go, on which items, and which rows were refused."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from attune.report import aggregates
from attune.report.charts import by_period
from attune.report.views import STAGE_NAMES
from attune.show import style
from attune.show.workspace import fetch, read_if_there
from attune.tables import Tables

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAILY = ("events", "impressions", "reviews")
_HEAD_SHARE = 0.2
"""Share of the items, from the most popular, whose share of the actions is told."""


def activity(tables: Tables) -> pd.DataFrame:
    """Rows of events, impressions and reviews by day, of those that are there. Grain: table and day; table, ds, num."""
    found = {name: rows for name in _DAILY if (rows := read_if_there(tables, name)) is not None}
    return fetch(aggregates.volume_by_day(found)).sort_values(["table", "ds"], ignore_index=True)


def plot_activity(activity: pd.DataFrame) -> "Figure":
    """A panel for each table: its rows over time. Long logs are summed by week or month."""
    names = list(dict.fromkeys(activity["table"]))
    figure, panels = style.canvas(1.2 + 1.5 * len(names), rows=len(names))
    for axes, name in zip(panels, names, strict=True):
        rows = activity[activity["table"] == name]
        days = {day: {"num": float(num)} for day, num in zip(rows["ds"], rows["num"], strict=True)}
        period, sums = by_period(days)
        dates, counts = np.array(list(sums), "datetime64[D]"), np.array([count["num"] for count in sums.values()])
        axes.fill_between(dates, counts, color=style.BLUE, alpha=0.15, linewidth=0)
        axes.plot(dates, counts, color=style.BLUE, linewidth=1.8)
        style.entitle(axes, f"{name.capitalize()}: {rows['num'].sum():,}", y=f"rows a {period}")
        axes.set_ylim(0)
        axes.set_xlim(activity["ds"].min(), activity["ds"].max())
        style.thousands_axis(axes, "y")
        style.date_axis(axes)
        style.grid(axes, "y")
    return figure


def funnel(tables: Tables) -> pd.DataFrame:
    """Actions by stage, first to last, of the stages that occur. Columns stage, num, and rate: share of the stage before."""
    days = aggregates.funnel_by_day(tables.read("events"), read_if_there(tables, "impressions"))
    counts = fetch(days.groupBy("stage").agg({"num": "sum"}).toDF("stage", "num")).set_index("stage")["num"]
    stages = [stage for stage in aggregates.STAGES if stage in counts.index]
    found = pd.DataFrame({"stage": [STAGE_NAMES[stage] for stage in stages], "num": counts[stages].to_numpy()})
    return found.assign(rate=found["num"] / found["num"].shift())


def plot_funnel(funnel: pd.DataFrame) -> "Figure":
    """A bar for each stage, with the share of the stage before that got so far."""
    figure, (axes,) = style.canvas(0.9 + 0.55 * len(funnel))
    stages, nums, rates = (funnel[name].tolist() for name in ("stage", "num", "rate"))

    def told(place: int) -> str:
        share = "" if np.isnan(rates[place]) else f"  ({rates[place]:.1%} of {stages[place - 1].lower()})"
        return f"{nums[place]:,.0f}{share}"

    style.bars(axes, stages, nums, told)
    axes.set_xlim(0, max(nums) * 1.2)
    style.entitle(axes, "From shown to bought")
    return figure


def visits_by_hour(tables: Tables) -> pd.DataFrame:
    """Visits by the weekday and hour (UTC) in which they start. Index: 0 Monday to 6 Sunday; columns: hours 0 to 23."""
    from pyspark.sql import functions as F

    start = F.col("start_ts")
    starts = tables.read("sessions").select(F.weekday(start).alias("weekday"), F.hour(start).alias("hour"))
    counted = fetch(starts.groupBy("weekday", "hour").count())
    wide = counted.pivot_table(index="weekday", columns="hour", values="count", aggfunc="sum")
    return wide.reindex(index=range(7), columns=range(24)).fillna(0).astype(int)


def plot_visits(visits_by_hour: pd.DataFrame) -> "Figure":
    """A field for each hour of the week, darker where more visits start."""
    figure, (axes,) = style.canvas(3.4)
    image = axes.imshow(visits_by_hour.to_numpy(), cmap="Blues", aspect="auto", vmin=0)
    axes.set_yticks(range(7), list(WEEKDAYS))
    axes.set_xticks(range(0, 24, 3), [f"{hour}:00" for hour in range(0, 24, 3)])
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=9, colors=style.SOFT, length=0)
    bar.set_label("visits", color=style.SOFT)
    day, hour = np.unravel_index(visits_by_hour.to_numpy().argmax(), visits_by_hour.shape)
    busiest = f"{WEEKDAYS[int(day)]} from {hour}:00"
    style.entitle(axes, f"When visits start: most on {busiest}", "hour of the day, UTC")
    return figure


def actions_by_item(tables: Tables) -> pd.DataFrame:
    """How many items have how many actions, most first. Columns num_actions (0 included), num_items."""
    from pyspark.sql import functions as F

    events = tables.read("events").where("item_id IS NOT NULL")
    of_item = events.groupBy("item_id").agg(F.count("*").alias("num_actions"))
    items = read_if_there(tables, "items")
    if items is not None:
        of_item = of_item.join(items.select("item_id").distinct(), "item_id", "full")
    acted = of_item.select(F.coalesce("num_actions", F.lit(0)).alias("num_actions"))
    counts = fetch(acted.groupBy("num_actions").agg(F.count("*").alias("num_items")))
    return counts.sort_values("num_actions", ascending=False, ignore_index=True)


def plot_popularity(actions_by_item: pd.DataFrame) -> "Figure":
    """How much of all actions the most popular items get."""
    figure, (axes,) = style.canvas(4.2, 6.2)
    items, actions = actions_by_item["num_items"], actions_by_item["num_items"] * actions_by_item["num_actions"]
    x = np.concatenate([[0], (items.cumsum() / items.sum()).to_numpy()])
    y = np.concatenate([[0], (actions.cumsum() / actions.sum()).to_numpy()])
    axes.plot([0, 1], [0, 1], color=style.GREY, linewidth=1.2, linestyle="--")
    axes.plot(x, y, color=style.BLUE, linewidth=2.2)
    head = float(np.interp(_HEAD_SHARE, x, y))
    axes.plot([_HEAD_SHARE], [head], "o", color=style.RED, markersize=8)
    style.note(axes, 0.66, 0.6, "if all were alike", color=style.SOFT)
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    for along in ("x", "y"):
        style.percent_axis(axes, along)
    style.grid(axes, "both")
    style.entitle(
        axes, f"{_HEAD_SHARE:.0%} of the items get {head:.0%} of the actions", "items, most popular first", "actions"
    )
    return figure


def refused(tables: Tables) -> pd.DataFrame:
    """Refused rows by input and reason, most frequent first. Columns source, reason, num, example."""
    quarantine = read_if_there(tables, "quarantine")
    if quarantine is None:
        return pd.DataFrame(columns=["source", "reason", "num", "example"])
    return fetch(aggregates.refusals(quarantine))
