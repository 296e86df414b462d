"""People see how many rows are scored, of how many, and how long it still takes; a task that is tried again counts once."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from attune import config
from attune.models.encoder import load_encoder
from attune.models.networks import TextClassifier, write_network
from attune.models.store import ModelStore
from attune.run import Run
from attune.scoring import progress as module
from attune.scoring.progress import Done, Progress, Tally, read_done
from attune.scoring.tables import update_sentiment
from attune.tables import conform
from models.tiny_bert import tiny_tokenizer, write_tiny_bert

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

AS_OF = "2026-03-01"


def test_tasks_add_up_and_a_second_try_replaces_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for partition, rows in ((0, 5), (1, 7), (0, 4)):
        monkeypatch.setattr(module, "_partition", lambda partition=partition: partition)
        with Tally(str(tmp_path / "model"), "scored") as tally:
            tally.add(rows, rows * 10)
    assert read_done(tmp_path, "scored") == Done(11, 110)
    assert read_done(tmp_path, "tokenised") == Done()


def test_a_task_writes_while_it_works_and_when_it_fails(tmp_path: Path) -> None:
    now = [0.0]
    tally = Tally(str(tmp_path), "scored", clock=lambda: now[0])
    tally.add(1, 10)
    tally.add(1, 10)
    assert read_done(tmp_path, "scored") == Done(1, 10), "not for every batch"
    now[0] = 2.0
    tally.add(1, 10)
    assert read_done(tmp_path, "scored") == Done(3, 30)
    tally.add(1, 10)
    with pytest.raises(TypeError), tally:
        tally.add(2, None)  # type: ignore[arg-type]
    assert read_done(tmp_path, "scored") == Done(4, 40)


def test_a_folder_out_of_reach_fails_no_task(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (str(tmp_path / "file" / "below"), None):
        with Tally(folder, "scored") as tally:
            tally.add(1, 1)
    assert read_done(tmp_path, "scored") == Done()


def test_the_time_left_goes_by_tokens() -> None:
    progress = Progress("review_sentiment")
    assert progress.line(10, Done(), Done()) is None, "nothing is heard from tasks that cannot reach the folder"
    assert progress.line(20, Done(300, 9_000), Done()) == "review_sentiment: 300 rows tokenised"
    total = Done(1_000, 40_000)
    # The longest come first: a tenth of the rows has a quarter of the tokens.
    assert progress.line(30, total, Done(100, 10_000)) == (
        "review_sentiment: 100 of 1,000 rows scored, 10 rows/s, 30 s left"
    )
    assert progress.line(40, total, Done(100, 10_000)) is None
    assert progress.line(50, total, Done(1_000, 40_000)) == (
        "review_sentiment: 1,000 of 1,000 rows scored, 90 rows/s, 0 s left"
    )


def test_a_job_tells_rows_time_left_and_speed(
    spark: "SparkSession", tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_EVERY_SECONDS", 0.02)
    settings = config.load([], [f"workspace={tmp_path}", "score.precision=float32"], AS_OF)
    torch.manual_seed(0)
    network = TextClassifier(load_encoder(write_tiny_bert(tmp_path / "bert")), ["negative", "positive"])
    models = ModelStore(str(tmp_path))
    models.save("sentiment", "v1", lambda folder: write_network(network, tiny_tokenizer(), 16, folder), {})
    models.promote("sentiment", "v1")
    run = Run("score", settings, "run", summary={"inputs": {}, "outputs": {}, "skipped": {}, "metrics": {}})
    rows = spark.range(300).selectExpr(
        "string(id) review_id", "'i' item_id", "'u' user_id", "1.0D rating", "if(id % 3 = 0, null, 'great mug') title",
        "null body", "'en' language", "timestamp'2026-01-01' review_ts", "0 helpful_votes", "'2026-01-01' ds",
    )  # fmt: skip
    run.write({"reviews": conform(rows, "reviews")})
    monkeypatch.setattr(logging.getLogger("attune"), "propagate", True)
    with caplog.at_level(logging.INFO, logger="attune"):
        update_sentiment(run)
    figures = run.summary["metrics"]["scoring_review_sentiment"]
    assert figures["rows_scored"] == 300
    assert figures["tokens"] == 200 * 4, "of the rows that have a text, special tokens included"
    assert figures["rows_per_second"] == pytest.approx(300 / figures["seconds"], rel=0.05)
    told = [record for record in caplog.records if "rows_to_score" in getattr(record, "fields", {})]
    assert told, "a line while it lasted"
    assert told[-1].fields["rows_to_score"] == 300
    assert not list((tmp_path / "scratch").iterdir()), "what tasks told is removed"
