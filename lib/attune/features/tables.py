"""Tables derived from scores: satisfaction of items, profiles and segments of users."""

from typing import TYPE_CHECKING

from attune.features.satisfaction import item_satisfaction
from attune.features.segments import cluster_users, segments, user_profiles

if TYPE_CHECKING:
    from attune.run import Run


def update_satisfaction(run: "Run") -> None:
    """Publish item_satisfaction."""
    if not run.has("review_sentiment"):
        run.skip("item_satisfaction", "no reviews are scored")
        return
    settings = run.settings
    sentiment, reviews = run.read("review_sentiment"), run.read("reviews")
    run.write({"item_satisfaction": item_satisfaction(sentiment, reviews, settings.score, settings.as_of)})


def update_segments(run: "Run") -> None:
    """Publish user_profiles and segments."""
    from pyspark.sql import functions as F

    if not (run.has("embeddings") and run.has("user_features")):
        run.skip("segments", "there are no vectors of users")
        return
    settings = run.settings
    vectors = run.read("embeddings").where(F.col("kind") == "user").persist()
    clustered = cluster_users(vectors, vectors.count(), settings.score, settings.seed)
    profiles = user_profiles(clustered, run.read("user_features"), settings.as_of).persist()
    described = segments(profiles, run.read("events"), run.read("items"), settings.as_of)
    run.write({"user_profiles": profiles, "segments": described})
    for frame in (vectors, profiles):
        frame.unpersist()
