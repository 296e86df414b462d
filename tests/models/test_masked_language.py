"""A stored masked language model is one that transformers reads, and an encoder for other tasks."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModel, BertForMaskedLM, DistilBertConfig, DistilBertModel

from attune.errors import InputError, SettingsError
from attune.models.encoder import load_encoder, load_tokenizer
from attune.models.fresh import Sizes, fresh_bert
from attune.models.masked_language import MaskedLanguageModel, load_head
from attune.models.networks import read_network, write_network
from models.tiny_bert import SPECIAL, WORDS, tiny_tokenizer

IDS, MASK = torch.tensor([[2, 7, 4, 8, 3], [2, 4, 3, 0, 0]]), torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
HIDDEN = IDS == 4


@pytest.fixture(scope="module")
def network() -> MaskedLanguageModel:
    torch.manual_seed(0)
    sizes = Sizes(layers=2, width=32, heads=2, vocab_size=len(SPECIAL) + len(WORDS), max_positions=32)
    found = MaskedLanguageModel(fresh_bert(sizes, 0.1, 0))
    torch.nn.init.normal_(found.head.bias)
    return found.eval()


@pytest.fixture(scope="module")
def folder(network: MaskedLanguageModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model")
    write_network(network, tiny_tokenizer(), 16, path)
    return path


def test_transformers_gives_the_same_logits(network: MaskedLanguageModel, folder: Path) -> None:
    theirs, report = BertForMaskedLM.from_pretrained(folder, use_safetensors=True, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    with torch.inference_mode():
        expected = theirs.eval()(input_ids=IDS, attention_mask=MASK).logits[HIDDEN]
        found = network(IDS, MASK, HIDDEN)
    assert found.shape == (2, len(SPECIAL) + len(WORDS))
    torch.testing.assert_close(found, expected)


def test_read_back_it_is_the_same(network: MaskedLanguageModel, folder: Path) -> None:
    again = read_network(folder)
    with torch.inference_mode():
        assert torch.equal(again(IDS, MASK, HIDDEN), network(IDS, MASK, HIDDEN))
    assert {f.suffix for f in folder.iterdir()} <= {".json", ".safetensors"}


def test_its_folder_is_an_encoder(network: MaskedLanguageModel, folder: Path) -> None:
    with torch.inference_mode():
        expected = network.encoder(input_ids=IDS, attention_mask=MASK).last_hidden_state
        ours = load_encoder(str(folder))(input_ids=IDS, attention_mask=MASK).last_hidden_state
        theirs = AutoModel.from_pretrained(folder, use_safetensors=True).eval()(input_ids=IDS, attention_mask=MASK)
    torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(theirs.last_hidden_state, expected)
    assert load_tokenizer(str(folder)).encode("red lamp").ids == tiny_tokenizer().encode("red lamp").ids


def test_the_head_goes_on_where_the_folder_has_one(network: MaskedLanguageModel, folder: Path, tmp_path: Path) -> None:
    continued = MaskedLanguageModel(load_encoder(str(folder))).eval()
    assert load_head(continued, str(folder))
    with torch.inference_mode():
        torch.testing.assert_close(continued(IDS, MASK, HIDDEN), network(IDS, MASK, HIDDEN))
    network.encoder.save_pretrained(tmp_path)
    assert not load_head(continued, str(tmp_path))


def test_other_encoders_are_refused() -> None:
    small = DistilBertConfig(vocab_size=20, dim=8, n_layers=1, n_heads=1, hidden_dim=8)
    with pytest.raises(InputError, match="distilbert"):
        MaskedLanguageModel(DistilBertModel(small))


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(SettingsError, match="multiple of heads"):
        Sizes(1, 10, 3, 10, 10)
    with pytest.raises(SettingsError, match="at least 1"):
        Sizes(0, 8, 2, 10, 10)
