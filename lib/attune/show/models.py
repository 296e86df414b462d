"""Models beside each other: what they were measured to be worth, how they learned, and what more data brings."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
import yaml

from attune import config
from attune.errors import InputError
from attune.models.store import ModelStore, read_card
from attune.report.measured import METRICS, is_number, metric_name, model_name
from attune.show import style
from attune.show.workspace import fetch
from attune.tables import Tables
from attune.training.driver import TrainedModel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_RULE = "blend without "
"""Start of the name of the blend without one of its rules, which is no rival."""


def evaluated(tables: Tables, metric: str = "ndcg", k: int = 10, part: str = "all") -> pd.DataFrame:
    """Recommendation models by one metric of table evaluation, best first. Columns model, value, low, high, num.

    Args:
        part: of the held-out data (column ``slice``), such as all, known_users or new_users.

    Raises InputError where that was not measured, with what was.
    """
    found = _measured(tables, metric, k, part)
    plain = found[found["against"].isna() & ~found["model"].str.startswith(_RULE)]
    return _ordered(plain.assign(model=plain["model"].map(model_name)))


def differences(tables: Tables, metric: str = "ndcg", k: int = 10, part: str = "all") -> pd.DataFrame:
    """What the blend has more than each other model, least first; intervals are of the difference for the same users.

    Columns model, value, low, high, num. Raises InputError as ``evaluated``.
    """
    found = _measured(tables, metric, k, part)
    rivals = found[found["against"].notna() & ~found["against"].str.startswith(_RULE, na=False)]
    return _ordered(rivals.assign(model=rivals["against"].map(model_name)))[::-1].reset_index(drop=True)


def _ordered(rows: pd.DataFrame) -> pd.DataFrame:
    kept = rows[["model", "value", "low", "high", "num"]]
    return kept.sort_values("value", ascending=False, kind="stable", ignore_index=True)


def _measured(tables: Tables, metric: str, k: int, part: str) -> pd.DataFrame:
    from pyspark.sql import functions as F

    rows = tables.read("evaluation").where(F.col("task") == "recommend")
    chosen = fetch(rows.where((F.col("metric") == metric) & (F.col("k") == k) & (F.col("slice") == part)))
    if chosen.empty:
        known = fetch(rows.select("metric", "k", "slice").distinct())
        told = ", ".join(f"{name}: {sorted(known[name].dropna().unique())[:20]}" for name in known)
        raise InputError(f"table evaluation has no {metric} at {k} of {part!r}; it has {told}")
    return chosen


def plot_evaluated(evaluated: pd.DataFrame, metric: str = "ndcg", k: int = 10) -> "Figure":
    """Each model's value with its 95% interval; the blend in a colour of its own."""
    figure, (axes,) = style.canvas(1.5 + 0.42 * len(evaluated))
    own = model_name("blend")
    colours = [style.BLUE if model == own else style.GREY for model in evaluated["model"]]
    style.intervals(axes, evaluated["model"].tolist(), evaluated, colours)
    axes.set_xlim(0)
    style.entitle(
        axes, f"{metric_name(metric)}@{k} for {evaluated['num'].max():,} users, with 95% intervals", _meaning(metric)
    )
    return figure


def plot_differences(differences: pd.DataFrame, metric: str = "ndcg", k: int = 10) -> "Figure":
    """The blend less each other model; what crosses zero may be chance."""
    figure, (axes,) = style.canvas(1.5 + 0.42 * len(differences))
    colours = [
        style.GREEN if low > 0 else style.RED if high < 0 else style.GREY
        for low, high in zip(differences["low"], differences["high"], strict=True)
    ]
    names = [f"than {model}" for model in differences["model"]]
    style.intervals(axes, names, differences, colours)
    axes.axvline(0, color=style.INK, linewidth=1)
    style.entitle(axes, "How much better the blend is", f"difference of {metric_name(metric)}@{k}; right of 0: better")
    return figure


def _meaning(metric: str) -> str:
    return METRICS.get(metric.partition(":")[0], ("", metric))[1]


def cards(workspace: str) -> dict[str, dict[str, Any]]:
    """What each model is, by its name: version, settings, metrics, tables it learned from, and ``in_use``.

    Of each the version in use, or where none has passed its gate the last one trained.
    """
    store = ModelStore(workspace)
    found = {}
    for name in sorted(folder.name for folder in store.root.iterdir()) if store.root.is_dir() else []:
        if store.has_latest(name):
            found[name] = {**read_card(store.latest(name)), "in_use": True}
        elif versions := store.versions(name):
            found[name] = {**read_card(store.folder(name, versions[-1])), "in_use": False}
    return found


def settings_of(card: Mapping[str, Any], changes: Sequence[str], as_of: str) -> config.Config:
    """The settings that a model was trained with, changed (``key=value``): to train others that compare with it."""
    trained_with = yaml.safe_dump(card["settings"], default_flow_style=True, width=float("inf"))
    return config.load([], [f"train={trained_with}", f"seed={card['seed']}", *changes], as_of)


