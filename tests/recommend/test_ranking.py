"""The list that is shown: in the model's order, full, and varied where nothing is known of the user."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attune.recommend.booster import RankingModel
from attune.recommend.measured import Lists, list_rows
from attune.recommend.pair_features import pair_features
from attune.recommend.ranking import Ranker, spread_over_groups
from attune.recommend.rerank import Rules
from attune.recommend.retrieval import retrieve
from attune.recommend.sources import SOURCES
from recommend.tiny import BULB, LAMP, LAMP_BUYER, MUG, NOVELTY, STRANGER, batch, catalogue, quotas

GROUPS = st.lists(st.sampled_from(["a", "b", "c", "d", ""]), max_size=30)


@given(GROUPS, st.integers(1, 12))
def test_spread_list_is_full_and_has_nothing_twice(groups: list[str], top_n: int) -> None:
    chosen = spread_over_groups(groups, top_n)
    assert len(chosen) == len(set(chosen)) == min(top_n, len(groups))


@given(GROUPS, st.integers(1, 12))
def test_no_group_fills_more_than_its_part_while_others_remain(groups: list[str], top_n: int) -> None:
    chosen = spread_over_groups(groups, top_n)
    for length in range(1, len(chosen) + 1):
        group = groups[chosen[length - 1]]
        count = Counter(groups[place] for place in chosen[:length])
        others = [groups[place] for place in range(len(groups)) if place not in chosen[: length - 1]]
        if group and count[group] > 1 + length // 3:
            assert "" not in others
            assert all(count[other] - (other == group) >= 1 + length // 3 for other in others)


@given(GROUPS, st.integers(1, 12))
def test_shorter_list_is_the_beginning_of_the_longer(groups: list[str], top_n: int) -> None:
    assert spread_over_groups(groups, top_n) == spread_over_groups(groups, top_n + 3)[:top_n]


class ByFeature:
    """A stand-in for the trees: the score is one feature, which alone explains it."""

    def __init__(self, column: int) -> None:
        self.column = column

    def predict(self, features: np.ndarray, pred_contrib: bool = False, **_: object) -> np.ndarray:
        scores = np.nan_to_num(features[:, self.column], nan=-9)
        if not pred_contrib:
            return scores
        contributions = np.zeros((len(features), features.shape[1] + 1))
        contributions[:, self.column] = 1
        return contributions


@pytest.fixture
def ranker(monkeypatch: pytest.MonkeyPatch) -> Ranker:
    users = batch(LAMP_BUYER)
    columns = pair_features(catalogue(), users, retrieve(catalogue(), users, quotas(4), False)).columns
    monkeypatch.setattr(RankingModel, "booster", lambda _: ByFeature(columns.index("text_score")))
    return Ranker(RankingModel("", columns, {}, 7.0), quotas=quotas(4), repeat=False)


def test_rows_are_in_the_order_of_the_score_with_sources_and_reasons(ranker: Ranker) -> None:
    rows = ranker.recommend(catalogue(), batch(LAMP_BUYER), 3)
    assert rows["item_id"].tolist() == ["novelty", "bulb", "mug"]
    assert rows["rank"].tolist() == [1, 2, 3]
    assert rows["score"].is_monotonic_decreasing
    assert rows["sources"].iloc[0] == ["text"]
    assert rows["reasons"].iloc[0][0] == "Like Brass lamp that you bought"


def test_what_was_shown_too_often_is_left_out_by_the_rule_alone(ranker: Ranker) -> None:
    tired = batch(LAMP_BUYER | {"capped": [NOVELTY, MUG]}, STRANGER | {"capped": [MUG]})

    def listed(rules: Rules) -> dict[str, set[str]]:
        ranker.rules = rules
        return ranker.recommend(catalogue(), tired, 4).groupby("user_id")["item_id"].apply(set).to_dict()

    free, capped = listed(Rules()), listed(Rules(frequency_cap=True))
    assert free["lamp buyer"] == {"novelty", "bulb", "mug"}
    assert capped["lamp buyer"] == {"bulb"}
    assert capped["stranger"] == free["stranger"] - {"mug"} != free["stranger"]
    assert listed(Rules(max_per_brand=1, frequency_cap=True))["lamp buyer"] == {"bulb"}


def test_what_the_frequency_cap_costs_is_seen_beside_the_list_without_it(ranker: Ranker) -> None:
    ranker.rules = Rules(frequency_cap=True)
    tired = batch(LAMP_BUYER | {"capped": [BULB]})
    rows = list_rows(catalogue(), tired, {}, 3, False, ranker).set_index("model")
    assert rows.loc["blend", "items"].tolist() == [NOVELTY, MUG, -1]
    assert rows.loc["blend without frequency_cap", "items"].tolist() == [NOVELTY, BULB, MUG]
    assert rows["num_relevant"].tolist() == [1, 1], "what the user goes on to choose counts, though it was left out"
    assert rows["hits"].map(sum).to_dict() == {"blend": 0, "blend without frequency_cap": 1}


def test_nobody_and_nothing_are_empty_lists(ranker: Ranker) -> None:
    nothing = catalogue(offered=np.zeros(4, bool))
    assert ranker.recommend(nothing, batch(LAMP_BUYER, STRANGER), 3).empty


def test_measured_lists_fill_up_with_popular_items_and_count_what_is_relevant() -> None:
    users = batch(LAMP_BUYER, STRANGER)
    rows = list_rows(catalogue(), users, {"covisit": SOURCES["covisit"]}, 4, False, None).set_index("user_id")
    buyer, stranger = rows.loc["lamp buyer"], rows.loc["stranger"]
    assert buyer["items"].tolist() == [BULB, MUG, -1, -1], "the lamp is owned, the novelty is not popular"
    assert buyer["num_relevant"] == 1, "the lamp is left out of every list, so it is no miss either"
    assert buyer["hits"].tolist() == [1, 0, 0, 0]
    assert stranger["items"].tolist() == [MUG, BULB, LAMP, -1]
    assert stranger["hits"].tolist() == [1, 0, 0, 0]
    assert (bool(buyer["known"]), bool(stranger["known"])) == (True, False)
    assert NOVELTY not in buyer["items"]


def test_new_items_are_counted_apart() -> None:
    users = batch(LAMP_BUYER | {"labels": [BULB, NOVELTY]}, STRANGER)
    rows = list_rows(catalogue(), users, {"text": SOURCES["text"]}, 4, False, None).set_index("user_id")
    assert rows["num_new"].to_dict() == {"lamp buyer": 1, "stranger": 0}
    names = ["known", "num_relevant", "num_new"]
    lists = Lists(
        rows.index.to_numpy(object), *(rows[name].to_numpy() for name in names),
        {"text": np.stack(rows["items"])}, {"text": np.stack(rows["hits"])},
    )  # fmt: skip
    assert lists.items["text"][0].tolist() == [NOVELTY, BULB, MUG, -1]
    assert lists.hits["text"][0].tolist() == [1, 1, 0, 0]
    new = lists.of_new_items(catalogue().is_new)
    assert new.hits["text"][0].tolist() == [1, 0, 0, 0]
    assert new.num_relevant.tolist() == [1, 0]
