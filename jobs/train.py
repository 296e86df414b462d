"""Models: sentiment of reviews, match of item texts, ranking of candidates."""

import sys

from attune.recommend.tables import READS, read_inputs
from attune.recommend.train import train_ranker
from attune.run import Run, job
from attune.scoring.tables import update_embeddings, update_item_images, update_sentiment
from attune.training.tables import (
    train_cross_match_model,
    train_next_item_model,
    train_response_model,
    train_sentiment_model,
    train_text_match_model,
)


@job(
    reads=(
        "reviews",
        "items",
        "item_history",
        "events",
        "impressions",
        "users",
        "examples",
        "user_features",
        "item_features",
    ),
    writes=(
        "models/sentiment",
        "models/text_match",
        "models/cross_match",
        "models/next_item",
        "models/response",
        "models/ranker",
        "models/image_encoder",
        "review_sentiment",
        "item_images",
        "embeddings",
    ),
    settings=(
        "train",
        "train.sentiment",
        "train.text_match",
        "train.cross_match",
        "train.next_item",
        "train.response",
        "recommend",
        "score",
        "split",
    ),
)
def train(run: Run) -> None:
    """Fine-tune BERT on reviews and on item texts with Horovod, then learn to rank what they and the log propose.

    The ranking learns from scores of the two text models, so the rows that have none yet are scored here.
    """
    train_sentiment_model(run)
    train_text_match_model(run)
    train_cross_match_model(run)
    update_sentiment(run)
    update_item_images(run)
    update_embeddings(run)
    train_next_item_model(run)
    train_response_model(run)
    if not run.has("events"):
        run.skip("ranker", "there are no events")
        return
    inputs = read_inputs(run)
    ranker = train_ranker(inputs, run.settings, run.models, run.run_id, run.log, run.versions_read(*READS))
    run.metric("ranker", ranker.metrics)
    run.artefact("models/ranker", ranker.folder)


if __name__ == "__main__":
    sys.exit(train.main())