def main_figures(cards: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Figures of each model on what it has not learned from. Columns model, version, in_use, metric, value."""
    rows = []
    for name, card in cards.items():
        metrics = card.get("metrics", {})
        held_out = metrics.get("test") or metrics.get("valid") or {}
        numbers = {metric: value for metric, value in held_out.items() if is_number(value)}
        known = (model_name(name), card.get("version"), card.get("in_use"))
        rows += [(*known, metric, value) for metric, value in numbers.items()]
    return pd.DataFrame(rows, columns=["model", "version", "in_use", "metric", "value"])


def losses(cards: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """How models learned: mean loss in each quarter of their training (or step, of fewer than four).

    Columns model, done (share of the training at the end of that part), loss.
    """
    rows = []
    for name, card in cards.items():
        course = card.get("metrics", {}).get("loss_by_quarter") or []
        parts = enumerate(course, start=1)
        rows += [(model_name(name), part / len(course), loss) for part, loss in parts if is_number(loss)]
    return pd.DataFrame(rows, columns=["model", "done", "loss"])


def plot_losses(losses: pd.DataFrame) -> "Figure":
    """A panel for each model, since the losses of different tasks do not compare."""
    names = list(dict.fromkeys(losses["model"]))
    figure, panels = style.canvas(2.8, columns=max(len(names), 1))
    for axes, name in zip(panels, names, strict=False):
        own = losses[losses["model"] == name]
        axes.plot(own["done"], own["loss"], "o-", color=style.BLUE, linewidth=2, markersize=7, clip_on=False)
        axes.set_xlim(0, 1)
        style.percent_axis(axes, "x")
        axes.set_ylim(0, float(own["loss"].max()) * 1.1)
        style.grid(axes, "y")
        style.entitle(axes, name[:1].upper() + name[1:], "share of the training done", "mean loss, nats")
    return figure


def accuracies(card: Mapping[str, Any], by: str = "category") -> pd.DataFrame:
    """Accuracy of a classifier on held-out texts, of all and by a column that its card measures it by.

    Columns name, value, low, high (95% Wilson interval), num; all first. Raises InputError where nothing was held out.
    """
    metrics = card.get("metrics", {})
    if not metrics.get("test"):
        raise InputError(f"model {card.get('task')} {card.get('version')} was not measured on held-out texts")
    parts = {"all": metrics["test"], **metrics.get("test_by", {}).get(by, {})}
    told = {"accuracy": "value", "accuracy_low": "low", "accuracy_high": "high", "num": "num"}
    found = pd.DataFrame([{"name": name, **{told[f]: own[f] for f in told}} for name, own in parts.items()])
    return found.sort_values("name", key=lambda names: names != "all", kind="stable", ignore_index=True)


def plot_accuracies(accuracies: pd.DataFrame) -> "Figure":
    """Accuracy with its interval, of all texts and of each part: few texts, wide interval."""
    figure, (axes,) = style.canvas(1.5 + 0.4 * len(accuracies))
    names = [f"{name} ({num:.0f})" for name, num in zip(accuracies["name"], accuracies["num"], strict=True)]
    colours = [style.BLUE if name == "all" else style.GREY for name in accuracies["name"]]
    style.intervals(axes, names, accuracies, colours)
    # A dot at zero keeps off the names.
    axes.set_xlim(max(-0.03, float(accuracies["low"].min()) - 0.05), 1.0)
    style.percent_axis(axes, "x")
    style.entitle(axes, "Accuracy on texts not learned from, with 95% intervals", "share of the texts labelled right")
    return figure


def learning_curve(models: Iterable[TrainedModel], cards: Sequence[Mapping[str, Any]] = ()) -> pd.DataFrame:
    """Accuracy on held-out texts by the number of texts learned from, fewest first.

    Args:
        models: that were trained here.
        cards: of models that were trained before.

    Returns:
        Columns model (version), num_examples, value, low, high, seconds (of the training).
    """
    told = [(model.version, model.metrics, model.rows_per_rank) for model in models]
    told += [(str(card["version"]), card["metrics"], card["rows_per_rank"]) for card in cards]
    rows = []
    for version, metrics, ranks in told:
        test = metrics["test"]
        ends = (test[name] for name in ("accuracy", "accuracy_low", "accuracy_high"))
        rows.append((version, sum(rank["train"] for rank in ranks), *ends, metrics["seconds_training"]))
    found = pd.DataFrame(rows, columns=["model", "num_examples", "value", "low", "high", "seconds"])
    return found.sort_values("num_examples", ignore_index=True)


def plot_learning_curve(learning_curve: pd.DataFrame) -> "Figure":
    """What more examples bring: if the curve still rises, collect more; if it is flat, change something else."""
    from matplotlib.ticker import NullLocator

    figure, (axes,) = style.canvas(3.8, 7.0)
    nums, values = learning_curve["num_examples"], learning_curve["value"]
    axes.fill_between(nums, learning_curve["low"], learning_curve["high"], color=style.BLUE, alpha=0.15, linewidth=0)
    axes.plot(nums, values, "o-", color=style.BLUE, linewidth=2, markersize=8, clip_on=False)
    for num, value in zip(nums, values, strict=True):
        style.note(axes, num, value, f"{value:.1%}", xytext=(0, 10), textcoords="offset points", ha="center")
    axes.set_xscale("log")
    axes.set_xticks(nums, [f"{num:,}" for num in nums])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(top=min(1.0, float(learning_curve["high"].max()) + 0.04))
    style.percent_axis(axes, "y")
    style.grid(axes, "y")
    style.entitle(axes, "Accuracy by number of examples, with 95% intervals", "examples learned from", "accuracy")
    return figure
