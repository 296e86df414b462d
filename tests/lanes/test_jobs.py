"""Every job on a small demo shop, on the Spark of a lane: run by ``tools/lane.sh``, which puts it before that of .venv."""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from attune.jobs.finetune import finetune
from attune.jobs.forget import forget
from attune.jobs.pipeline import pipeline
from attune.jobs.tune import tune
from attune.jobs.vacuum import vacuum
from attune.models.store import ModelStore, read_card
from attune.session import get_session, is_connect, parallelism
from attune.tables import Tables
from attune.training.reader import chosen_reader
from lanes.connect_server import connect_server
from models.tiny_bert import write_tiny_bert
from training.examples import review_texts

LANE = os.environ.get("ATTUNE_LANE", "")
CONNECT = LANE.startswith("connect")
JOBS = Path(__file__).parents[2] / "jobs"
SPARK = {"connect": "4.0"}.get(LANE, LANE.removeprefix("connect-"))

pytestmark = pytest.mark.skipif(not LANE, reason="run by tools/lane.sh, with another Spark")


class Ran:
    """What one run of each job left behind."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace
        self.session = get_session("lane")
        self.tables = Tables(str(workspace), self.session)
        self.gone: str = self.tables.read("recommendations").select("user_id").first()["user_id"]
        """Who was forgotten."""

    def summary(self, job: str) -> dict[str, Any]:
        """Summary of the last run of a job."""
        return json.loads(max(self.workspace.glob(f"runs/*-{job}-*/summary.json")).read_text())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of all that a lane makes."""
    return tmp_path_factory.mktemp("lane")


@pytest.fixture(scope="module")
def platform(folder: Path) -> Iterator[None]:
    """Spark where the jobs look for it: in this process, or behind the address of a server."""
    with pytest.MonkeyPatch.context() as patch, ExitStack() as running:
        if CONNECT:
            patch.setenv("SPARK_REMOTE", running.enter_context(connect_server(folder / "server")))
        yield


@pytest.fixture(scope="module")
def ran(platform: None, folder: Path) -> Ran:
    workspace, texts = folder / "workspace", folder / "texts.json"
    rows = [{"text": text, "label": "good" if label else "bad"} for text, label in zip(*review_texts(120), strict=True)]
    texts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    declared = {"path": str(texts), "format": "json", "schema": "text STRING, label STRING",
                "columns": {"text": "text", "label": "label"}}  # fmt: skip
    (folder / "texts.yaml").write_text(json.dumps({"inputs": {"texts": declared}}))
    horovod = "single" if CONNECT else "horovod"
    settings = {
        "workspace": workspace, "generate.num_events": 2000, "clean.max_quarantine_share": 0.3,
        "train.encoder": write_tiny_bert(folder / "encoder"), "train.launcher": "single", "train.tracking": "[]",
        "train.sentiment.max_tokens": 32, "train.sentiment.epochs": 1, "train.sentiment.min_accuracy": 0.0,
        "train.finetune.max_tokens": 32, "train.finetune.epochs": 1, "train.tune.trials": 1,
        "recommend.als.grid": "[{rank: 4, reg: 0.1, alpha: 10}]", "recommend.ease.grid": "[50]",
        "recommend.ranker.num_rounds": 10, "evaluate.bootstrap_samples": 20, "spark.spark.sql.shuffle.partitions": 2,
        **({} if CONNECT else {"spark.spark.ui.enabled": False}),
    }  # fmt: skip
    options = ["--config", "demo", "--config", str(folder / "texts.yaml")]
    options += [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    assert pipeline.main(options) == 0
    assert finetune.main([*options, "--set", f"train.launcher={horovod}"]) == 0
    assert tune.main(options) == 0
    done = Ran(workspace)
    assert forget.main([*options, "--set", f"forget.users=[{done.gone}]"]) == 0
    assert vacuum.main(options) == 0
    return done


def test_it_is_the_spark_of_the_lane(ran: Ran) -> None:
    """Else the lane would prove nothing: the Spark of .venv is on the path, too."""
    assert is_connect(ran.session) == CONNECT
    assert ran.session.version.startswith(f"{SPARK}.")
    assert chosen_reader("auto") == ("pyarrow" if SPARK == "4.1" else "petastorm")


def test_every_job_is_done(ran: Ran) -> None:
    steps = ran.summary("pipeline")["steps"]
    assert list(steps) == ["generate", "clean", "featurize", "train", "score", "recommend", "evaluate", "report"]
    assert {step["status"] for step in steps.values()} == {"done"}
    others = {file.stem for file in JOBS.glob("[!_]*.py")} - {*steps, "pipeline"}
    assert others == {"finetune", "forget", "tune", "vacuum"}
    assert {ran.summary(job)["status"] for job in others} == {"done"}


def test_what_they_made_is_whole(ran: Ran) -> None:
    accounting = ran.summary("clean")["metrics"]["accounting"]
    for account in accounting.values():
        parts = (account["rows_kept"], account["rows_quarantined"], account["duplicates_dropped"])
        assert sum(parts) == account["rows_read"] > 0
    assert ran.tables.rows("review_sentiment") == ran.tables.rows("reviews") > 0
    users = {row["id"] for row in ran.tables.read("embeddings").where("kind = 'user'").collect()}
    lists = ran.tables.read("recommendations").toPandas()
    assert users
    assert users <= set(lists["user_id"])
    assert ran.gone not in {*users, *lists["user_id"]}
    assert lists["reasons"].map(len).gt(0).all()
    assert {"blend", "als", "popular"} <= set(ran.tables.read("evaluation").toPandas()["model"])
    assert "Recommendations" in (ran.workspace / "report.html").read_text(encoding="utf-8")


def test_ranks_learned_from_rows_of_their_own(ran: Ran) -> None:
    """Through Spark Connect one process learns; elsewhere two, started by Horovod in Spark's task slots."""
    card = read_card(ModelStore(str(ran.workspace)).latest("classification"))
    by_rank = [rank["train"] for rank in card["rows_per_rank"]]
    assert len(by_rank) == (1 if CONNECT else 2)
    assert min(by_rank) > 0


@pytest.mark.skipif(not CONNECT, reason="elsewhere the workers are on the machine that has the package")
def test_the_package_goes_to_the_server_with_the_session(ran: Ran) -> None:
    def where(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        import attune

        for _ in batches:
            yield pd.DataFrame({"file": [attune.__file__]})

    (row,) = ran.session.range(1).mapInPandas(where, "file string").collect()
    assert row["file"].endswith("attune.zip/attune/__init__.py")
    assert parallelism(ran.session) == 2
