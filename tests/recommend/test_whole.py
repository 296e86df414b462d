"""From the log to the lists: learn, recommend and measure on a shop whose right answers are known."""

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest
import torch

from attune import config
from attune.errors import InputError, SettingsError
from attune.models.encoder import load_encoder
from attune.models.item_sequence import CATALOGUE, ItemSequenceModel
from attune.models.networks import write_network
from attune.models.pair_scorer import PairScorer
from attune.models.store import ModelStore
from attune.recommend.booster import read_model
from attune.recommend.evaluate import evaluate
from attune.recommend.inputs import Inputs
from attune.recommend.recommend import recommend
from attune.recommend.short_list import ShortList
from attune.recommend.sources import SOURCES
from attune.recommend.train import TrainedRanker, train_ranker
from attune.schemas import TABLES
from models.tiny_bert import WORDS, tiny_tokenizer, write_tiny_bert
from recommend import shop

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

AS_OF = shop.START + dt.timedelta(days=shop.NUM_DAYS)
SMALL = (
    "split.test_days=15", "split.valid_days=15", "recommend.ranker.periods=2", "recommend.ranker.num_rounds=20",
    "recommend.als.grid=[{rank: 4, reg: 0.1, alpha: 10}]", "recommend.als.iterations=3", "recommend.als.blocks=1",
    "recommend.popular.half_lives_days=[7, 30]", "recommend.top_n=5", "evaluate.k=[5, 10]", "evaluate.bootstrap_samples=200",
)  # fmt: skip
TIRED_OF = ("u00", "i0-03")
"""A user, and an item that this user was shown again and again."""


@pytest.fixture(scope="module")
def settings() -> config.Config:
    return config.load([], SMALL, str(AS_OF))


@pytest.fixture(scope="module")
def inputs(spark: "SparkSession") -> Inputs:
    return Inputs(
        events=spark.createDataFrame(shop.events()).persist(),
        items=spark.createDataFrame(shop.items()),
        embeddings=spark.createDataFrame(shop.vectors()),
    )


def impressions(inputs: Inputs) -> "DataFrame":
    """Columns of table impressions: one user saw one item on each of the last days of the log, and never clicked."""
    stamps = [dt.datetime.combine(AS_OF, dt.time(), dt.UTC) - dt.timedelta(days=day) for day in range(1, 5)]
    rows = [(*TIRED_OF, stamp, False, None, stamp.date()) for stamp in stamps]
    types = "user_id string, item_id string, shown_ts timestamp, clicked boolean, click_ts timestamp, ds date"
    return inputs.events.sparkSession.createDataFrame(rows, types)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    return ModelStore(str(tmp_path_factory.mktemp("workspace")))


@pytest.fixture(scope="module")
def trained(inputs: Inputs, settings: config.Config, store: ModelStore) -> TrainedRanker:
    return train_ranker(inputs, settings, store, "v1")


@pytest.fixture(scope="module")
def published(inputs: Inputs, settings: config.Config, store: ModelStore, trained: TrainedRanker) -> pd.DataFrame:
    with recommend(inputs, settings, store, AS_OF) as frame:
        assert [(f.name, f.dataType) for f in frame.schema] == [
            (f.name, f.dataType) for f in TABLES["recommendations"].struct()
        ]
        return frame.toPandas()


def test_model_is_stored_and_in_use(trained: TrainedRanker, store: ModelStore) -> None:
    assert store.latest("ranker") == trained.folder
    assert trained.metrics["users"] > 20


def test_learning_and_recommending_again_gives_identical_lists(
    inputs: Inputs, settings: config.Config, published: pd.DataFrame, tmp_path: Path
) -> None:
    """Without it a report of last month cannot be made again, and nobody can say what a change of settings did."""
    again = ModelStore(str(tmp_path))
    train_ranker(inputs, settings, again, "v1")
    with recommend(inputs, settings, again, AS_OF) as frame:
        lists = frame.toPandas()
    order = ["user_id", "rank"]
    pd.testing.assert_frame_equal(
        lists.sort_values(order, ignore_index=True), published.sort_values(order, ignore_index=True), check_exact=True
    )


