"""What was shown too often is what the log before the date says, and nothing that came later."""

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from attune import config
from attune.config import FrequencyCap
from attune.errors import SettingsError
from attune.recommend.frequency import too_often_shown
from attune.recommend.tables import read_inputs

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CUTOFF = dt.date(2026, 3, 1)
CAP = FrequencyCap(times=3, days=7)


def shown(
    user: str | None, item: str | None, days_before: float, clicked_hours_later: float | None = None
) -> dict[str, object]:
    """A row of table impressions, so many days before the date."""
    at = dt.datetime.combine(CUTOFF, dt.time(), dt.UTC) - dt.timedelta(days=days_before)
    clicked = clicked_hours_later is not None
    return {
        "user_id": user, "item_id": item, "shown_ts": at, "clicked": clicked, "ds": at.date(),
        "click_ts": at + dt.timedelta(hours=clicked_hours_later) if clicked_hours_later is not None else None,
    }  # fmt: skip


def test_pairs_are_those_shown_often_of_late_and_never_clicked(spark: "SparkSession") -> None:
    rows = [
        *(shown("u", "often", day) for day in (0.5, 1, 7)),
        *(shown("u", "seldom", day) for day in (1, 2)),
        *(shown("v", "often", day) for day in (1, 2, 3, 4)),
        *(shown("u", "long ago", day) for day in (1, 2, 7.5)),
        *(shown("u", "later", day) for day in (1, 2, 0, -1)),
        *(shown("u", "clicked", day) for day in (1, 2, 3)),
        shown("u", "clicked", 4, clicked_hours_later=0.1),
        *(shown("u", "clicked long ago", day) for day in (1, 2, 3)),
        shown("u", "clicked long ago", 8, clicked_hours_later=0.1),
        *(shown("u", "clicked on the date", day) for day in (1, 2)),
        shown("u", "clicked on the date", 0.01, clicked_hours_later=0.4),
        *(shown(None, "often", day) for day in (1, 2, 3)),
        *(shown("u", None, day) for day in (1, 2, 3)),
    ]
    types = "user_id string, item_id string, shown_ts timestamp, clicked boolean, click_ts timestamp, ds date"
    found = too_often_shown(spark.createDataFrame(rows, types), CAP, CUTOFF)
    assert found is not None
    assert {tuple(row) for row in found.select("user_id", "item_id").collect()} == {
        ("u", "often"), ("v", "often"), ("u", "clicked long ago"), ("u", "clicked on the date")
    }  # fmt: skip


class Workspace:
    """A run whose workspace has every table; a table read is its name."""

    def __init__(self, *settings: str) -> None:
        self.settings = config.load([], settings, str(CUTOFF))

    def has(self, _: str) -> bool:
        return True

    def read(self, name: str) -> str:
        return name

    def skip(self, part: str, reason: str) -> None:
        raise AssertionError(part, reason)


def test_impressions_are_read_where_a_cap_counts_them() -> None:
    capped = Workspace("recommend.rerank.frequency_cap={times: 3, days: 7}")
    assert read_inputs(capped).impressions == "impressions"  # type: ignore[arg-type, comparison-overlap]
    assert read_inputs(Workspace()).impressions is None  # type: ignore[arg-type]


def test_without_a_cap_nothing_is_read_and_without_impressions_a_cap_is_refused() -> None:
    assert too_often_shown(None, None, CUTOFF) is None
    with pytest.raises(SettingsError, match=r"frequency_cap counts .* no table impressions: give inputs\.events"):
        too_often_shown(None, CAP, CUTOFF)
