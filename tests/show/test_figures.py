"""Each figure draws what its frame holds, says what it shows and on which axes, and cuts no name to pieces."""

import io
import json
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from attune import config
from attune.show import customer, models, offers, opinion, shop
from show import frames

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURES: dict[str, "Callable[[], Figure]"] = {
    "activity": lambda: shop.plot_activity(frames.activity()),
    "activity of years": lambda: shop.plot_activity(frames.activity(2000)),
    "funnel": lambda: shop.plot_funnel(frames.funnel()),
    "visits": lambda: shop.plot_visits(frames.visits_by_hour()),
    "popularity": lambda: shop.plot_popularity(frames.actions_by_item()),
    "actions": lambda: customer.plot_actions(frames.actions()),
    "interests": lambda: customer.plot_interests(frames.interests()),
    "standing": lambda: customer.plot_standing(frames.standing()),
    "satisfaction": lambda: opinion.plot_satisfaction(frames.items_beside()),
    "mentions": lambda: opinion.plot_mentions(opinion.mentions(frames.reviews(), ["solid", "bright"], ["dim"])),
    "no mentions": lambda: opinion.plot_mentions(opinion.mentions(frames.reviews(), [], [])),
    "months": lambda: opinion.plot_months(frames.reviews()),
    "stars": lambda: opinion.plot_stars(frames.reviews()),
    "list": lambda: offers.plot_list(frames.offers()),
    "reasons": lambda: offers.plot_reasons(frames.reasons_given()),
    "sources": lambda: offers.plot_sources(frames.sources_by_rank()),
    "mix": lambda: offers.plot_mix(frames.mix()),
    "evaluated": lambda: models.plot_evaluated(frames.evaluated()),
    "differences": lambda: models.plot_differences(frames.differences()),
    "losses": lambda: models.plot_losses(frames.losses()),
    "accuracies": lambda: models.plot_accuracies(frames.accuracies()),
    "learning curve": lambda: models.plot_learning_curve(frames.learning_curve()),
}


def drawn(figure: "Figure") -> Image.Image:
    """The figure as a picture; a warning, such as of a letter without a shape, is an error."""
    stored = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(stored, format="png")
    return Image.open(stored)


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_drawn_with_a_title_and_in_its_bounds(name: str) -> None:
    figure = FIGURES[name]()
    picture = np.asarray(drawn(figure).convert("L"))
    assert (picture < 250).mean() > 0.01
    # Nothing may run over the edge: it would be cut off.
    assert picture[[0, -1]].min() == 255
    assert picture[:, [0, -1]].min() == 255
    axes = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    assert all(part.get_title(loc="left") for part in axes)


def texts(figure: "Figure") -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_the_funnel_tells_the_share_that_goes_on() -> None:
    assert texts(shop.plot_funnel(frames.funnel())) == [
        "9,000", "1,800  (20.0% of shown)", "450  (25.0% of clicked)", "90  (20.0% of put in the cart)",
    ]  # fmt: skip


def test_the_busiest_hour_is_told() -> None:
    (axes, _) = shop.plot_visits(frames.visits_by_hour()).axes
    assert axes.get_title(loc="left") == "When visits start: most on Sat from 20:00"


def test_the_share_of_the_most_popular_items_is_told() -> None:
    """1 of 10 items has 8 of 16 actions, 4 more have 2 each: the first two have 10 of 16."""
    (axes,) = shop.plot_popularity(frames.actions_by_item()).axes
    assert axes.get_title(loc="left") == "20% of the items get 62% of the actions"


def test_words_are_counted_in_reviews_of_their_kind_alone() -> None:
    found = opinion.mentions(frames.reviews(), ["solid", "bright"], ["dim", "missing"])
    assert found.to_dict("records") == [
        {"word": "solid", "label": "positive", "num": 2, "num_reviews": 3, "share": 2 / 3},
        {"word": "bright", "label": "positive", "num": 1, "num_reviews": 3, "share": 1 / 3},
        {"word": "dim", "label": "negative", "num": 1, "num_reviews": 2, "share": 1 / 2},
        {"word": "missing", "label": "negative", "num": 0, "num_reviews": 2, "share": 0.0},
    ]


def test_the_most_telling_reviews_stand_at_both_ends() -> None:
    assert opinion.telling(frames.reviews(), 1)["body"].tolist() == ["v", "z"]


def test_months_without_reviews_are_shown() -> None:
    (axes,) = opinion.plot_months(frames.reviews()).axes
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["Nov 2025", "Dec 2025", "Jan 2026", "Feb 2026"]
    assert [bar.get_height() for bar in axes.patches] == [1, 0, 2, 0, 0, 0, 0, 2]


def test_a_difference_is_coloured_only_where_its_interval_is_clear_of_zero() -> None:
    (axes,) = models.plot_differences(frames.differences()).axes
    colours = [line.get_color() for line in axes.lines if line.get_marker() == "o"]
    assert len(set(colours)) == 3


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("Like Red lamp that you bought", "Like …"),
        ("Fits your interest in Lamps", "Fits your interest in …"),
        ("Rated 92% positive", "Rated positive"),
        ("Popular in FR", "Popular in the region"),
        ("Popular this week", "Popular this week"),
    ],
)
def test_reasons_are_counted_without_what_they_name(reason: str, kind: str) -> None:
    assert offers.kind_of_reason(reason) == kind


CARD = {
    "task": "sentiment", "version": "v1", "rows_per_rank": [{"train": 10}, {"train": 20}],
    "metrics": {
        "test": {"num": 9.0, "accuracy": 0.8, "accuracy_low": 0.5, "accuracy_high": 0.9}, "seconds_training": 2.0,
        "test_by": {"category": {"Home": {"num": 4.0, "accuracy": 1.0, "accuracy_low": 0.6, "accuracy_high": 1.0}}},
        "loss_by_quarter": [2.0, 1.0, 0.5, 0.4],
    },
}  # fmt: skip


def test_a_model_is_trained_again_with_the_settings_of_its_card() -> None:
    """Small numbers, too, which YAML and JSON write in different ways."""
    before = config.load(
        [], ["train.sentiment.learning_rate=1.0e-5", "train.encoder=elsewhere", "seed=3"], "2026-03-01"
    )
    card = {"settings": json.loads(before.train.model_dump_json()), "seed": 3}
    after = models.settings_of(card, ["train.sentiment.max_examples=50"], "2026-03-01")
    assert after.train.sentiment.max_examples == 50
    expected = before.train.sentiment.model_copy(update={"max_examples": 50})
    assert after == before.model_copy(update={"train": before.train.model_copy(update={"sentiment": expected})})


def test_cards_become_frames() -> None:
    assert models.accuracies(CARD)["name"].tolist() == ["all", "Home"]
    losses = models.losses({"sentiment": CARD, "ranker": {}})
    assert losses[["done", "loss"]].to_numpy().tolist() == [[0.25, 2.0], [0.5, 1.0], [0.75, 0.5], [1.0, 0.4]]
    assert models.learning_curve([], [CARD]).iloc[0].to_dict() == {
        "model": "v1", "num_examples": 30, "value": 0.8, "low": 0.5, "high": 0.9, "seconds": 2.0,
    }  # fmt: skip
    figures = models.main_figures({"sentiment": CARD})
    assert isinstance(figures, pd.DataFrame)
    assert dict(zip(figures["metric"], figures["value"], strict=True)) == CARD["metrics"]["test"]  # type: ignore[index]
