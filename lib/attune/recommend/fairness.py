"""How evenly users are served: nDCG by group of users, and the gap between the best and the worst served group.

There is no setting that closes the gap. Lists of users do not compete, and each stands in the order that the model holds best,
so a re-ranking could only serve the better served worse, or spare a group a rule by its age, gender or region: the one mends
nothing, the other treats people by what they are. What rules can do is widen the gap, so it is told of the blend without each
rule, too, and of every baseline. A gap is closed where it arises: by more events, sources or features for the group.
"""

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from attune.config import Config
from attune.evaluation.bootstrap import bootstrap_gaps, bootstrap_means, gaps_by_chance
from attune.evaluation.metrics import ndcg
from attune.recommend.inputs import Inputs
from attune.recommend.measured import BLEND, Lists

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

GAP = "ndcg_gap:"
"""Start of the metric; the column that groups the users follows."""
CHANCE = "random_groups"
"""In place of a model: the blend's gap where the same users are dealt to groups of the same sizes by lot."""
_MIN_USERS = 30
"""Users that a group must have: the mean of fewer tells nothing, and the worst of many such groups is bad by chance."""


def user_groups(rows: "DataFrame", inputs: Inputs, cutoff: dt.date) -> pd.DataFrame:
    """Region, age band, gender and favourite category before a date of each user, of what is known; indexed by user_id.

    Table segments does not count: its groups are formed by what users did up to the end of the data interval, the held-out
    period included.
    """
    from pyspark.sql import functions as F

    found = rows.select("user_id", "region")
    if inputs.users is not None:
        stated = [name for name in ("age_band", "gender") if name in inputs.users.columns]
        found = found.join(inputs.users.select("user_id", *stated), "user_id", "left")
    if inputs.user_features is not None and "top_category" in inputs.user_features.columns:
        dated = inputs.user_features.where(F.col("as_of") == F.lit(cutoff))
        found = found.join(dated.select("user_id", "top_category"), "user_id", "left")
    collected: pd.DataFrame = found.toPandas()  # type: ignore[assignment]
    return collected.set_index("user_id")


def group_rows(lists: Lists, groups: pd.DataFrame, settings: Config) -> list[dict[str, object]]:
    """Rows of table evaluation: nDCG of the blend by group of users, and for every model the gap between two groups.

    Only groups of 30 users or more count, and only columns with two such groups.

    Args:
        groups: one column a grouping, indexed by user_id; null where unknown.
    """
    rows: list[dict[str, object]] = []
    for column in groups.columns:
        of_user = groups[column].reindex(lists.user_ids)
        sizes = of_user.value_counts()
        names = sorted(str(name) for name in sizes.index[sizes >= _MIN_USERS])
        if len(names) > 1:
            codes = pd.Categorical(of_user, names).codes.astype(np.int64)
            rows += _rows_of(lists, column, names, codes, settings)
    return rows


def _rows_of(
    lists: Lists, column: str, names: list[str], codes: np.ndarray, settings: Config
) -> list[dict[str, object]]:
    grouped, samples, seed = codes >= 0, settings.evaluate.bootstrap_samples, settings.seed
    keys = [(model, k) for model in lists.hits for k in settings.evaluate.k]
    values = np.stack([ndcg(lists.hits[model], lists.num_relevant, k) for model, k in keys], axis=1)
    own = [number for number, (model, _) in enumerate(keys) if model == BLEND]
    rows: list[dict[str, object]] = []

    def tell(model: str, metric: str, k: int, part: str, interval: object, num: int) -> None:
        rows.append(
            {"model": model, "metric": metric, "k": k, "slice": part, "num": num, "against": None, **vars(interval)}
        )

    for code, name in enumerate(names):
        members = codes == code
        for number, interval in zip(own, bootstrap_means(values[members][:, own], samples, seed), strict=True):
            tell(BLEND, "ndcg", keys[number][1], f"{column}: {name}", interval, int(members.sum()))
    num = int(grouped.sum())
    gaps = bootstrap_gaps(values[grouped], codes[grouped], samples, seed)
    for (model, k), interval in zip(keys, gaps, strict=True):
        tell(model, f"{GAP}{column}", k, "all", interval, num)
    chance = gaps_by_chance(values[grouped][:, own], codes[grouped], samples, seed)
    for number, interval in zip(own, chance, strict=True):
        tell(CHANCE, f"{GAP}{column}", keys[number][1], "all", interval, num)
    return rows


def gaps_at(rows: pd.DataFrame, k: int) -> Mapping[str, object]:
    """The blend's gaps at one length of the list, by column: groups at both ends, the gap, and what chance alone makes of it."""
    found: dict[str, object] = {}
    at_k = rows[rows["k"] == k]
    of_groups = at_k[(at_k["model"] == BLEND) & (at_k["metric"] == "ndcg") & at_k["against"].isna()]
    for metric, part in at_k[at_k["metric"].str.startswith(GAP)].groupby("metric"):
        column = str(metric).removeprefix(GAP)
        groups = of_groups[of_groups["slice"].str.startswith(f"{column}: ")].set_index("slice")["value"]
        by_model = part.set_index("model")[["value", "low", "high"]].astype(float).round(5)
        found[column] = {
            "best": str(groups.idxmax()).removeprefix(f"{column}: "),
            "worst": str(groups.idxmin()).removeprefix(f"{column}: "),
            "gap": by_model.loc[BLEND].to_dict(),
            "by_chance": by_model.loc[CHANCE].to_dict(),
        }
    return found
