"""Each text gets the model's own answer, once, or a status that says why not; no text fails a job."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import torch

from attune import config
from attune.errors import InputError
from attune.models.encoder import load_encoder
from attune.models.networks import TextClassifier, TextEmbedder, write_network
from attune.models.store import ModelStore
from attune.models.tokens import Ragged, TextEncoder
from attune.scoring.embeddings import embed_items
from attune.scoring.engine import Outputs, Scorer, load_scorer
from attune.scoring.plan import Scoring
from attune.scoring.sentiment import score_sentiment, sentiment_columns
from attune.scoring.tokens import token_bytes
from models.tiny_bert import tiny_tokenizer, write_tiny_bert
from training.examples import review_texts

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> TextClassifier:
    torch.manual_seed(0)
    encoder = load_encoder(write_tiny_bert(tmp_path_factory.mktemp("bert")))
    return TextClassifier(encoder, ["negative", "positive"]).eval()


CPU = torch.device("cpu")


def tokenised(texts: list[str | None]) -> pd.Series:
    return token_bytes(TextEncoder(tiny_tokenizer(), 16), pd.Series(texts, dtype=object))


def scored(network: TextClassifier | TextEmbedder, texts: list[str | None], tokens_per_batch: int = 64) -> Outputs:
    return Scorer(network, tokens_per_batch, "float32", CPU).score(tokenised(texts))


def test_batched_scores_equal_one_by_one(network: TextClassifier) -> None:
    texts, _ = review_texts(50)
    found = scored(network, [*texts])
    for text, probabilities in zip(texts, found.values, strict=True):
        tokens = Ragged.of(TextEncoder(tiny_tokenizer(), 16).encode([text]))
        with torch.inference_mode():
            alone = network(*tokens.padded(np.array([0]), 0)).softmax(-1)[0]
        np.testing.assert_allclose(probabilities, alone.numpy(), atol=1e-6)
    assert set(found.status) == {"scored"}


def test_hostile_texts_get_a_status(network: TextClassifier) -> None:
    found = scored(network, ["great mug", None, "", " \n\t", "🦄🦄", "qqq", "\x00", "great " * 100_000, "great mug"])
    assert found.status.tolist() == [
        "scored", "empty", "empty", "empty", "invalid", "invalid", "invalid", "scored", "scored",
    ]  # fmt: skip
    assert np.isnan(found.values[found.status != "scored"]).all()
    assert np.isfinite(found.values[found.status == "scored"]).all()


def test_equal_texts_are_scored_once_and_told_as_they_are_done(network: TextClassifier) -> None:
    seen: list[int] = []
    told: list[tuple[int, int]] = []
    alone = Scorer(network, 8, "float32", CPU)
    real = alone._predict
    alone._predict = lambda ids, mask: seen.append(len(ids)) or real(ids, mask)  # type: ignore[func-returns-value,method-assign]
    tokens = tokenised(["red mug", "blue small mug", "red mug", None, " red mug ", "🦄"])
    found = alone.score(tokens, lambda rows, tokens: told.append((rows, tokens)))
    assert seen == [1, 1], "two texts differ, and one fills a batch"
    assert found.values[0] == pytest.approx(found.values[2])
    assert told == [(2, 0), (1, 5), (3, 12)], "rows and tokens, those that need no network first"
    assert sum(tokens for _, tokens in told) == sum(map(len, tokens.dropna())) // 4


def test_nothing_but_nulls(network: TextClassifier) -> None:
    found = scored(network, [None, None])
    assert found.status.tolist() == ["empty", "empty"]
    columns = sentiment_columns(found)
    assert columns["label"].isna().all()
    assert columns["probability"].isna().all()


def store(network: TextClassifier | TextEmbedder, workspace: Path, task: str) -> str:
    def write(folder: Path) -> None:
        write_network(network, tiny_tokenizer(), 16, folder)

    return str(ModelStore(str(workspace)).save(task, "v1", write, {}))


def test_a_tampered_model_is_refused(network: TextClassifier, tmp_path: Path) -> None:
    folder = store(network, tmp_path, "sentiment")
    weights = Path(folder) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x00")
    with pytest.raises(InputError, match=r"model\.safetensors has changed"):
        load_scorer(Scoring(folder, 16, 64, "float32", max_int8_loss=0.0, max_new_tokens=1))


def test_reviews_and_items_are_scored_on_spark(spark: "SparkSession", network: TextClassifier, tmp_path: Path) -> None:
    settings = config.load([], ["score.precision=float32"], "2026-03-01")
    texts, _ = review_texts(30)
    # The last one is half of a surrogate pair, as a JSON file can hold it.
    bodies = [*texts, texts[0], None, "🦄", "great \ud83d mug"]
    lines = [json.dumps({"review_id": f"r{i}", "body": body}) for i, body in enumerate(bodies)]
    (tmp_path / "reviews.json").write_text("\n".join(lines), encoding="utf-8")
    schema = "review_id string, item_id string, title string, body string, rating double, review_ts timestamp"
    reviews = spark.read.schema(schema).json(str(tmp_path / "reviews.json"))
    folder = store(network, tmp_path, "sentiment")
    found = score_sentiment(reviews, folder, settings).toPandas().set_index("review_id")
    assert len(found) == len(bodies)
    assert found.loc["r31", "status"] == "empty"
    assert found.loc["r32", "status"] == "invalid"
    assert found.loc["r33", "status"] == "scored"
    assert found.loc["r0", "probability"] == found.loc["r30", "probability"]
    alone = scored(network, [*texts]).values[:, 1]
    np.testing.assert_allclose(found.loc[[f"r{i}" for i in range(30)], "probability"], alone, atol=1e-6)
    assert ((found["probability"] >= 0.5) == (found["label"] == "positive"))[found["status"] == "scored"].all()

    embedder = store(TextEmbedder(network.encoder), tmp_path, "text_match")
    items = spark.createDataFrame(
        [("a", "red mug", None, None, None), ("b", None, None, None, None), ("c", "red mug", None, None, None)],
        "item_id string, title string, description string, category string, brand string",
    )
    vectors = {row["id"]: np.array(row["vector"]) for row in embed_items(items, embedder, settings).collect()}
    assert set(vectors) == {"a", "c"}
    assert np.array_equal(vectors["a"], vectors["c"])
    assert np.linalg.norm(vectors["a"]) == pytest.approx(1, abs=1e-5)
    with pytest.raises(InputError, match="no text match model"):
        embed_items(items, folder, settings)
