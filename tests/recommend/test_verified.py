"""Taking the named item out of the history is done for real, and seen in the score."""

import numpy as np
import pytest

from attune.recommend.batch import without_items
from attune.recommend.booster import RankingModel
from attune.recommend.ranking import Ranker
from attune.recommend.verified import verify_block
from recommend.tiny import BULB, LAMP, LAMP_BUYER, MUG, STRANGER, batch, catalogue, quotas


def test_items_are_taken_out_of_each_row() -> None:
    users = batch({"items": [LAMP, MUG], "weights": [5.0, 1.0], "ages": [2.0, 3.0], "recent": [1, 0]}, LAMP_BUYER)
    left = without_items(users, np.array([0, 0, 1, 0]), [[MUG], [BULB], [LAMP], [LAMP, MUG]])
    assert [row.indices.tolist() for row in left.weights] == [[LAMP], [LAMP, MUG], [], []]
    assert left.ages[0, LAMP] == 2
    assert left.user_ids.tolist() == ["user 0", "user 0", "lamp buyer", "user 0"]
    assert left.bought[2, LAMP] == 1
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
