"""Features of users, items and pairs of both, and labelled examples."""

import sys

from attune.features.build import publish_examples, publish_features
from attune.run import Run, job


@job(
    reads=("events", "impressions", "item_history", "reviews", "review_sentiment"),
    writes=("user_features", "item_features", "user_item_features", "examples"),
    settings=("split", "features"),
)
def featurize(run: Run) -> None:
    """Compute features as of each cut-off date, and labelled examples; with --since, features as of the end alone."""
    publish_features(run)
    publish_examples(run)


if __name__ == "__main__":
    sys.exit(featurize.main())