def test_everybody_gets_a_full_list_without_what_is_bought(published: pd.DataFrame) -> None:
    events = shop.events()
    assert set(published["user_id"]) == {*events["user_id"], "*", "*:France", "*:Spain"}
    assert (published.groupby("user_id")["rank"].apply(list).map(lambda ranks: ranks == [1, 2, 3, 4, 5])).all()
    bought = events[events["event_type"] == "purchase"][["user_id", "item_id"]].drop_duplicates()
    assert published.merge(bought, on=["user_id", "item_id"]).empty
    assert not published.duplicated(["user_id", "item_id"]).any()


def test_lists_follow_the_circle_of_the_user(published: pd.DataFrame) -> None:
    people = published[~published["user_id"].str.startswith("*")]
    circle = (people["user_id"].str[1:].astype(int) % 2).astype(str)
    assert (people["item_id"].str[1] == circle).mean() > 0.95


def test_strangers_of_a_region_get_what_is_popular_there(published: pd.DataFrame) -> None:
    for region, circle in (("France", "0"), ("Spain", "1")):
        listed = published[published["user_id"] == f"*:{region}"]["item_id"]
        assert (listed.str[1] == circle).sum() >= 3


def test_every_row_says_where_it_comes_from_and_why(published: pd.DataFrame) -> None:
    assert published["sources"].map(len).min() >= 1
    assert published["reasons"].map(len).between(1, 3).all()
    assert published["reasons"].explode().str.startswith("Bought together with Item i").any()


def test_new_item_is_offered_through_its_text(published: pd.DataFrame) -> None:
    offered = published[published["item_id"] == "i0-new"]
    assert offered["sources"].map(lambda sources: sources == ["text"]).all()


def test_blend_and_baselines_are_measured_on_the_same_users(
    inputs: Inputs, settings: config.Config, store: ModelStore, trained: TrainedRanker
) -> None:
    result = evaluate(inputs, settings, store)
    rows = result.evaluation.toPandas()
    assert result.metrics["reasons"]["score_lower_without"] >= 0.95, result.metrics["reasons"]
    calibration = result.metrics["calibration"]
    assert calibration["num"] == 5 * result.metrics["users_measured"]
    assert calibration["mean_score"] == pytest.approx(calibration["share_acted_on"], abs=0.1)
    assert 0 < calibration["error"] < 0.15
    assert set(rows["slice"]) >= {"all", "known_users"}
    recall = rows[(rows["metric"] == "candidate_recall") & (rows["slice"] == "all")].set_index("model")["value"]
    assert set(recall.index) == {*SOURCES, "candidates"}
    assert recall["candidates"] >= recall.max()
    plain = rows[rows["against"].isna() & (rows["metric"] == "ndcg") & (rows["k"] == 5) & (rows["slice"] == "all")]
    value = plain.set_index("model")["value"]
    assert set(value.index) == {"blend", "popular", "als", "ease", "covisit", "text"}
    assert value["blend"] > value["popular"] + 0.1, "popularity does not know the circles"
    assert plain["num"].nunique() == 1
    assert (plain["low"] <= plain["value"]).all()
    assert (plain["value"] <= plain["high"]).all()
    without_interval = result.evaluation.where("low IS NULL").select("metric").distinct().toPandas()
    assert without_interval["metric"].tolist() == ["coverage"]
    lists = rows[(rows["slice"] == "all") & (rows["k"] == 5) & rows["against"].isna()].pivot_table(
        "value", "model", "metric", observed=True
    )
    assert lists.loc["popular", "popularity"] > lists.loc["text", "popularity"] > 0
    assert lists.loc["popular", "novelty"] < lists.loc["text", "novelty"]
    assert lists["diversity"].between(0, 2).all()
    difference = rows[
        (rows["against"] == "popular") & (rows["metric"] == "ndcg") & (rows["k"] == 5) & (rows["slice"] == "all")
    ]
    assert difference["value"].item() == pytest.approx(value["blend"] - value["popular"])
    assert result.metrics["blend_over_best"] == pytest.approx(
        value["blend"] / value[result.metrics["best_baseline"]], abs=0.2
    )


