"""Taking the named item out of the history is done for real, and seen in the score."""

import numpy as np
import pytest

from attune.recommend.batch import Batch, without_items
from attune.recommend.booster import RankingModel
from attune.recommend.pair_features import Matrix
from attune.recommend.ranking import Ranker, Scored
from attune.recommend.retrieval import retrieve
from attune.recommend.verified import verify_block
from recommend.tiny import BULB, LAMP, LAMP_BUYER, MUG, STRANGER, batch, catalogue, quotas


def test_items_are_taken_out_of_each_row() -> None:
    users = batch(
        {"items": [LAMP, MUG], "weights": [5.0, 1.0], "ages": [2.0, 3.0], "recent": [1, 0]},
        LAMP_BUYER | {"capped": [BULB]},
    )
    left = without_items(users, np.array([0, 0, 1, 0]), [[MUG], [BULB], [LAMP], [LAMP, MUG]])
    assert [row.indices.tolist() for row in left.weights] == [[LAMP], [LAMP, MUG], [], []]
    assert left.ages[0, LAMP] == 2
    assert left.user_ids.tolist() == ["user 0", "user 0", "lamp buyer", "user 0"]
    assert left.bought[2, LAMP] == 1
    assert left.capped.toarray().tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert users.weights[0, MUG] == 1


@pytest.mark.parametrize("grows", [True, False])
def test_a_reason_counts_only_where_the_score_falls(monkeypatch: pytest.MonkeyPatch, grows: bool) -> None:
    """A ranker whose score is, or is the opposite of, what co-visits say."""
    columns = ("covisit_score", "popular_score")

    class Scores:
        def predict(self, features: np.ndarray, **_: object) -> np.ndarray:
            of_item = np.nan_to_num(features[:, 0])
            return np.asarray(of_item if grows else 1 - of_item / 10)

    monkeypatch.setattr(RankingModel, "booster", lambda self: Scores())
    ranker = Ranker(RankingModel("", columns, {}, 7.0), quotas=quotas(3), repeat=False)
    found = verify_block(ranker, catalogue(), batch(LAMP_BUYER, STRANGER), 3).set_index(["user_id", "item_id"])
    bulb = found.loc[("lamp buyer", "bulb")]
    assert bulb["is_lower"] == grows
    assert bulb["reason"] == ("Bought together with Brass lamp" if grows else "Chosen for you")
    assert not found.loc["stranger"]["is_lower"].any()


def test_a_reason_whose_history_does_not_lower_the_score_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its co-visits the item would score lower, but without the lamp, of which its text speaks, too, higher."""
    columns = ("covisit_score", "text_score", "als_score")
    helps_to_know_no_text = 5.0

    class Scores:
        def predict(self, features: np.ndarray, **_: object) -> np.ndarray:
            known = np.nan_to_num(features)
            return np.asarray(known[:, 0] + known[:, 2] / 10 + helps_to_know_no_text * np.isnan(features[:, 1]))

    monkeypatch.setattr(RankingModel, "booster", lambda self: Scores())
    ranker = Ranker(RankingModel("", columns, {}, 7.0), quotas=quotas(3), repeat=False)
    shown = ranker.recommend(catalogue(), batch(LAMP_BUYER), 3).set_index("item_id")
    assert shown.loc["bulb", "reasons"] == ["Chosen by customers with a similar taste"]


def test_each_user_and_history_is_scored_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RankingModel, "booster", lambda self: None)
    ranker = Ranker(RankingModel("", (), {}, 7.0), quotas=quotas(3), repeat=False)
    sizes = []

    def score(self: Ranker, _: object, users: Batch) -> Scored:
        sizes.append(len(users))
        pairs = retrieve(catalogue(), users, quotas(3), False)
        return Scored(pairs, Matrix((), np.empty((len(pairs.users), 0), np.float32)), pairs.items + 10.0 * pairs.users)

    monkeypatch.setattr(Ranker, "score", score)
    users = batch(LAMP_BUYER, STRANGER)
    asked = np.array([0, 0, 1, 0]), np.array([BULB, MUG, MUG, BULB])
    found = ranker.scores_without(catalogue(), users, *asked, [(LAMP,), (LAMP,), (MUG,), (BULB,)])
    assert sizes == [2, 1], "three histories, in blocks no larger than that of the users"
    assert found[[1, 2]].tolist() == [MUG, MUG + 10.0]
