"""What is computed in which number format: int8 only where it was asked for, or is known to cost little."""

from pathlib import Path

import pytest
import torch

from attune.errors import SettingsError
from attune.models import precision
from attune.models.encoder import load_encoder
from attune.models.item_sequence import ItemSequenceModel
from attune.models.networks import TextClassifier, write_network
from attune.models.precision import scoring_precision
from attune.models.quantised import known_loss, quantised
from attune.models.store import ModelStore
from models.tiny_bert import tiny_tokenizer, write_tiny_bert

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def network(tmp_path: Path) -> TextClassifier:
    torch.manual_seed(0)
    return TextClassifier(load_encoder(write_tiny_bert(tmp_path / "bert")), ["negative", "positive"]).eval()


@pytest.mark.parametrize(
    ("asked", "device", "has", "loss", "chosen"),
    [
        ("auto", CPU, "bfloat16", 0.0, "bfloat16"),
        ("auto", CPU, "vnni", 0.0, "int8"),
        ("auto", CPU, "vnni", -0.01, "int8"),
        ("auto", CPU, "vnni", 0.02, "float32"),
        ("auto", CPU, "vnni", None, "float32"),
        ("auto", CPU, "nothing", 0.0, "float32"),
        ("auto", GPU, "vnni", 0.0, "float32"),
        ("int8", CPU, "nothing", None, "int8"),
        ("int8", GPU, "bfloat16", 0.0, "bfloat16"),
        ("float32", CPU, "bfloat16", 0.0, "float32"),
        ("bfloat16", CPU, "nothing", 0.0, "bfloat16"),
    ],
)
def test_auto_takes_int8_only_where_it_pays_and_is_known_to_cost_little(
    asked: str, device: torch.device, has: str, loss: float | None, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "supports_bfloat16", lambda device: has == "bfloat16")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_vnni": has == "vnni"})
    assert scoring_precision(asked, device, loss, 0.01) == chosen


def test_linear_layers_of_the_encoder_become_int8_in_a_copy(network: TextClassifier) -> None:
    copied = quantised(network)
    assert {type(layer).__module__ for layer in network.modules() if type(layer).__name__ == "Linear"} == {
        "torch.nn.modules.linear"
    }
    layers = [layer for layer in copied.encoder.modules() if type(layer).__name__ == "Linear"]  # type: ignore[union-attr,operator]
    assert len(layers) == 2 * 6
    assert all(layer.weight().dtype == torch.qint8 for layer in layers)
    ids = torch.randint(5, 30, (4, 9))
    mask = torch.ones_like(ids)
    with torch.inference_mode():
        exact, rounded = network.predict(ids, mask), copied.predict(ids, mask)
    assert not torch.equal(exact, rounded)
    torch.testing.assert_close(exact, rounded, atol=0.02, rtol=0.0)


def test_a_network_without_an_encoder_is_refused() -> None:
    with pytest.raises(
        SettingsError, match=r"score\.precision int8 is for networks on an encoder, not for item_sequence"
    ):
        quantised(ItemSequenceModel(3))


def test_the_known_loss_is_that_of_the_card(network: TextClassifier, tmp_path: Path) -> None:
    store = ModelStore(str(tmp_path))
    cards = {
        "metric": {"metrics": {"int8": {"loss": 0.003, "mean_change": 0.001}}},
        "outputs": {"metrics": {"int8": {"loss": -0.003, "mean_change": 0.02}}},
        "undefined": {"metrics": {"int8": {"loss": None, "mean_change": 0.001}}},
        "none": {},
    }
    found = {
        name: known_loss(
            store.save("m", name, lambda folder: write_network(network, tiny_tokenizer(), 16, folder), card)
        )
        for name, card in cards.items()
    }
    assert found == {"metric": 0.003, "outputs": 0.02, "undefined": None, "none": None}
    assert known_loss(tmp_path) is None
