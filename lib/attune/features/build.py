"""The feature tables of a workspace, computed for every date from daily counts that are read once."""

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from attune.features.daily import Daily, count_days
from attune.features.described import described
from attune.features.examples import examples
from attune.features.items import item_days, item_features, of_version
from attune.features.pairs import user_item_features
from attune.features.state import kept_counts
from attune.features.users import affinities, user_days, user_features
from attune.tables import StagedTable

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from attune.run import Run

    _Hold = Callable[[DataFrame], DataFrame]


def publish_features(run: "Run") -> None:
    """Publish user_features, item_features and user_item_features, once all of them are made.

    Without ``since`` for every date of ``settings.cutoffs``, from the log, in place of the whole tables. With ``since``
    for ``as_of`` alone, from the counts kept by day, in place of that partition.
    """
    settings = run.settings
    if settings.since is None:
        daily, cutoffs = count_days(run.read_or_empty("events"), run.read_or_empty("impressions")), settings.cutoffs
    else:
        daily, cutoffs = kept_counts(run), [settings.as_of]
    staged: dict[str, StagedTable] = {}
    try:
        with _held() as hold:
            _stage(run, daily, cutoffs, staged, hold)
    except BaseException:
        run.tables.discard(staged.values())
        raise
    if settings.since is None:
        run.publish(staged)
    else:
        run.publish(staged, replace="partitions", partitions=[str(date) for date in cutoffs])


def _stage(run: "Run", daily: Daily, cutoffs: list[dt.date], staged: "dict[str, StagedTable]", hold: "_Hold") -> None:
    items, weights = hold(described(run.read_or_empty("item_history"))), run.settings.recommend.event_weights
    daily = Daily(hold(daily.user_items), daily.sessions, daily.impressions)
    of_items = hold(item_days(daily, run.read_or_empty("reviews"), _sentiment(run)))
    staged |= run.stage({"item_features": item_features(of_items, items, cutoffs)})
    if not run.has("events"):
        run.skip("user_features, user_item_features", "there are no events")
        return
    liked, of_users = hold(affinities(daily, items, weights, cutoffs)), hold(user_days(daily, items))
    staged |= run.stage({"user_features": user_features(of_users, liked, cutoffs)})
    of_date = run.tables.read_staged(staged["user_features"])
    staged |= run.stage({"user_item_features": user_item_features(daily, items, liked, of_date, weights, cutoffs)})


def publish_examples(run: "Run") -> None:
    """Publish examples: from the whole log, since what is learned from has to be of one make."""
    settings = run.settings
    if not run.has("events"):
        run.skip("examples", "there are no events")
    elif settings.since is not None:
        run.skip("examples", "since is set: examples are made by a run over all days, before training")
    else:
        events, impressions, told = map(run.read_or_empty, ("events", "impressions", "item_history"))
        run.write({"examples": examples(events, impressions, described(told), settings)})


def _sentiment(run: "Run") -> "DataFrame | None":
    """Scored reviews of the sentiment model in use, where there are any."""
    if not (run.has("review_sentiment") and run.models.has_latest("sentiment")):
        run.skip("sentiment of items", "no reviews are scored yet")
        return None
    return of_version(run.read("review_sentiment"), run.models.latest("sentiment").name)


@contextmanager
def _held() -> "Iterator[_Hold]":
    """Keep frames that are read more than once, on disk where memory is short, and let them go at the end."""
    held: list[DataFrame] = []

    def hold(frame: "DataFrame") -> "DataFrame":
        held.append(frame.persist())
        return frame

    try:
        yield hold
    finally:
        for frame in held:
            frame.unpersist()
