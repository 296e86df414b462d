"""Scores of a workspace kept up to date: what the models in use have scored already is not scored again."""

from typing import TYPE_CHECKING

from attune.features.user_vectors import user_vectors
from attune.scoring.embeddings import embed_items
from attune.scoring.sentiment import score_sentiment

if TYPE_CHECKING:
    from attune.run import Run


def update_sentiment(run: "Run") -> None:
    """Publish review_sentiment, unless it comes from these reviews and this model already."""
    if not run.has("reviews"):
        run.skip("review_sentiment", "there are no reviews")
    elif not run.models.has_latest("sentiment"):
        run.skip("review_sentiment", "no sentiment model is in use")
    else:
        folder = run.models.latest("sentiment")
        origin = run.origin("reviews") | {"models/sentiment": folder.name, "max_tokens": run.settings.score.max_tokens}
        if not run.is_current("review_sentiment", origin):
            scored = score_sentiment(run.read("reviews"), str(folder), run.settings)
            run.write({"review_sentiment": scored}, origin)


def update_embeddings(run: "Run") -> None:
    """Publish vectors of items and users, unless they come from these tables and this model already."""
    if not run.has("items"):
        run.skip("embeddings", "there are no items")
    elif not run.models.has_latest("text_match"):
        run.skip("embeddings", "no text match model is in use")
    else:
        folder, settings = run.models.latest("text_match"), run.settings
        origin = run.origin("items", "events") | {"models/text_match": folder.name, "as_of": str(settings.as_of)}
        if not run.is_current("embeddings", origin):
            items = embed_items(run.read("items"), str(folder), settings).persist()
            recommend = settings.recommend
            users = user_vectors(
                run.read("events"), items, recommend.event_weights, recommend.half_life_days, settings.as_of
            )
            run.write({"embeddings": items.unionByName(users)}, origin)
            items.unpersist()
