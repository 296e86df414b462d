"""Raw logs and reviews to typed tables."""

import sys

from attune.clean.pipeline import clean_inputs
from attune.run import Run, job


@job(
    reads=("inputs.events", "inputs.reviews", "inputs.items", "inputs.users"),
    writes=("events", "impressions", "sessions", "reviews", "items", "users", "quarantine"),
)
def clean(run: Run) -> None:
    """Turn raw events, reviews, items and users into typed tables; refused rows go to quarantine with reasons."""
    run.publish(clean_inputs(run))


if __name__ == "__main__":
    sys.exit(clean.main())
