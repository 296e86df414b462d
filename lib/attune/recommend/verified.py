"""Whether the reasons told are those that count: an item's score without what its first reason names."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from attune.recommend.batch import Batch
from attune.recommend.booster import RankingModel
from attune.recommend.catalogue import Catalogue
from attune.recommend.ranking import Ranker
from attune.recommend.reasons import NO_REASON
from attune.recommend.rerank import Rules
from attune.recommend.spread import over_blocks

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_SCHEMA = "user_id string, item_id string, reason string, from_history boolean, is_lower boolean"


def first_reasons(
    rows: "DataFrame",
    catalogue: Catalogue,
    model: RankingModel,
    quotas: Mapping[str, int],
    repeat: bool,
    top_n: int,
    rules: Rules | None = None,
) -> pd.DataFrame:
    """The first reason of each recommendation of some users, and whether the score is lower without it. Grain: user, item.

    Where a reason rests on items of the history (``from_history``), these are taken out, and candidates, features and score
    are made anew; an item is lower, too, where no source proposes it any more. Where it rests on something else, such as
    popularity, the features of that are unknown instead. ``Chosen for you`` is no reason, hence not lower.
    """

    def make():  # type: ignore[no-untyped-def]
        ranker = Ranker(model, quotas, repeat, rules)
        return lambda catalogue, batch: verify_block(ranker, catalogue, batch, top_n)

    found: pd.DataFrame = over_blocks(rows, catalogue, make, _SCHEMA).toPandas()  # type: ignore[assignment]
    return found


def verify_block(ranker: Ranker, catalogue: Catalogue, batch: Batch, top_n: int) -> pd.DataFrame:
    """``first_reasons`` of a block of users."""
    ranked = ranker.rank(catalogue, batch, top_n)
    chosen = np.concatenate(ranked.order) if ranked.order else np.empty(0, np.int64)
    first = [told[0] for told in ranker.reasons(catalogue, batch, ranked, chosen)]
    users, items = ranked.candidates.users[chosen], ranked.candidates.items[chosen]
    texts = np.array([reason.text for reason in first], object)
    from_history = np.array([bool(reason.items) for reason in first], bool)
    is_lower = texts != NO_REASON  # that the score falls without its features is what made it a reason
    removed = [first[place].items for place in np.flatnonzero(from_history)]
    without = ranker.scores_without(catalogue, batch, users[from_history], items[from_history], removed)
    is_lower[from_history] = without < ranked.scores[chosen[from_history]]
    return pd.DataFrame(
        {
            "user_id": batch.user_ids[users],
            "item_id": catalogue.item_ids[items],
            "reason": texts,
            "from_history": from_history,
            "is_lower": is_lower.astype(bool),
        }
    )
