"""Recommendations measured on the last period, beside honest baselines."""

import sys

from attune.recommend.evaluate import evaluate as measured
from attune.recommend.tables import READS, read_inputs
from attune.run import Run, job


@job(reads=READS, writes=("evaluation",), settings=("evaluate", "recommend", "split"))
def evaluate(run: Run) -> None:
    """Measure the ranking on the held-out last period beside popularity, ALS and co-visits, with intervals."""
    if not run.has("events"):
        run.skip("evaluation of recommendations", "there are no events; the sentiment model is measured by train")
        return
    result = measured(read_inputs(run), run.settings, run.models)
    run.write({"evaluation": result.evaluation})
    run.metric("recommend", result.metrics)


if __name__ == "__main__":
    sys.exit(evaluate.main())
