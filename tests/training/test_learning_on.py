"""A model that learns on from new rows, the gate before it is used, and the choice of settings."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from attune.errors import InputError, SettingsError
from attune.models.store import ModelStore, read_card
from attune.training.driver import replayed
from attune.training.finetune import finetune, split_texts
from attune.training.tune import DATABASE, tune
from training.conftest import Finetuning
from training.test_finetune import reviews, texts

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_learning_on_starts_from_the_model_in_use_and_replays_a_part_of_the_old(
    spark: "SparkSession", finetuning: Finetuning
) -> None:
    first, more = reviews(240), reviews(160, first=500)
    old = finetune(texts(spark, first), finetuning(), "v1")
    settings = finetuning(start_from="latest", replay_share=0.25, epochs=1, learning_rate=1e-4, head_learning_rate=1e-4)
    both = texts(spark, first + more)
    new = finetune(both, settings, "v2", known=texts(spark, first))
    told = {row["text_id"]: row["split"] for row in split_texts(both, settings.train.finetune, settings.seed).collect()}
    known = {row["text_id"] for row in first}
    train = {text for text, split in told.items() if split == "train"}
    (shard,) = new.rows_per_rank
    assert len(train - known) < shard["train"] < len(train - known) + 0.4 * len(train & known)
    assert shard["test"] == sum(split == "test" for split in told.values()), "what is held out stays"
    # One short epoch at a low rate would leave a new classifier at chance.
    assert new.metrics["valid"]["accuracy"] > 0.9
    assert new.metrics["in_use"]["num"] == new.metrics["test"]["num"]
    assert ModelStore(settings.workspace).latest("classification") == new.folder
    assert old.promoted


def test_a_model_that_does_worse_than_the_one_in_use_is_not_used(spark: "SparkSession", finetuning: Finetuning) -> None:
    rows = texts(spark, reviews(240))
    good = finetune(rows, finetuning(), "good")
    bad = finetune(rows, finetuning(epochs=1, learning_rate=1e-7, head_learning_rate=1e-7), "bad")
    assert not bad.promoted
    assert "the model in use had" in bad.reason
    assert "max_loss" in bad.reason
    assert ModelStore(finetuning().workspace).latest("classification") == good.folder
    assert read_card(bad.folder)["metrics"]["in_use"]["accuracy"] == good.metrics["test"]["accuracy"]


def test_learning_on_asks_for_a_model_with_the_same_labels(spark: "SparkSession", finetuning: Finetuning) -> None:
    with pytest.raises(InputError, match="no model classification is in use"):
        finetune(texts(spark, reviews(120)), finetuning(start_from="latest"), "v1")
    finetune(texts(spark, reviews(120)), finetuning(epochs=1), "v1")
    renamed = [row | {"label": row["label"].upper()} for row in reviews(120)]
    with pytest.raises(SettingsError, match="has other labels or another vocabulary: set start_from=encoder"):
        finetune(texts(spark, renamed), finetuning(start_from="latest"), "v2")


def test_replay_thins_what_was_learned_and_nothing_else(spark: "SparkSession") -> None:
    rows = [{"text_id": f"t{n}", "text": "a", "split": "train" if n < 300 else "test"} for n in range(400)]
    kept = replayed(texts(spark, rows), texts(spark, rows[:200] + rows[300:350]), "text_id", 0.3, 7).collect()
    found = {row["text_id"] for row in kept}
    assert {f"t{n}" for n in range(200, 400)} <= found
    assert 40 <= len(found & {f"t{n}" for n in range(200)}) <= 80


def test_trials_are_trainings_that_go_on_after_a_run_was_cut_off(spark: "SparkSession", finetuning: Finetuning) -> None:
    space = {"trials": 2, "space": "{learning_rate: [1.0e-7, 2.0e-3], tokens_per_batch: null, dropout: null}"}
    rows = texts(spark, reviews(300))
    first = tune(rows, finetuning(space), "r1")
    assert len(first["trials"]) == 2
    found = tune(rows, finetuning(space | {"trials": 5}), "r2")
    assert [trial["settings"] for trial in found["trials"][:2]] == [trial["settings"] for trial in first["trials"]]
    assert len(found["trials"]) == 5
    values = [trial["value"] for trial in found["trials"] if trial["state"] == "complete"]
    assert found["best"]["value"] == max(values)
    assert found["best"]["settings"] == {"learning_rate": 0.002}
    assert found["set"] == ["train.finetune.learning_rate=0.002"]
    assert (Path(finetuning().workspace) / DATABASE).exists()
    store = ModelStore(finetuning().workspace)
    assert not store.has_latest("classification"), "a trial is never put to use"
    assert all(
        "test" not in read_card(store.folder("classification_trials", v))["metrics"]
        for v in store.versions("classification_trials")
    )


def test_a_setting_that_does_not_exist_is_refused_by_name(finetuning: Finetuning) -> None:
    with pytest.raises(
        SettingsError, match=r"'learning_rat' is not a setting of train\.finetune; did you mean 'learning_rate'"
    ):
        finetuning({"space": "{learning_rat: [1.0]}"})
