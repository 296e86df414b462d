"""One run of the main job on a small demo shop, for all tests that look at what it leaves."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attune.jobs.pipeline import pipeline
from attune.tables import Tables
from models.tiny_bert import write_tiny_bert

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class Ran:
    """What one run of the pipeline left behind."""

    def __init__(self, spark: "SparkSession", workspace: Path) -> None:
        self.spark = spark
        self.workspace = workspace
        self.tables = Tables(str(workspace), spark)

    @property
    def summary(self) -> dict[str, Any]:
        (file,) = self.workspace.glob("runs/*-pipeline-*/summary.json")
        return json.loads(file.read_text())

    def step(self, name: str) -> dict[str, Any]:
        (file,) = self.workspace.glob(f"runs/*-{name}-*/summary.json")
        return json.loads(file.read_text())


def run_pipeline(spark: "SparkSession", folder: Path) -> Ran:
    """Run every step in a new workspace under a folder; it takes about a minute."""
    encoder = write_tiny_bert(folder / "encoder")
    workspace = folder / "workspace"
    settings = {
        "workspace": workspace, "generate.num_events": 8000, "generate.dirty_share": 0.1, "clean.max_quarantine_share": 0.3, "train.encoder": encoder, "train.sentiment.epochs": 4, "train.sentiment.max_tokens": 64,
        "train.sentiment.learning_rate": 3e-3, "train.sentiment.min_accuracy": 0.5, "recommend.als.grid": "[{rank: 8, reg: 0.1, alpha: 10}]",
        "evaluate.bootstrap_samples": 50,
    }  # fmt: skip
    arguments = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    assert pipeline.main(arguments) == 0
    return Ran(spark, workspace)
