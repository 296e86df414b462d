"""A model of one's own from the table of texts."""

import sys

from attune.run import Run, job
from attune.training.tables import finetune_model


@job(reads=("texts",), writes=("models/finetune",), settings=("train", "train.finetune"))
def finetune(run: Run) -> None:
    """Fine-tune BERT with Horovod on the texts of a table: their labels, their words, or pairs of them."""
    finetune_model(run)


if __name__ == "__main__":
    sys.exit(finetune.main())
