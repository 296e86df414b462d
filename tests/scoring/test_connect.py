"""Scoring runs through Spark Connect: of the DataFrame API alone, with the outputs of the networks themselves."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from attune.models.encoder import load_encoder
from attune.models.network import Network
from attune.models.networks import TextClassifier, TextEmbedder, write_network
from attune.models.pair_scorer import PairScorer
from attune.models.store import ModelStore
from attune.models.tokens import TextEncoder
from attune.scoring.engine import Scorer
from attune.scoring.tokens import token_bytes
from models.tiny_bert import tiny_tokenizer, write_tiny_bert

NEEDED = {"grpc": "grpcio", "grpc_status": "grpcio-status", "google.rpc": "googleapis-common-protos"}
MISSING = [package for module, package in NEEDED.items() if find_spec(module) is None]
TESTS = Path(__file__).parents[1]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"Spark Connect needs {', '.join(MISSING)}"),
]


def outputs(network: Network, texts: list[str | None], others: list[str | None] | None = None) -> np.ndarray:
    """What a network gives without Spark."""
    pair = None if others is None else pd.Series(others, dtype=object)
    tokens = token_bytes(TextEncoder(tiny_tokenizer(), 16), pd.Series(texts, dtype=object), pair)
    return Scorer(network, 64, "float32", torch.device("cpu")).score(tokens).values


def test_texts_reviews_and_items_are_scored_through_connect(tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = load_encoder(write_tiny_bert(tmp_path / "bert"))
    separator = tiny_tokenizer().token_to_id("[SEP]")
    assert separator is not None
    networks: dict[str, Any] = {
        "classifier": TextClassifier(encoder, ["negative", "positive"]),
        "pairs": PairScorer(encoder, separator),
        "embedder": TextEmbedder(encoder),
    }
    store = ModelStore(str(tmp_path))
    for name, network in networks.items():
        store.save(name, "v1", lambda hidden, of=network: write_network(of, tiny_tokenizer(), 16, hidden), {})  # type: ignore[misc]
        (tmp_path / name).symlink_to(store.folder(name, "v1"))
    paths = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(TESTS.parent / "lib")])
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("connect_program.py")), str(tmp_path)], check=False,
        capture_output=True, text=True, timeout=500,
        env=os.environ | {"PYTHONPATH": paths, "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["module"] == "pyspark.sql.connect.dataframe"
    rows = {
        name: {row.get("text_id") or row.get("review_id") or row["id"]: row for row in part}
        for name, part in found["rows"].items()
    }
    texts, others = ["great mug", "broken lamp", None, "great mug"], ["red lamp", "the mug", None, "🦄"]
    alone = outputs(networks["classifier"], [*texts])
    labels = rows["labels"]
    assert [labels[key]["status"] for key in "abcd"] == ["scored", "scored", "empty", "scored"]
    np.testing.assert_allclose([labels[key]["probability"] for key in "abd"], alone[[0, 1, 3]].max(1), atol=1e-6)
    assert [rows["pairs"][key]["status"] for key in "abcd"] == ["scored", "scored", "empty", "invalid"]
    pairs = outputs(networks["pairs"], [*texts], [*others])[:2, 0]
    np.testing.assert_allclose([rows["pairs"][key]["probability"] for key in "ab"], pairs, atol=1e-6)
    joined = outputs(networks["classifier"], ["red lamp\ngreat mug", "the mug\nbroken lamp"])[:, 1]
    np.testing.assert_allclose([rows["sentiment"][key]["probability"] for key in "ab"], joined, atol=1e-6)
    vectors = outputs(networks["embedder"], [*texts])
    np.testing.assert_allclose(rows["vectors"]["b"]["vector"], vectors[1], atol=1e-6)
    assert set(rows["vectors"]) == {"a", "b", "d"}
    assert found["told"] == [4, 4], "rows tokenised and scored, as tasks tell them"
