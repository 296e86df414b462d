"""Reviews must carry a signal that a model can learn: words that follow the stars, and each item's weak side."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from attune.demo.catalogue import item_id, make_catalogue
from attune.demo.review_words import CHINESE, ENGLISH
from attune.demo.reviews import make_reviews
from attune.demo.vocabulary import ASPECTS
from attune.demo.world import World

HAN = r"[\u4e00-\u9fff]"


@pytest.fixture(scope="module")
def reviews(world: World) -> pd.DataFrame:
    return make_reviews(world, np.arange(world.num_reviews))


def test_a_review_is_the_same_in_whatever_company(make: Callable[..., World]):
    world, number = make(num_events=5000), np.arange(200)
    whole = make_reviews(world, number)
    parts = pd.concat([make_reviews(world, part) for part in (number[150:], number[:150])])
    order = ["review_id", "dirt"]
    pd.testing.assert_frame_equal(
        whole.sort_values(order, ignore_index=True), parts.sort_values(order, ignore_index=True)
    )


@pytest.mark.parametrize("chinese", [False, True])
def test_a_bag_of_words_tells_good_from_bad(reviews: pd.DataFrame, chinese: bool):
    texts = reviews[reviews["text"].str.contains(HAN) == chinese]
    texts = texts[texts["stars"].isin(list("1245"))]
    good = texts["stars"].isin(["4", "5"]).to_numpy()
    train = np.arange(len(texts)) % 2 == 0
    words = CountVectorizer(analyzer="char", ngram_range=(1, 3)) if chinese else CountVectorizer()
    model = LogisticRegression(max_iter=1000, C=0.3, class_weight="balanced")
    model.fit(words.fit_transform(texts["text"][train]), good[train])
    accuracy = model.score(words.transform(texts["text"][~train]), good[~train])
    # Wrong labels and words a shade off keep it from being perfect.
    assert 0.85 < accuracy < 0.995


def test_stars_lean_to_the_good_and_follow_quality(world: World, reviews: pd.DataFrame):
    share = reviews["true_stars"].value_counts(normalize=True)
    assert 0.4 < share[5] < 0.55
    assert 0.15 < share[1] + share[2] < 0.3
    quality = pd.Series(make_catalogue(world).quality, index=map(item_id, range(world.num_items)))
    known = reviews[reviews["item"].notna()]
    assert np.corrcoef(quality[known["item"]], known["true_stars"])[0, 1] > 0.4


def test_few_labels_are_wrong(reviews: pd.DataFrame):
    wrong = (reviews["stars"] != reviews["true_stars"].astype(str)) & (reviews["dirt"] != "wrong_stars")
    assert 0.01 < wrong.mean() < 0.05


def test_a_quarter_is_chinese_and_lengths_vary(reviews: pd.DataFrame):
    chinese = reviews["text"].str.contains(HAN)
    assert 0.2 < chinese.mean() < 0.3
    words = reviews.loc[~chinese, "text"].str.split().str.len()
    assert words.min() >= 4
    assert words.max() <= 70
    assert words.std() > 5


def test_complaints_name_the_items_weak_side(reviews: pd.DataFrame):
    bad = reviews[(reviews["true_stars"] <= 2) & ~reviews["text"].str.contains(HAN)]

    def names(text: str, aspect: str) -> bool:
        return any(phrase[1:].lower() in text.lower() for phrase in ENGLISH.complaints[aspect])

    own = np.mean([names(r.text, r.problem) for r in bad.itertuples()])
    other = np.mean([names(r.text, ASPECTS[(ASPECTS.index(r.problem) + 1) % len(ASPECTS)]) for r in bad.itertuples()])
    assert own > 0.55
    assert own > 3 * other


def test_dirt_is_in_the_rows_that_the_truth_names(reviews: pd.DataFrame):
    kind = reviews["dirt"]
    assert (reviews["text"].str.contains("@") == (kind == "email")).all()
    assert (reviews["text"].str.contains("<br />") == (kind == "html")).all()
    assert (reviews["text"].str.contains(r"\+44") == (kind == "phone")).all()
    assert (reviews["item"].isna() == (kind == "null_item")).all()
    assert (~reviews["stars"].isin(list("12345")) == (kind == "wrong_stars")).all()
    assert (reviews["review_id"].duplicated() == (kind == "duplicate")).all()
    assert kind.notna().sum() > 100


@pytest.mark.parametrize("phrases", [ENGLISH, CHINESE])
def test_every_aspect_has_words(phrases: object):
    assert set(ASPECTS) == set(phrases.praise) == set(phrases.complaints)  # type: ignore[attr-defined]
