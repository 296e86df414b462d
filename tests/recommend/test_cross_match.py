"""The cross-encoder says of each pair of items what its network says of their texts, and reads no pair twice."""

from pathlib import Path

import numpy as np
import pytest
import torch

from attune.errors import InputError
from attune.models.encoder import load_encoder
from attune.models.networks import write_network
from attune.models.pair_scorer import PairScorer
from attune.models.store import ModelStore
from attune.recommend import cross_match
from attune.recommend.cross_match import CrossMatchScores
from attune.scoring.plan import Scoring
from models.tiny_bert import tiny_tokenizer, write_tiny_bert
from recommend.tiny import damaged_copy

TEXTS = ["red lamp", "green mug", "", "xyzzy", "a large steel table and a small wooden chair", "green mug"]
RED, GREEN, EMPTY, UNKNOWN, LONG, GREEN_AGAIN = range(6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    encoder = load_encoder(write_tiny_bert(tmp_path_factory.mktemp("bert")))
    torch.manual_seed(3)
    network = PairScorer(encoder, separator_id=3)
    torch.nn.init.normal_(network.head.weight)
    store = ModelStore(str(tmp_path_factory.mktemp("workspace")))
    return store.save("cross_match", "v1", lambda into: write_network(network, tiny_tokenizer(), 24, into), {})


def reading(folder: Path) -> Scoring:
    return Scoring(
        str(folder), max_tokens=24, tokens_per_batch=40, precision="float32", max_int8_loss=0.0, max_new_tokens=1
    )


@pytest.fixture
def pairs(folder: Path) -> CrossMatchScores:
    cross_match._reader.cache_clear()
    return CrossMatchScores.of(reading(folder), TEXTS)


@pytest.fixture
def num_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Pairs of each batch that goes through the network."""
    sizes: list[int] = []
    forward = PairScorer.forward

    def counted(self: PairScorer, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        sizes.append(len(ids))
        return forward(self, ids, mask)

    monkeypatch.setattr(PairScorer, "forward", counted)
    return sizes


def expected(folder: Path, first: str, second: str) -> float:
    """Logit of a pair alone in its batch."""
    from attune.models.networks import read_network

    ids = torch.tensor([tiny_tokenizer().encode(first, second).ids])
    with torch.inference_mode():
        return float(read_network(folder)(ids, torch.ones_like(ids))[0])


def test_a_batch_says_what_each_pair_alone_says(folder: Path, pairs: CrossMatchScores, num_read: list[int]) -> None:
    asked = [(RED, GREEN), (GREEN, RED), (RED, LONG), (LONG, GREEN), (GREEN, LONG)]
    found = pairs.log_odds(*np.array(asked).T)
    assert max(num_read) > 1, "they are read together"
    wanted = [expected(folder, TEXTS[a], TEXTS[b]) for a, b in asked]
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert np.ptp(found) > 0.01, "a network that says the same of all pairs proves nothing"
    assert abs(found[0] - found[1]) > 1e-3, "which one came first counts"


def test_nothing_is_said_of_items_without_a_text_that_can_be_read(pairs: CrossMatchScores, num_read: list[int]) -> None:
    firsts, seconds = np.array([RED, EMPTY, RED, UNKNOWN]), np.array([EMPTY, RED, UNKNOWN, GREEN])
    assert np.isnan(pairs.log_odds(firsts, seconds)).all()
    assert not num_read
    assert pairs.log_odds(firsts[:0], seconds[:0]).tolist() == []


def test_each_distinct_pair_is_read_once_a_worker(pairs: CrossMatchScores, num_read: list[int]) -> None:
    firsts, seconds = np.array([RED, RED, RED, GREEN]), np.array([GREEN, GREEN, GREEN_AGAIN, RED])
    found = pairs.log_odds(firsts, seconds)
    assert sum(num_read) == 2
    assert found[0] == found[1] == found[2]
    again = pairs.log_odds(firsts[::-1], seconds[::-1])
    assert again.tolist() == found[::-1].tolist()
    assert sum(num_read) == 2
    other_order = CrossMatchScores.of(pairs.how, ["", "green mug", "red lamp"])
    assert other_order.log_odds(np.array([2]), np.array([1])).tolist() == found[:1].tolist()
    assert sum(num_read) == 2, "a pair is known by its texts, not by its place in a catalogue"


def test_what_is_remembered_is_bounded(
    pairs: CrossMatchScores, num_read: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cross_match, "MAX_KEPT_PAIRS", 2)
    firsts, seconds = np.array([RED, GREEN, LONG, RED]), np.array([GREEN, RED, RED, LONG])
    found = pairs.log_odds(firsts, seconds)
    assert len(cross_match._reader(pairs.how)._known) == 2
    np.testing.assert_allclose(pairs.log_odds(firsts, seconds), found, atol=1e-5)
    assert sum(num_read) == 4 + 2


def test_a_damaged_model_is_refused(folder: Path, tmp_path: Path) -> None:
    damaged = CrossMatchScores.of(reading(damaged_copy(folder, tmp_path)), TEXTS)
    with pytest.raises(InputError, match="has changed since it was stored"):
        damaged.log_odds(np.array([RED]), np.array([GREEN]))
