"""Campaigns must reward targeting: responses follow taste, and the random holdout shows what the ad itself did."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from attune.demo.campaigns import HOLDOUT_SHARE, NUM_CAMPAIGNS, describe_campaigns, make_campaigns, make_exposures
from attune.demo.people import describe_users, make_people
from attune.demo.world import World


@pytest.fixture(scope="module")
def exposures(world: World) -> pd.DataFrame:
    return make_exposures(world, np.arange(world.num_users))


def test_responses_follow_their_probability(exposures: pd.DataFrame):
    assert roc_auc_score(exposures["responded"], exposures["probability"]) > 0.75
    assert exposures["responded"].mean() == pytest.approx(exposures["probability"].mean(), rel=0.15)
    assert 0.03 < exposures["responded"].mean() < 0.2


def test_taste_for_the_promoted_category_decides(world: World, exposures: pd.DataFrame):
    people = make_people(world, np.arange(world.num_users))
    category = np.array([c.category for c in make_campaigns(world)])[exposures["campaign"]]
    taste = people.category_start[exposures["user"], category]
    assert np.corrcoef(taste, np.log(exposures["probability"]))[0, 1] > 0.6


def test_the_holdout_is_random_and_the_ad_works(exposures: pd.DataFrame):
    treated = exposures["treated"]
    assert (~treated).mean() == pytest.approx(HOLDOUT_SHARE, abs=0.02)
    assert exposures.loc[treated, "probability_untreated"].mean() == pytest.approx(
        exposures.loc[~treated, "probability_untreated"].mean(), rel=0.15
    )
    assert exposures.loc[treated, "responded"].mean() > exposures.loc[~treated, "responded"].mean()


def test_campaigns_lie_within_the_log(world: World, exposures: pd.DataFrame):
    campaigns = describe_campaigns(world)
    assert len(campaigns) == NUM_CAMPAIGNS
    assert (campaigns["start"] >= str(world.start)).all()
    assert (campaigns["start"] < campaigns["end"]).all()
    ends = world.start_ms + 86_400_000 * np.array([c.end_day for c in make_campaigns(world)])[exposures["campaign"]]
    assert (exposures["ts_ms"] < ends).all()
    assert exposures["response_ms"][exposures["responded"]].max() < world.end_ms


def test_few_users_refuse_consent(world: World):
    users = describe_users(world, np.arange(world.num_users))
    assert 0 < users["consent"].eq(False).mean() < 0.02
    assert 0.02 < users["consent"].isna().mean() < 0.08
