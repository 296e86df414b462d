"""The item network sees the past alone, is stored as it is, and can start from what items are about."""

from pathlib import Path

import numpy as np
import pytest
import torch

from attune.errors import SettingsError
from attune.models.item_sequence import INITIAL_STD, ItemSequenceModel, starting_vectors
from attune.models.networks import read_network, write_network

IDS, MASK = torch.tensor([[3, 1, 2, 5], [4, 4, 0, 0]]), torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])


@pytest.fixture
def network() -> ItemSequenceModel:
    torch.manual_seed(0)
    found = ItemSequenceModel(num_items=7, width=16, layers=2, heads=2, max_positions=6)
    torch.nn.init.normal_(found.bias)
    return found.eval()


def test_places_see_what_precedes_them_and_nothing_else(network: ItemSequenceModel) -> None:
    with torch.inference_mode():
        states = network(IDS, MASK)
        torch.testing.assert_close(network(IDS[:, :2], MASK[:, :2]), states[:, :2])
        torch.testing.assert_close(network(IDS[1:, :2], MASK[1:, :2]), states[1:, :2])
        changed = network(torch.tensor([[6, 1, 2, 5]]), MASK[:1])
    assert (changed - states[:1]).abs().amax(2).min() > 1e-4


def test_attention_is_that_of_torch(network: ItemSequenceModel) -> None:
    """The same weights in torch's own pre-norm encoder layer."""
    theirs = torch.nn.TransformerEncoderLayer(16, 2, 64, 0.0, "gelu", batch_first=True, norm_first=True).eval()
    block = network.blocks[0]
    with torch.no_grad():
        theirs.self_attn.in_proj_weight.copy_(block.query_key_value.weight)
        theirs.self_attn.in_proj_bias.copy_(block.query_key_value.bias)
        for ours, other in (
            (block.mix, theirs.self_attn.out_proj), (block.widen, theirs.linear1), (block.narrow, theirs.linear2),
            (block.attention_norm, theirs.norm1), (block.forward_norm, theirs.norm2),
        ):  # fmt: skip
            other.load_state_dict(ours.state_dict())
        hidden = torch.randn(3, 5, 16)
        causal = torch.nn.Transformer.generate_square_subsequent_mask(5)
        torch.testing.assert_close(block(hidden), theirs(hidden, src_mask=causal, is_causal=True))


def test_scores_are_inner_products_and_padding_is_never_next(network: ItemSequenceModel) -> None:
    hidden = torch.randn(2, 3, 16)
    with torch.inference_mode():
        scores = network.scores(hidden)
    assert scores.shape == (2, 3, 8)
    assert torch.isneginf(scores[..., 0]).all()
    expected = hidden @ network.items.weight[1:].T + network.bias
    torch.testing.assert_close(scores[..., 1:], expected.detach())


def test_read_back_it_is_the_same(network: ItemSequenceModel, tmp_path: Path) -> None:
    write_network(network, None, 6, tmp_path)
    again = read_network(tmp_path)
    assert isinstance(again, ItemSequenceModel)
    with torch.inference_mode():
        assert torch.equal(again.scores(again(IDS, MASK)), network.scores(network(IDS, MASK)))
    assert {file.name for file in tmp_path.iterdir()} == {"network.json", "model.safetensors"}


def test_text_vectors_keep_their_geometry() -> None:
    rng = np.random.default_rng(0)
    text = rng.normal(size=(40, 3)) @ rng.normal(size=(3, 20)) + 5
    found = starting_vectors(text, 3)
    assert found.std() == pytest.approx(INITIAL_STD, rel=1e-3)
    centred = text - text.mean(0)
    ratio = (found @ found.T) / (centred @ centred.T)
    np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-3)
    np.testing.assert_allclose(
        starting_vectors(text @ np.linalg.qr(rng.normal(size=(20, 20)))[0], 3).std(0), found.std(0), rtol=1e-4
    )


def test_items_without_text_and_missing_components_start_at_random(network: ItemSequenceModel) -> None:
    rng = np.random.default_rng(0)
    text = rng.normal(size=(7, 4))
    text[2], text[5] = 0, np.nan
    found = starting_vectors(text, 16)
    assert np.isnan(found[[2, 5]]).all()
    assert np.isnan(found[:, 4:]).all()
    before = network.items.weight.detach().clone()
    network.start_from(text)
    moved = (network.items.weight != before).numpy()
    np.testing.assert_array_equal(moved[1:], np.isfinite(found))
    assert not moved[0].any()
    assert np.isnan(starting_vectors(np.zeros((7, 4)), 3)).all()


def test_what_does_not_fit_is_refused(network: ItemSequenceModel) -> None:
    with pytest.raises(SettingsError, match="catalogue has 7"):
        network.start_from(np.ones((6, 4)))
    with pytest.raises(SettingsError, match="multiple of heads"):
        ItemSequenceModel(7, width=15, heads=2)
