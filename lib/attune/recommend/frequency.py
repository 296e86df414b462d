"""Items that a user was shown often enough for now: seen again and again, and never clicked."""

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from attune.config import FrequencyCap
from attune.errors import SettingsError
from attune.recommend.snapshot import Snapshot

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def too_often_shown(impressions: "DataFrame | None", cap: FrequencyCap | None, cutoff: dt.date) -> "DataFrame | None":
    """Pairs of user and item that a cap leaves out as of a date. Columns user_id, item_id; None without a cap.

    Those shown ``cap.times`` or more in the last ``cap.days`` days before it, and not clicked in them. A click that came
    on or after the date is not known yet, hence none. Raises SettingsError where there are no impressions.
    """
    from pyspark.sql import functions as F

    if cap is None:
        return None
    if impressions is None:
        raise SettingsError(
            "recommend.rerank.frequency_cap counts what users were shown, but there is no table impressions: "
            "give inputs.events with events of type impression, or set frequency_cap=null"
        )
    shown = (F.col("ds") >= F.lit(cutoff - dt.timedelta(days=cap.days))) & (F.col("ds") < F.lit(cutoff))
    clicked = F.col("clicked") & F.coalesce(F.col("click_ts") < F.lit(cutoff), F.lit(True))
    return (
        impressions.where(shown & F.col("user_id").isNotNull() & F.col("item_id").isNotNull())
        .groupBy("user_id", "item_id")
        .agg(F.count("*").alias("times"), F.coalesce(F.bool_or(clicked), F.lit(False)).alias("clicked"))
        .where((F.col("times") >= cap.times) & ~F.col("clicked"))
        .select("user_id", "item_id")
    )


def with_capped(snapshot: Snapshot, pairs: "DataFrame | None") -> Snapshot:
    """The snapshot with the items that each user is not to be shown, as column ``capped`` of its rows (null: none)."""
    from pyspark.sql import functions as F

    if pairs is None:
        return snapshot
    ids = snapshot.catalogue.item_ids
    index = pairs.sparkSession.createDataFrame(
        pd.DataFrame({"item_id": ids, "item": range(len(ids))}), "item_id string, item int"
    )
    indexed = pairs.join(F.broadcast(index), "item_id")
    by_user = indexed.groupBy("user_id").agg(F.array_sort(F.collect_list("item")).alias("capped")).persist()
    return replace(snapshot, rows=snapshot.rows.join(by_user, "user_id", "left"), kept=(*snapshot.kept, by_user))
