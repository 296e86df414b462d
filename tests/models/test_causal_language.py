"""A stored language model is one that transformers reads."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from attune.errors import MissingError
from attune.models.causal_language import CausalLanguageModel, load_causal
from attune.models.fresh import Sizes, fresh_gpt2
from attune.models.networks import read_network, write_network
from models.tiny_bert import tiny_tokenizer

IDS, MASK = torch.tensor([[2, 7, 4, 8, 3], [2, 4, 3, 0, 0]]), torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])


@pytest.fixture
def network() -> CausalLanguageModel:
    torch.manual_seed(0)
    sizes = Sizes(layers=2, width=16, heads=2, vocab_size=30, max_positions=16)
    return CausalLanguageModel(fresh_gpt2(sizes, 0.1, 3)).eval()


def test_transformers_gives_the_same_logits(network: CausalLanguageModel, tmp_path: Path) -> None:
    write_network(network, tiny_tokenizer(), 16, tmp_path)
    theirs, report = AutoModelForCausalLM.from_pretrained(tmp_path, use_safetensors=True, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    counts = MASK.bool() & (IDS != 2)
    again = read_network(tmp_path)
    with torch.inference_mode():
        expected = theirs.eval()(input_ids=IDS, attention_mask=MASK).logits[counts]
        found = network(IDS, MASK, counts)
        assert torch.equal(again(IDS, MASK, counts), found)
    assert found.shape == (6, 30)
    torch.testing.assert_close(found, expected)


def test_read_back_the_layers_still_share_their_weights(network: CausalLanguageModel, tmp_path: Path) -> None:
    write_network(network, tiny_tokenizer(), 16, tmp_path)
    again = read_network(tmp_path)
    assert isinstance(again, CausalLanguageModel)
    assert again.model.get_input_embeddings().weight is again.model.get_output_embeddings().weight


def test_training_goes_on_from_its_folder_under_another_dropout(network: CausalLanguageModel, tmp_path: Path) -> None:
    write_network(network, tiny_tokenizer(), 16, tmp_path)
    continued = CausalLanguageModel(load_causal(str(tmp_path), 0.3)).eval()
    assert continued.model.config.resid_pdrop == 0.3
    with torch.inference_mode():
        torch.testing.assert_close(continued(IDS, MASK, MASK.bool()), network(IDS, MASK, MASK.bool()))


def test_models_that_do_more_to_their_logits_keep_doing_so(network: CausalLanguageModel) -> None:
    network.model.config.logit_scale = 0.5
    whole = CausalLanguageModel(network.model)
    network.model.forward = lambda **inputs: type("Output", (), {"logits": torch.ones(2, 5, 30)})  # type: ignore[method-assign]
    assert whole(IDS, MASK, MASK.bool()).eq(1).all()


def test_a_name_that_cannot_be_had_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(MissingError, match="no-such-owner"):
        load_causal("no-such-owner/no-such-model", 0.1)
