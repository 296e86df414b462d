"""Scores of a workspace kept up to date: what the models in use have scored already is not scored again."""

from typing import TYPE_CHECKING

from attune.errors import SettingsError
from attune.features.user_vectors import user_vectors
from attune.models.image_encoder import store_image_encoder
from attune.models.networks import describe_network
from attune.scoring.embeddings import embed_items, fuse_items, image_vectors
from attune.scoring.images import fingerprint, locate_images, score_images
from attune.scoring.progress import watched
from attune.scoring.sentiment import score_sentiment
from attune.scoring.texts import KINDS, score_texts, text_hash
from attune.tables import conform

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
            with watched(run, "review_sentiment") as progress:
                scored = score_sentiment(run.read("reviews"), str(folder), run.settings, str(progress))
                run.write({"review_sentiment": scored}, origin)


def update_text_scores(run: "Run") -> None:
    """Publish text_scores; a text and model version that were scored before are not scored again.

    Raises SettingsError where a model that ``score.texts`` names is not in use, or neither gives labels nor writes.
    """
    settings = run.settings
    task = settings.train.finetune
    asked = settings.score.texts
    names = [task.name or task.task] if asked is None else asked
    if not run.has("texts"):
        run.skip("text_scores", "there are no texts")
        return
    folders = {}
    for name in names:
        reason = None
        if not run.models.has_latest(name):
            reason = f"no model {name} is in use"
        elif describe_network(folder := run.models.latest(name).resolve())["kind"] not in KINDS:
            reason = f"model {name} gives no labels and writes no text"
        else:
            folders[name] = folder
        if reason and asked is not None:
            raise SettingsError(f"score.texts names {name}, but {reason}: train it with job finetune, or leave it out")
        if reason:
            run.skip(f"text_scores of {name}", reason)
    origin = run.origin("texts") | {f"models/{name}": folder.name for name, folder in folders.items()}
    origin |= {"max_tokens": settings.score.max_tokens, "max_new_tokens": settings.score.max_new_tokens}
    if not folders or run.is_current("text_scores", origin):
        return
    texts, before = run.read("texts"), run.read_or_empty("text_scores")
    with watched(run, "text_scores") as progress:
        scores = None
        for name, folder in folders.items():
            same = (before["model"] == name) & (before["model_version"] == folder.name)
            writes = describe_network(folder)["kind"] == "causal_language"
            hashed = texts.select("text_id", text_hash(settings.score, writes).alias("text_hash"))
            kept = before.where(same).join(hashed, ["text_id", "text_hash"], "left_semi")
            new = texts.join(kept.select("text_id"), "text_id", "left_anti")
            both = kept.unionByName(
                score_texts(new, str(folder), name, settings, str(progress / name)), allowMissingColumns=True
            )
            scores = both if scores is None else scores.unionByName(both)
        assert scores is not None
        run.write({"text_scores": conform(scores, "text_scores")}, origin)


def update_item_images(run: "Run") -> None:
    """Publish item_images, unless encoder, items and files are those of the last run."""
    from pyspark.sql import functions as F

    settings = run.settings
    if settings.score.image_encoder is None:
        run.skip("item_images", "score.image_encoder is null")
    elif not run.has("items"):
        run.skip("item_images", "there are no items")
    else:
        folder = store_image_encoder(settings.score.image_encoder, run.models)
        located = locate_images(run.read("items"), settings.image_root).persist()
        origin = run.origin("items") | {"models/image_encoder": folder.name, "files": fingerprint(located)}
        if not run.is_current("item_images", origin):
            before = run.read_or_empty("item_images").where(F.col("model_version") == folder.name)
            run.write({"item_images": score_images(located, before, str(folder), settings)}, origin)
        located.unpersist()
        counts = run.read("item_images").groupBy("status").count().collect()
        run.metric("item_images", {row["status"]: row["count"] for row in counts})


def update_embeddings(run: "Run") -> None:
    """Publish vectors of items and users, unless they come from these tables and models already."""
    settings, has_text = run.settings, run.models.has_latest("text_match")
    with_images = settings.score.image_encoder is not None and run.has("item_images")
    if not run.has("items"):
        run.skip("embeddings", "there are no items")
    elif not has_text and not with_images:
        run.skip("embeddings", "no text match model is in use")
    else:
        origin = run.origin("items", "events") | {"as_of": str(settings.as_of)}
        if has_text:
            folder = run.models.latest("text_match")
            origin["models/text_match"] = folder.name
        if with_images:
            origin |= run.origin("item_images") | {"image_weight": settings.score.image_weight}
        if run.is_current("embeddings", origin):
            return
        with watched(run, "embeddings") as progress:
            texts = (
                embed_items(run.read("items"), str(folder), settings, str(progress))
                if has_text
                else run.empty("embeddings")
            )
            items = texts.persist()
            if with_images:
                images = image_vectors(run.read("item_images"))
                fused = fuse_items(texts, images, settings.score.image_weight).persist()
                items = fused
            recommend = settings.recommend
            users = user_vectors(
                run.read("events"), items, recommend.event_weights, recommend.half_life_days, settings.as_of
            )
            vectors = texts.unionByName(users)
            if with_images:
                vectors = vectors.unionByName(images).unionByName(fused)
            run.write({"embeddings": vectors}, origin)
            for frame in (texts, items):
                frame.unpersist()
