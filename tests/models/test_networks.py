"""A stored network is read back as what it was."""

import json
from pathlib import Path

import pytest
import torch

from attune.errors import InputError
from attune.models.encoder import load_encoder
from attune.models.networks import TextClassifier, read_network, write_network
from models.tiny_bert import tiny_tokenizer, write_tiny_bert

IDS, MASK = torch.tensor([[2, 7, 8, 3], [2, 9, 3, 0]]), torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    network = TextClassifier(load_encoder(write_tiny_bert(tmp_path / "bert")), ["a", "b"], multi_label=True)
    (tmp_path / "model").mkdir()
    write_network(network, tiny_tokenizer(), 16, tmp_path / "model")
    return tmp_path / "model"


def test_a_classifier_says_whether_a_text_may_have_several_labels(folder: Path) -> None:
    network = read_network(folder)
    with torch.inference_mode():
        torch.testing.assert_close(network.predict(IDS, MASK), network(IDS, MASK).sigmoid())


def test_a_classifier_stored_before_there_were_several_labels_has_one(folder: Path) -> None:
    file = folder / "network.json"
    description = json.loads(file.read_text())
    del description["multi_label"]
    file.write_text(json.dumps(description))
    with torch.inference_mode():
        torch.testing.assert_close(read_network(folder).predict(IDS, MASK).sum(1), torch.ones(2))


def test_an_unknown_kind_is_named(folder: Path) -> None:
    file = folder / "network.json"
    file.write_text(file.read_text().replace('"classifier"', '"clasifier"'))
    with pytest.raises(InputError, match="did you mean 'classifier'"):
        read_network(folder)
