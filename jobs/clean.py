"""Raw logs and reviews to typed tables."""

import sys

from attune.clean.pipeline import cleaned
from attune.quality import check
from attune.run import Run, job


@job(
    reads=("inputs.events", "inputs.reviews", "inputs.items", "inputs.users", "inputs.texts", "forgotten"),
    writes=(
        "events",
        "impressions",
        "bot_events",
        "sessions",
        "reviews",
        "texts",
        "items",
        "item_history",
        "users",
        "quarantine",
        "quality_results",
    ),
    settings=("inputs", "clean", "quality"),
)
def clean(run: Run) -> None:
    """Turn raw events, reviews, items, users and texts into typed tables; refused rows go to quarantine with reasons."""
    with cleaned(run) as cleaning:
        check(run, cleaning.staged)
        cleaning.publish()


if __name__ == "__main__":
    sys.exit(clean.main())
