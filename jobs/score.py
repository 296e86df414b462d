"""Models applied to whole tables."""

import sys

from attune.features.tables import update_satisfaction, update_segments
from attune.run import Run, job
from attune.scoring.tables import update_embeddings, update_sentiment


@job(
    reads=("models/sentiment", "models/text_match", "reviews", "items", "events", "user_features"),
    writes=("review_sentiment", "item_satisfaction", "embeddings", "user_profiles", "segments"),
)
def score(run: Run) -> None:
    """Score every review and item text, and derive item satisfaction, user vectors and segments."""
    update_sentiment(run)
    update_satisfaction(run)
    update_embeddings(run)
    update_segments(run)


if __name__ == "__main__":
    sys.exit(score.main())
