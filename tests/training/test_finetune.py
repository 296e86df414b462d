"""A model of one's own from a file of texts, through the jobs that a user runs."""

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from attune.errors import InputError
from attune.jobs.clean import clean
from attune.jobs.finetune import finetune as finetune_job
from attune.models.networks import describe_network, read_network
from attune.models.store import ModelStore, read_card
from attune.training.finetune import finetune, split_texts
from training.conftest import Finetuning
from training.examples import BAD, GOOD, NEUTRAL, review_texts

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SCHEMA = "text_id string, text string, other_text string, label string, weight double, split string"


def texts(spark: "SparkSession", rows: list[dict[str, Any]]) -> "DataFrame":
    names = [part.split()[0] for part in SCHEMA.split(", ")]
    return spark.createDataFrame([tuple(row.get(name) for name in names) for row in rows], SCHEMA)


def reviews(num: int, split: str | None = None, first: int = 0) -> list[dict[str, Any]]:
    return [
        {"text_id": f"t{first + n}", "text": text, "label": "good" if label else "bad", "split": split}
        for n, (text, label) in enumerate(zip(*review_texts(num, seed=first), strict=True))
    ]


def test_a_file_of_texts_becomes_a_classifier(spark: "SparkSession", finetuning: Finetuning, tmp_path: Path) -> None:
    """Two Horovod ranks; the file has a repeat, a row without text, and an address that nobody may read."""
    rows = [*reviews(300, "train"), *reviews(100, "test", 900)]
    with (tmp_path / "texts.csv").open("w") as file:
        writer = csv.DictWriter(file, ["text", "label", "split"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows([*rows, rows[0], {"text": "", "label": "good", "split": "train"},
                          {"text": "write to jo@example.com", "label": "good", "split": "train"}])  # fmt: skip
    conf = tmp_path / "texts.yaml"
    conf.write_text(json.dumps({"inputs": {"texts": {
        "path": str(tmp_path / "texts.csv"), "schema": "text STRING, label STRING, split STRING", "max_quarantine_share": 0.1,
        "columns": {"text": "text", "label": "label", "split": "split"}}}}))  # fmt: skip
    given = finetuning(name="taste", min_score=0.8)
    options = ["--config", str(conf), "--as-of", "2026-03-01"]
    for key, value in {
        "workspace": given.workspace, "train.encoder": given.train.encoder, "train.finetune.name": "taste", "train.finetune.max_tokens": 32,
        "train.finetune.learning_rate": 0.002, "train.finetune.head_learning_rate": 0.01, "train.finetune.tokens_per_batch": 512,
        "train.finetune.min_score": 0.8,
    }.items():  # fmt: skip
        options += ["--set", f"{key}={value}"]
    assert clean.main(options) == 0
    assert finetune_job.main(options) == 0
    summaries = [json.loads(file.read_text()) for file in Path(given.workspace).glob("runs/*/summary.json")]
    cleaned = next(s for s in summaries if s["job"] == "clean")["metrics"]["accounting"]["texts"]
    assert (cleaned["rows_read"], cleaned["rows_kept"], cleaned["rows_quarantined"], cleaned["duplicates_dropped"]) == (
        403,
        401,
        1,
        1,
    )
    assert cleaned["reasons"] == {"text is missing": 1}
    folder = ModelStore(given.workspace).latest("taste")
    card = read_card(folder)
    assert card["metrics"]["test"]["num"] == 100
    assert card["metrics"]["test"]["accuracy"] > 0.9
    by_label = card["metrics"]["test_by"]["label"]
    assert {label: found["num"] for label, found in by_label.items()} == {"bad": 50, "good": 50}
    right = sum(found["accuracy"] for found in by_label.values()) / 2
    assert right == pytest.approx(card["metrics"]["test"]["accuracy"])
    assert [part["train"] > 0 for part in card["rows_per_rank"]] == [True, True]
    assert card["data_versions"] == {"texts": 0}
    assert describe_network(folder)["labels"] == ["bad", "good"]
    assert not any(b"example.com" in file.read_bytes() for file in Path(given.workspace).rglob("*") if file.is_file())


def test_a_model_below_the_least_score_is_stored_and_not_used(spark: "SparkSession", finetuning: Finetuning) -> None:
    rows = [row | {"label": "ab"[n % 3 == 0]} for n, row in enumerate(reviews(120))]
    model = finetune(texts(spark, rows), finetuning(epochs=1, min_score=1.0), "v1")
    assert not model.promoted
    assert "at least 1 is asked" in model.reason
    assert ModelStore(finetuning().workspace).versions("classification") == ["v1"]


def test_several_labels_a_text(spark: "SparkSession", finetuning: Finetuning) -> None:
    rows = []
    for n in range(400):
        words = ([GOOD[n % 7]] if n % 2 else []) + ([BAD[n % 7]] if n % 3 == 0 else []) + [NEUTRAL[n % 9]]
        labels = "|".join((["nice"] if n % 2 else []) + (["ugly"] if n % 3 == 0 else []))
        rows.append(
            {
                "text_id": f"t{n}",
                "text": " ".join(words) + f" {NEUTRAL[n % 11]} {NEUTRAL[n % 13]}",
                "label": labels or None,
            }
        )
    model = finetune(texts(spark, rows), finetuning(task="multi_label", epochs=10), "v1")
    assert model.metrics["test"]["map"] > 0.95
    assert describe_network(model.folder)["multi_label"]


def test_pairs_that_match(spark: "SparkSession", finetuning: Finetuning) -> None:
    rows = [
        {"text_id": f"t{n}", "text": "is it good" if n % 2 else "is this very good", "label": str(float(n % 4 > 1)),
         "other_text": f"{(GOOD if n % 4 > 1 else BAD)[n % 7]} {NEUTRAL[n % 11]} {NEUTRAL[n % 13]}", "split": split}
        for n in range(600) for split in ["test" if n % 5 == 0 else "train"]
    ]  # fmt: skip
    model = finetune(texts(spark, rows), finetuning(task="cross_encoder", epochs=12), "v1")
    assert model.metrics["test"]["auc"] > 0.9
    with pytest.raises(InputError, match="map column other_text"):
        finetune(texts(spark, reviews(40)), finetuning(task="cross_encoder"), "v2")
    rows[0]["label"] = "yes"
    with pytest.raises(InputError, match="label 'yes' of a pair is no number"):
        finetune(texts(spark, rows), finetuning(task="cross_encoder"), "v2")


def test_a_bert_of_ones_own_can_be_the_encoder(spark: "SparkSession", finetuning: Finetuning) -> None:
    sizes = "{layers: 2, width: 32, heads: 2, vocab_size: 200}"
    rows = [{"text_id": row["text_id"], "text": row["text"]} for row in reviews(500)]
    language = finetune(texts(spark, rows), finetuning(task="masked_language", from_scratch=sizes, epochs=6), "v1")
    assert language.metrics["valid"]["perplexity"] < 40
    assert language.metrics["epochs"][1]["perplexity"] > language.metrics["valid"]["perplexity"]
    given = finetuning(epochs=4)
    given = given.model_copy(update={"train": given.train.model_copy(update={"encoder": str(language.folder)})})
    model = finetune(texts(spark, reviews(300)), given, "v1")
    assert model.metrics["test"]["accuracy"] > 0.8
    assert read_network(model.folder).encoder.config.hidden_size == 32


def test_copy_is_written_from_nothing(spark: "SparkSession", finetuning: Finetuning) -> None:
    sizes = "{layers: 1, width: 32, heads: 2, vocab_size: 200}"
    model = finetune(texts(spark, reviews(300)), finetuning(task="causal_language", from_scratch=sizes, epochs=3), "v1")
    assert model.metrics["epochs"][1]["perplexity"] > model.metrics["valid"]["perplexity"]


def test_splits_of_the_input_stay_and_drawn_ones_share_no_text(spark: "SparkSession", finetuning: Finetuning) -> None:
    task = finetuning().train.finetune
    told = [*reviews(200, "train"), *reviews(50, "test", 500)]
    found = {row["text_id"]: row["split"] for row in split_texts(texts(spark, told), task, 7).collect()}
    assert {found[row["text_id"]] for row in told[200:]} == {"test"}
    assert set(found.values()) == {"train", "valid", "test"}
    assert len(found) == 250
    repeated = [row | {"text_id": f"r{n}", "text": row["text"].upper()} for n, row in enumerate(reviews(200))]
    drawn = split_texts(texts(spark, reviews(200) + repeated), task, 7).collect()
    assert {row["split"] for row in drawn} == {"train", "valid", "test"}
    assert len({row["text"].lower() for row in drawn}) == len(drawn)


@pytest.mark.parametrize(("change", "said"), [
    ({"label": "good"}, "1 different labels"), ({"label": "new", "split": "test"}, "no training text has the label 'new'"),
])  # fmt: skip
def test_labels_that_cannot_be_learned_are_refused(
    spark: "SparkSession", finetuning: Finetuning, change: dict[str, str], said: str
) -> None:
    rows = reviews(60, "train")
    changed = rows if "split" not in change else rows[:1]
    wrong = [row | change for row in changed] + [row for row in rows if row not in changed]
    with pytest.raises(InputError, match=said):
        finetune(texts(spark, wrong), finetuning(), "v1")
