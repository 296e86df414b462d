"""Demo data: raw logs of a made-up shop, with their dirt and the truth about it."""

import sys

from attune.demo.generate import generate as demo
from attune.run import Run, job


@job(writes=("inputs.root",), settings=("generate",))
def generate(run: Run) -> None:
    """Generate demo data: raw events, reviews, items, users and campaigns with the dirt of real logs."""
    demo(run.spark, run.settings, run.settings.inputs_root)
    run.artefact("raw data", run.settings.inputs_root)


if __name__ == "__main__":
    sys.exit(generate.main())
