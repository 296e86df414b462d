"""Models applied to whole tables."""

import sys

from attune.features.tables import update_satisfaction, update_segments
from attune.run import Run, job
from attune.scoring.tables import update_embeddings, update_item_images, update_sentiment, update_text_scores


@job(
    reads=(
        "models/sentiment",
        "models/text_match",
        "models/finetune",
        "reviews",
        "items",
        "events",
        "user_features",
        "texts",
    ),
    writes=(
        "models/image_encoder",
        "review_sentiment",
        "item_satisfaction",
        "item_images",
        "embeddings",
        "user_profiles",
        "segments",
        "text_scores",
    ),
    settings=("score",),
)
def score(run: Run) -> None:
    """Score every review, item and text, and derive item satisfaction, user vectors and segments."""
    update_sentiment(run)
    update_satisfaction(run)
    update_item_images(run)
    update_embeddings(run)
    update_segments(run)
    update_text_scores(run)


if __name__ == "__main__":
    sys.exit(score.main())
