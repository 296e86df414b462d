"""A response is as probable as the network says, with each text read once and gaps left to it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from attune.models.encoder import load_encoder
from attune.models.response import ResponseModel, signed_log
from attune.models.tokens import Ragged, TextEncoder
from attune.scoring.engine import Scorer
from attune.scoring.responses import response_probabilities
from attune.scoring.tokens import token_bytes
from models.tiny_bert import tiny_tokenizer, write_tiny_bert


@pytest.fixture
def model(tmp_path: Path) -> ResponseModel:
    torch.manual_seed(0)
    found = ResponseModel(load_encoder(write_tiny_bert(tmp_path / "bert")), [1.0, 5.0], [2.0, 1.0], hidden=8)
    torch.nn.init.normal_(found.no_text)
    found.slope, found.intercept = 0.5, -1.25
    return found.eval()


def test_probabilities_are_the_networks_own(model: ResponseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = pd.Series(["red mug", None, "blue lamp", "red mug", "qqq"])
    features = np.array([[10.0, 5.0], [-14.0, np.nan], [np.nan, 7.0], [0.0, 1e6], [1.0, 1.0]])
    encoder = TextEncoder(tiny_tokenizer(), 16)
    scorer = Scorer(model.for_texts(1), 64, "float32", torch.device("cpu"))
    read = []
    real = scorer.network.predict
    monkeypatch.setattr(
        scorer.network, "predict", lambda ids, mask: read.extend(ids.tolist()) or real(ids, mask), raising=False
    )
    outputs = scorer.score(token_bytes(encoder, texts))
    assert len(read) == 2, "two texts that can be read"
    assert outputs.status.tolist() == ["scored", "empty", "scored", "scored", "invalid"]
    found = response_probabilities(model, outputs.values, features)
    tokens = Ragged.of(encoder.encode([text or "qqq" for text in texts]))
    ids, mask = tokens.padded(np.arange(5), 0)
    with torch.inference_mode():
        expected = model.probabilities(ids, mask, torch.from_numpy(signed_log(features)))
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-6)
    assert len(set(found.round(6))) == 5
