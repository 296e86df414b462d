"""The main job: every step from raw logs to the report."""

import sys

from attune.jobs.clean import clean
from attune.jobs.evaluate import evaluate
from attune.jobs.featurize import featurize
from attune.jobs.generate import generate
from attune.jobs.recommend import recommend
from attune.jobs.report import report
from attune.jobs.score import score
from attune.jobs.train import train
from attune.run import Run, job
from attune.steps import run_steps
from attune.training.launch import check_launcher

STEPS = (generate, clean, featurize, train, score, recommend, evaluate, report)


@job(
    reads=tuple(dict.fromkeys(name for step in STEPS for name in step.reads if name.startswith("inputs."))),
    writes=tuple(dict.fromkeys(name for step in STEPS for name in step.writes)),
    options={"resume": "go on from the failed step of the last run"},
)
def pipeline(run: Run) -> None:
    """Run every step from raw logs to the report, for whatever inputs the settings declare."""
    check_launcher(run.spark, run.settings.train.launcher)
    run_steps(run, STEPS)


if __name__ == "__main__":
    sys.exit(pipeline.main())
