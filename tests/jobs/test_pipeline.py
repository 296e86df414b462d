"""The whole main job on a small demo shop: a stranger's first command ends in recommendations and a report."""

from attune.models.store import ModelStore
from pipeline_run import Ran


def test_every_step_is_done(ran: Ran) -> None:
    steps = ran.summary["steps"]
    assert list(steps) == ["generate", "clean", "featurize", "train", "score", "recommend", "evaluate", "report"]
    assert {step["status"] for step in steps.values()} == {"done"}


def test_every_row_is_accounted_for(ran: Ran) -> None:
    accounting = ran.step("clean")["metrics"]["accounting"]
    assert set(accounting) == {"users", "items", "events", "reviews"}
    for account in accounting.values():
        parts = (account["rows_kept"], account["rows_quarantined"], account["duplicates_dropped"])
        assert sum(parts) == account["rows_read"] > 0
    quarantined = sum(account["rows_quarantined"] for account in accounting.values())
    assert ran.tables.rows("quarantine") == quarantined > 0


def test_cleaning_finds_the_dirt_that_was_made(ran: Ran) -> None:
    truth = (
        ran.spark.read.parquet(str(ran.workspace / "raw" / "truth" / "dirty_rows"))
        .where("source = 'events'")
        .toPandas()
    )
    keys = truth.groupby("kind")["key"].agg(set).to_dict()
    events, impressions = ran.tables.read("events").toPandas(), ran.tables.read("impressions").toPandas()
    kept = set(events["event_id"]) | set(impressions["impression_id"])
    refused = ("malformed", "future", "null_user", "null_item", "negative_price", "absurd_price", "wrong_type")
    for kind in refused:
        assert len(keys[kind]) > 0
        assert not keys[kind] & kept, kind
    # The others are good rows, refused only where the user refused.
    quarantined = ran.tables.read("quarantine").where("array_contains(reasons, 'user did not consent')").toPandas()
    without_consent = " ".join(quarantined["raw"])
    for kind in ("late", "price_text", "email_in_query"):
        lost = keys[kind] - kept
        assert len(lost) < len(keys[kind]) / 4
        assert all(key in without_consent for key in lost), kind
    assert not events["query"].str.contains("@", na=False).any()
    assert events["query"].str.contains("<email>", na=False).any()


def test_two_ranks_read_different_rows(ran: Ran) -> None:
    sentiment = ran.step("train")["metrics"]["sentiment"]
    first, second = (rank["train"] for rank in sentiment["rows_per_rank"])
    assert first > 0
    assert second > 0


def test_every_review_has_a_sentiment(ran: Ran) -> None:
    assert ran.tables.rows("review_sentiment") == ran.tables.rows("reviews") > 0
    version = ModelStore(str(ran.workspace)).latest("sentiment").name
    scored = ran.tables.read("review_sentiment").toPandas()
    assert set(scored["model_version"]) == {version}
    assert scored.loc[scored["status"] == "scored", "probability"].between(0, 1).all()


def test_every_user_gets_new_items_with_sources_and_reasons(ran: Ran) -> None:
    rows = ran.tables.read("recommendations").toPandas()
    events = ran.tables.read("events").toPandas()
    acted = events[events["event_type"].isin(["click", "view", "cart", "purchase"])]
    assert set(acted["user_id"]) | {"*"} <= set(rows["user_id"])
    assert rows.groupby("user_id")["rank"].apply(lambda ranks: sorted(ranks) == list(range(1, len(ranks) + 1))).all()
    assert rows["sources"].str.len().gt(0).all()
    assert rows["reasons"].str.len().gt(0).all()
    bought = events.loc[events["event_type"] == "purchase", ["user_id", "item_id"]].drop_duplicates()
    assert len(bought) > 0
    assert rows.merge(bought, on=["user_id", "item_id"]).empty


def test_models_stand_beside_their_baselines(ran: Ran) -> None:
    rows = ran.tables.read("evaluation").toPandas()
    plain = rows[rows["against"].isna()]
    assert {"popular", "als", "covisit", "blend"} <= set(plain["model"])
    assert {"ndcg", "recall", "precision", "map", "coverage"} <= set(plain["metric"])
    means = plain[plain["metric"] != "coverage"]  # a share of the catalogue is no mean over users: it has no interval
    assert (means["low"] <= means["value"]).all()
    assert (means["value"] <= means["high"]).all()


def test_the_report_is_one_page_without_links_outside(ran: Ran) -> None:
    page = (ran.workspace / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    for outside in ('src="http', 'href="http', "@import", "url(http"):
        assert outside not in page
    assert "Recommendations" in page
