"""A stored language model is one that transformers reads."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from attune.errors import MissingError
from attune.models.causal_language import NOT_WRITTEN, CausalLanguageModel, load_causal
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


def greedy(network: CausalLanguageModel, prompt: list[int], most: int) -> list[int]:
    """The likeliest token after all before it, again and again, until the end token or the model's length."""
    ids = list(prompt)
    while len(ids) - len(prompt) < most and len(ids) < 16:
        row = torch.tensor([ids])
        with torch.inference_mode():
            token = int(network.model(input_ids=row, attention_mask=torch.ones_like(row)).logits[0, -1].argmax())
        if token == 3:
            break
        ids.append(token)
    return ids[len(prompt) :]


def test_what_is_written_is_the_likeliest_token_each_time(network: CausalLanguageModel) -> None:
    torch.manual_seed(2)
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.7)
    writer = network.for_texts(6).eval()
    with torch.inference_mode():
        found = writer.predict(IDS, MASK)
        assert found.shape == (2, writer.num_outputs) == (2, 6)
        prompts = [[2, 7, 4, 8], [2, 4]]  # the tokenizer's end, 3, does not end what is to go on
        for row, (prompt, length) in enumerate(zip(prompts, (5, 3), strict=True)):
            expected = greedy(network, prompt, 6)
            assert found[row][found[row] != NOT_WRITTEN].tolist() == expected
            alone = writer.predict(IDS[[row], :length], MASK[[row], :length])
            assert torch.equal(alone, found[[row]])
    assert len({*greedy(network, prompts[0], 6)}) > 1, "a text of one word would hide a mistake"


def test_writing_ends_where_the_model_ends_or_can_read_no_more(network: CausalLanguageModel) -> None:
    ids = torch.full((1, 14), 5)
    with torch.inference_mode():
        assert (network.for_texts(6).predict(ids, torch.ones_like(ids)) != NOT_WRITTEN).sum() <= 2
        ids = torch.full((1, 16), 5)
        assert (network.for_texts(6).predict(ids, torch.ones_like(ids)) == NOT_WRITTEN).all()
        ending = torch.zeros(30)
        ending[3] = 1e6
        network.model.lm_head.bias = torch.nn.Parameter(ending)
        assert (network.for_texts(6).predict(IDS, MASK) == NOT_WRITTEN).all()
