"""One page to look at."""

import sys

from attune.report.data import collect
from attune.report.page import build_report
from attune.run import Run, job


@job(
    reads=(
        "events", "impressions", "sessions", "reviews", "items", "quarantine", "review_sentiment", "item_satisfaction",
        "segments", "recommendations", "evaluation",
    ),
    writes=("report.html",),
    settings=("report",),
)  # fmt: skip
def report(run: Run) -> None:
    """Write one self-contained HTML page: data quality, funnel, sentiment, segments, recommendations, evaluation."""
    page = build_report(collect(run))
    for file in (run.folder / "report.html", run.workspace / "report.html"):
        draft = file.with_suffix(".tmp")
        draft.write_text(page, encoding="utf-8")
        draft.replace(file)
    run.artefact("report", file)


if __name__ == "__main__":
    sys.exit(report.main())