def test_the_next_item_model_takes_part(inputs: Inputs, tmp_path: Path) -> None:
    """A network with drawn weights: whether it helps is not asked, but whether it is heard, and by its version."""
    torch.manual_seed(0)
    ids = [name for name in shop.items()["item_id"] if name != "i0-new"]

    def write(folder: Path) -> None:
        write_network(ItemSequenceModel(len(ids), width=8, layers=1, heads=1, max_positions=20), None, 21, folder)
        (folder / CATALOGUE).write_text(json.dumps(ids))

    store = ModelStore(str(tmp_path))
    for version in ("v1", "v2"):
        store.save("next_item", version, write, {})
    store.promote("next_item", "v1")
    settings = config.load([], [*SMALL, "train.next_item.enabled=true"], str(AS_OF))
    train_ranker(inputs, settings, store, "r1")
    model = read_model(store.latest("ranker"))
    assert model.next_item == "v1"
    assert {"next_item_score", "next_item_rank"} < set(model.columns)
    store.promote("next_item", "v2")
    (store.folder("next_item", "v2") / CATALOGUE).unlink()
    with recommend(inputs, settings, store, AS_OF) as frame:
        proposed = frame.toPandas()["sources"].explode()
    assert (proposed == "next_item").any(), "the version that the ranking was trained with"
    (store.folder("next_item", "v1") / CATALOGUE).unlink()
    with pytest.raises(InputError, match=r"v1/items\.json is missing"), recommend(inputs, settings, store, AS_OF):
        pass


def test_the_cross_encoder_reads_the_short_lists(inputs: Inputs, tmp_path: Path) -> None:
    """A network with drawn weights is of no use, and not used; where it is taken all the same, it is heard, by its version."""
    encoder = load_encoder(write_tiny_bert(tmp_path))
    torch.manual_seed(0)
    network = PairScorer(encoder, separator_id=3)
    torch.nn.init.normal_(network.head.weight, std=20.0)
    words = [f"{a} {b} {c}" for a in WORDS[:4] for b in WORDS[4:8] for c in WORDS[8:10]]
    items = shop.items().assign(title=words[: len(shop.items())], description=None, brand=None)
    described = items.astype({"description": object, "brand": object})
    spark = inputs.events.sparkSession
    named = replace(inputs, items=spark.createDataFrame(described, "item_id string, title string, category string, price double, description string, brand string"))  # fmt: skip
    store = ModelStore(str(tmp_path / "workspace"))
    for version in ("v1", "v2"):
        store.save("cross_match", version, lambda folder: write_network(network, tiny_tokenizer(), 32, folder), {})
    store.promote("cross_match", "v1")
    settings = config.load([], [*SMALL, "train.cross_match.enabled=true", "recommend.short_list=8"], str(AS_OF))
    trained = train_ranker(named, settings, store, "r1")
    told = trained.metrics["cross_match"]
    assert isinstance(told, dict)
    assert told["version"] == "v1"
    assert told["users_fitted"] > 10
    model = read_model(store.latest("ranker"))
    assert (model.short_list is not None) == told["used"]
    short = ShortList("v1", 8, 1.0, 1.0, 0.0)
    read = {"r2": replace(model, short_list=short), "r3": replace(model, short_list=None)}
    lists = {}
    for version, one in read.items():
        store.save("ranker", version, one.write, {})
        store.promote("ranker", version)
        store.promote("cross_match", "v2")
        with recommend(named, settings, store, AS_OF) as frame:
            found = frame.toPandas()
        lists[version] = found.groupby("user_id")["item_id"].apply(list).to_dict()
    people = [user for user in lists["r2"] if not user.startswith("*")]
    assert sum(lists["r2"][user] != lists["r3"][user] for user in people) > len(people) / 2
    assert all(lists["r2"][user] == lists["r3"][user] for user in ("*", "*:France", "*:Spain"))
    store.promote("ranker", "r2")
    measured = evaluate(named, settings, store)
    gain = measured.metrics["gain_of_rules"]["cross_match"]  # type: ignore[index]
    assert gain["low"] <= gain["value"] <= gain["high"]
    assert "error_before" not in measured.metrics["calibration"]  # type: ignore[operator]
    (store.folder("cross_match", "v1") / "config.json").unlink()
    with pytest.raises(InputError, match=r"v1/config\.json is missing"), recommend(named, settings, store, AS_OF):
        pass


