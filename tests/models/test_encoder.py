"""The encoder that is used is the one asked for, offline, and its vectors are what the field expects."""

from pathlib import Path

import pytest
import torch

from attune.errors import InputError, MissingError
from attune.models import encoder
from attune.models.encoder import layer_depth, load_encoder, load_tokenizer, locate_encoder, mean_pool, num_layers
from attune.models.networks import TextClassifier, TextEmbedder, describe_network, read_network, write_network
from attune.models.tokens import Ragged, TextEncoder
from models.tiny_bert import write_tiny_bert


def test_mean_pool_ignores_padding() -> None:
    hidden = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [99.0, 99.0]]])
    assert mean_pool(hidden, torch.tensor([[1, 1, 0]])).tolist() == [[2.0, 3.0]]


def test_minilm_is_the_published_one_and_knows_meaning() -> None:
    network = TextEmbedder(load_encoder("minilm")).eval()
    texts = ["a warm winter jacket", "thick coat for cold days", "usb charging cable"]
    tokens = Ragged.of(TextEncoder(load_tokenizer("minilm"), 32).encode(texts))
    with torch.inference_mode():
        vectors = network(*tokens.padded(torch.arange(3).numpy(), 0))
    assert torch.allclose(vectors.norm(dim=1), torch.ones(3), atol=1e-5)
    near, far = float(vectors[0] @ vectors[1]), float(vectors[0] @ vectors[2])
    # Cosines that sentence-transformers 5 gives for all-MiniLM-L6-v2 on these texts.
    assert (near, far) == pytest.approx((0.631703, 0.092247), abs=1e-5)


def test_other_minilm_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "MINILM_SHA256", "0" * 64)
    encoder._packaged_minilm.cache_clear()
    with pytest.raises(InputError, match="SHA-256 differs"):
        locate_encoder("minilm")
    encoder._packaged_minilm.cache_clear()


def test_folder_without_safetensors_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(InputError, match="safetensors"):
        load_encoder(str(tmp_path))


def test_hub_name_that_cannot_be_had_names_the_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(MissingError, match="use minilm or a folder"):
        load_encoder("no-such-owner/no-such-model")


def test_layers_are_counted_and_ordered(tmp_path: Path) -> None:
    loaded = load_encoder(write_tiny_bert(tmp_path))
    assert num_layers(loaded) == 2
    assert layer_depth("embeddings.word_embeddings.weight", 2) == 0
    assert layer_depth("encoder.layer.1.output.dense.weight", 2) == 2


@pytest.mark.parametrize("kind", ["classifier", "embedder"])
def test_stored_network_gives_the_same_outputs(tmp_path: Path, kind: str) -> None:
    bert = load_encoder(write_tiny_bert(tmp_path / "bert"))
    network = TextClassifier(bert, ["bad", "good"]) if kind == "classifier" else TextEmbedder(bert)
    folder = tmp_path / "model"
    folder.mkdir()
    write_network(network.eval(), load_tokenizer(str(tmp_path / "bert")), 16, folder)
    again = read_network(folder)
    ids, mask = torch.tensor([[2, 7, 8, 3], [2, 9, 3, 0]]), torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    with torch.inference_mode():
        assert torch.equal(network(ids, mask), again(ids, mask))
    assert describe_network(folder)["max_tokens"] == 16
    assert {f.suffix for f in folder.iterdir()} <= {".json", ".safetensors"}
