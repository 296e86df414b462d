"""The settings that suit the table of texts."""

import sys

from attune.run import Run, job
from attune.training.tables import tune_model


@job(reads=("texts",), writes=("models/finetune",), settings=("train", "train.tune"))
def tune(run: Run) -> None:
    """Try settings of finetune, each by a training of its own, and tell the best."""
    tune_model(run)


if __name__ == "__main__":
    sys.exit(tune.main())