def test_works_with_nothing_but_events(spark: "SparkSession", settings: config.Config, tmp_path: Path) -> None:
    bare = Inputs(events=spark.createDataFrame(shop.events().assign(session_id=None, country=None, quantity=None).astype(
        {"session_id": object, "country": object, "quantity": float})))  # fmt: skip
    alone = ModelStore(str(tmp_path))
    train_ranker(bare, settings, alone, "v1")
    with recommend(bare, settings, alone, AS_OF) as frame:
        found = frame.toPandas()
    assert set(found[found["user_id"].str.startswith("*")]["user_id"]) == {"*"}
    assert found["reasons"].map(len).min() >= 1
    assert set(bare.skipped()) >= {"text source", "satisfaction"}


def test_nothing_to_learn_from_is_said(inputs: Inputs, tmp_path: Path) -> None:
    late = config.load([], SMALL, str(AS_OF + dt.timedelta(days=100)))
    with pytest.raises(InputError, match="no action to learn from"):
        train_ranker(inputs, late, ModelStore(str(tmp_path)), "v1")


def test_what_a_rule_costs_is_measured(inputs: Inputs, store: ModelStore, trained: TrainedRanker) -> None:
    varied = config.load([], [*SMALL, "recommend.rerank.diversity=0.9"], str(AS_OF))
    result = evaluate(inputs, varied, store)
    cost = result.metrics["gain_of_rules"]["diversity"]
    assert cost["value"] < 0
    assert result.metrics["best_baseline"] in ("popular", "als", "ease", "covisit", "text")
    rows = result.evaluation.toPandas()
    assert set(rows["model"]) >= {"blend", "blend without diversity"}
    varied_lists = rows[(rows["metric"] == "diversity") & (rows["k"] == 5) & (rows["slice"] == "all")].set_index(
        "model"
    )
    assert varied_lists.loc["blend", "value"] > varied_lists.loc["blend without diversity", "value"]


def test_rules_hold_together_and_each_is_measured(inputs: Inputs, store: ModelStore, trained: TrainedRanker) -> None:
    rules = ("novelty=0.2", "max_per_brand=2", "min_exposure={Circle 1: 0.3}", "frequency_cap={times: 2, days: 10}")
    settings = config.load([], [*SMALL, *(f"recommend.rerank.{rule}" for rule in rules)], str(AS_OF))
    with pytest.raises(SettingsError, match="no table impressions"), recommend(inputs, settings, store, AS_OF):
        pass
    seen = replace(inputs, impressions=impressions(inputs))
    with recommend(seen, settings, store, AS_OF) as frame:
        listed = frame.toPandas()
    people = listed[~listed["user_id"].str.startswith("*")]
    assert TIRED_OF[1] not in set(people[people["user_id"] == TIRED_OF[0]]["item_id"])
    assert TIRED_OF[1] in set(people[people["user_id"] != TIRED_OF[0]]["item_id"])
    brands = people.merge(shop.items()[["item_id", "brand"]], on="item_id").groupby(["user_id", "brand"]).size()
    assert brands.max() == 2
    result = evaluate(seen, settings, store)
    assert set(result.metrics["gain_of_rules"]) == {"novelty", "max_per_brand", "min_exposure", "frequency_cap"}
    shares = result.metrics["exposure@10"]
    assert set(shares) == {"new", "tail", "Circle 1"}
    of_group = {model: share["value"] for model, share in shares["Circle 1"].items()}
    assert of_group["blend"] > of_group["blend without min_exposure"]


def test_only_what_is_on_offer_is_recommended(inputs: Inputs, store: ModelStore, trained: TrainedRanker) -> None:
    cheap = config.load([], [*SMALL, "recommend.offer=price < 20 and title is not null"], str(AS_OF))
    with recommend(inputs, cheap, store, AS_OF) as frame:
        shown = frame.toPandas()
    prices = shop.items().set_index("item_id")["price"]
    assert len(shown)
    assert (prices[shown["item_id"].unique()] < 20).all()
    wrong = config.load([], [*SMALL, "recommend.offer=stock > 0"], str(AS_OF))
    with (
        pytest.raises(
            SettingsError, match=r"recommend\.offer: stock > 0 is no condition on table items, which has item_id"
        ),
        recommend(inputs, wrong, store, AS_OF),
    ):
        pass
