"""The encoder is told which of two texts a token is of, and the network is stored as it is."""

from pathlib import Path

import pytest
import torch

from attune.models.encoder import load_encoder, mean_pool
from attune.models.networks import read_network, write_network
from attune.models.pair_scorer import PairScorer, token_types
from models.tiny_bert import tiny_tokenizer, write_tiny_bert


@pytest.fixture
def network(tmp_path: Path) -> PairScorer:
    return PairScorer(load_encoder(write_tiny_bert(tmp_path / "bert")), separator_id=3).eval()


def test_token_types_are_those_of_the_tokenizer(network: PairScorer) -> None:
    from tokenizers import processors

    tokenizer = tiny_tokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.enable_padding()
    pairs = tokenizer.encode_batch([("red lamp", "good"), ("a", "the blue mug is good")])
    ids, mask, types = (torch.tensor([getattr(p, n) for p in pairs]) for n in ("ids", "attention_mask", "type_ids"))
    assert torch.equal(token_types(ids, mask, 3), types)
    with torch.inference_mode():
        hidden = network.encoder(input_ids=ids, attention_mask=mask, token_type_ids=types).last_hidden_state
        expected = network.head(mean_pool(hidden, mask))
        torch.testing.assert_close(network(ids, mask), expected[:, 0])
        torch.testing.assert_close(network.predict(ids, mask), expected.sigmoid())
        without = network.head(mean_pool(network.encoder(input_ids=ids, attention_mask=mask).last_hidden_state, mask))
    assert not torch.allclose(without, expected, atol=1e-4)


def test_read_back_it_is_the_same(network: PairScorer, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    write_network(network, tiny_tokenizer(), 16, folder)
    ids, mask = torch.tensor([[2, 7, 3, 8, 3], [2, 3, 9, 3, 0]]), torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]])
    again = read_network(folder)
    with torch.inference_mode():
        assert torch.equal(again.predict(ids, mask), network.predict(ids, mask))
