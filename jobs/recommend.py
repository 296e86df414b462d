"""Recommendations for every user, and for those of whom nothing is known."""

import sys

from attune.recommend.recommend import recommend as recommended
from attune.recommend.sinks import find_targets, write_to
from attune.recommend.tables import READS, read_inputs
from attune.run import Run, job


@job(reads=READS, writes=("recommendations",), settings=("recommend",))
def recommend(run: Run) -> None:
    """Rank what to offer each user next, each row with its sources and reasons."""
    if not run.has("events"):
        run.skip("recommendations", "there are no events")
        return
    targets = find_targets(run.settings.recommend.sinks, run.settings.as_of)
    with recommended(read_inputs(run), run.settings, run.models, run.settings.as_of) as frames:
        run.write({"recommendations": frames})
    if targets:
        run.summary["metrics"]["sinks"] = write_to(run.tables.read("recommendations"), targets)


if __name__ == "__main__":
    sys.exit(recommend.main())
