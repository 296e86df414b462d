"""The next item is learned, ranked without mercy, and a sampled loss estimates the full one."""

from pathlib import Path

import numpy as np
import pytest
import torch

from attune.errors import SettingsError
from attune.evaluation.metrics import ndcg
from attune.models.item_sequence import ItemSequenceModel
from attune.models.tokens import Ragged
from attune.training.communicator import SingleProcess
from attune.training.next_item import NextItem, most_recent, rank_metrics
from attune.training.reader import Rows
from attune.training.sampled_softmax import Proposal, full_loss, log_uniform, sampled_loss
from attune.training.task import take_batch
from training.task_contract import CPU, check_bfloat16_costs_little, check_contract, loop_of

NUM_ITEMS = 30


def walks(num: int, seed: int = 0, longest: int = 8) -> Rows:
    """Users who go up the catalogue by a step of their own, 1 to 3: two items tell the third."""
    rng = np.random.default_rng(seed)
    starts, steps, lengths = rng.integers(0, NUM_ITEMS, num), rng.integers(1, 4, num), rng.integers(3, longest + 1, num)
    rows = [(s + d * np.arange(n)) % NUM_ITEMS + 1 for s, d, n in zip(starts, steps, lengths, strict=True)]
    return Rows({"items": Ragged.of(rows)}, {})


def task_of(**changed: object) -> NextItem:
    torch.manual_seed(0)
    return NextItem("", **{"num_items": NUM_ITEMS, "width": 32, "max_positions": 10, "dropout": 0.0, **changed})  # type: ignore[arg-type]


def batch_of(rows: Rows) -> object:
    return take_batch(rows, np.arange(len(rows)), 0, CPU)


def test_contract() -> None:
    task = task_of()
    torch.nn.init.normal_(task.network.bias, std=0.5)
    assert task.network.pad_id == 0
    check_contract(task, walks(24))
    check_bfloat16_costs_little(task_of(num_negatives=2000), walks(24))


@pytest.mark.parametrize(
    ("changed", "least"),
    [({}, 0.95), ({"num_negatives": 12}, 0.7), ({"num_negatives": 12, "item_counts": [1] * NUM_ITEMS}, 0.7)],
)
def test_the_step_of_a_user_is_learned(changed: dict[str, object], least: float) -> None:
    task = task_of(**changed)
    valid = walks(100, seed=9)
    before = loop_of(task).evaluate(valid)
    found = loop_of(task, epochs=25, head_learning_rate=5e-3, learning_rate=5e-3).fit([walks(500)], valid).metrics
    assert before["ndcg@10"] < 0.4
    assert found["ndcg@10"] > least
    assert found["hr@10"] > 0.98


def test_every_place_of_a_row_is_trained_and_padding_is_not() -> None:
    task = task_of()
    rows = Rows({"items": Ragged.of([np.array([3, 1, 2]), np.array([4, 5]), np.array([6]), np.array([])])}, {})
    found = task.loss(batch_of(rows), SingleProcess())
    assert found.weight == 3
    expected = 0.0
    for history, target in (([3], 1), ([3, 1], 2), ([4], 5)):
        states = task.network(torch.tensor([history]), torch.ones(1, len(history), dtype=torch.long))
        expected -= float(task.network.scores(states[0, -1]).detach().log_softmax(-1)[target])
    assert found.total == pytest.approx(expected, rel=1e-5)


def test_ranks_by_hand_ties_seen_items_and_rows_that_are_too_short() -> None:
    """With weights of nothing but the bias, the rank is the place in the order of the bias."""
    rows = Rows({"items": Ragged.of([np.array(r) for r in ([4, 5, 2], [2, 3], [4, 1], [4], [], [4, 4])])}, {})
    ranks = {}
    for leave_out in (False, True):
        task = task_of(num_items=5, leave_out_seen=leave_out)
        with torch.no_grad():
            task.network.items.weight.zero_()
            task.network.bias.copy_(torch.tensor([1.0, 2.0, 2.0, 5.0, 4.0]))
            ranks[leave_out] = task.outputs(batch_of(rows))
    assert ranks[False].tolist() == [[4, 1], [4, 1], [5, 1], [0, 0], [0, 0], [1, 1]]
    assert ranks[True].tolist() == [[2, 1], [3, 1], [4, 1], [0, 0], [0, 0], [1, 1]]
    assert task.metrics(ranks[False].numpy(), {})["num"] == 4


def test_long_rows_keep_their_most_recent_items() -> None:
    ids = torch.tensor([[1, 2, 3, 4, 5], [6, 7, 0, 0, 0]])
    short_ids, short_mask = most_recent(ids, (ids > 0).long(), 3)
    assert short_ids.tolist() == [[3, 4, 5], [6, 7, 0]]
    assert short_mask.tolist() == [[1, 1, 1], [1, 1, 0]]
    task = task_of(max_positions=4)
    with torch.inference_mode():
        long, short = (
            task.outputs(batch_of(Rows({"items": Ragged.of([row])}, {})))
            for row in (np.arange(1, 21), np.arange(16, 21))
        )
    assert torch.equal(long, short)


def test_rank_metrics_equal_those_of_lists() -> None:
    ranks = np.random.default_rng(0).integers(1, 31, 300)
    hits = (np.arange(1, 31) == ranks[:, None]).astype(float)
    found = rank_metrics(ranks.astype(np.float32))
    for k in (5, 10):
        assert found[f"ndcg@{k}"] == pytest.approx(ndcg(hits, np.ones(300, int), k).mean())
        assert found[f"hr@{k}"] == hits[:, :k].sum() / 300
    assert found["mrr"] == pytest.approx((1 / ranks).mean())
    assert np.isnan(rank_metrics(np.empty(0))["mrr"])


@pytest.fixture
def network() -> ItemSequenceModel:
    torch.manual_seed(2)
    found = ItemSequenceModel(NUM_ITEMS, 8, 1, 1, 4)
    torch.nn.init.normal_(found.items.weight, std=0.5)
    torch.nn.init.normal_(found.bias, std=0.5)
    return found


def test_many_negatives_give_the_full_loss_whatever_they_are_drawn_by(network: ItemSequenceModel) -> None:
    hidden, targets = torch.randn(50, 8), torch.randint(1, NUM_ITEMS + 1, (50,))
    full = full_loss(network, hidden, targets)
    for shares in (log_uniform(NUM_ITEMS), np.arange(1, NUM_ITEMS + 1)):
        proposal = Proposal(shares)
        negatives = proposal.draw(200_000, CPU)
        found = sampled_loss(network, hidden, targets, negatives, proposal.log_q)
        assert float(found.detach()) == pytest.approx(float(full.detach()), rel=5e-3)


def test_a_negative_that_is_the_target_does_not_count(network: ItemSequenceModel) -> None:
    """By hand: the target 3 and a negative 5 that is expected 3 q(5) times among three."""
    hidden, log_q = torch.randn(1, 8), Proposal(log_uniform(NUM_ITEMS)).log_q
    found = sampled_loss(network, hidden, torch.tensor([3]), torch.tensor([3, 3, 5]), log_q)
    scores = network.scores(hidden)[0].detach()
    expected = torch.log1p(torch.exp(scores[5] - scores[3]) / (3 * log_q[5].exp()))
    torch.testing.assert_close(found.detach(), expected)


def test_negatives_come_as_often_as_proposed() -> None:
    shares = log_uniform(NUM_ITEMS)
    assert shares.sum() == pytest.approx(1)
    torch.manual_seed(0)
    drawn = Proposal(shares).draw(200_000, CPU)
    counts = torch.bincount(drawn, minlength=NUM_ITEMS + 1).numpy() / 200_000
    assert counts[0] == 0
    np.testing.assert_allclose(counts[1:], shares, atol=0.004)
    np.testing.assert_allclose(Proposal(shares * 7).log_q[1:].exp(), shares, rtol=1e-5)


def test_a_loss_in_pieces_is_that_in_one(network: ItemSequenceModel) -> None:
    targets = torch.randint(1, NUM_ITEMS + 1, (50,))
    found = []
    for limit in (1 << 24, 7 * (NUM_ITEMS + 1)):
        network.zero_grad()
        hidden = torch.randn(50, 8, generator=torch.manual_seed(5), requires_grad=True)
        total = full_loss(network, hidden, targets, limit)
        total.backward()
        found.append((total.detach(), hidden.grad, network.items.weight.grad.clone(), network.bias.grad.clone()))
    for one, pieces in zip(*found, strict=True):
        torch.testing.assert_close(pieces, one, rtol=1e-4, atol=1e-6)
    expected = torch.nn.functional.cross_entropy(network.scores(hidden), targets, reduction="sum")
    torch.testing.assert_close(found[0][0], expected.detach())


def test_item_vectors_start_from_text(tmp_path: Path) -> None:
    text = np.random.default_rng(0).normal(size=(NUM_ITEMS, 40)).astype(np.float32)
    np.save(tmp_path / "text.npy", text)
    vectors = task_of(text_vectors=str(tmp_path / "text.npy")).network.items.weight[1:].detach().numpy()
    plain = task_of().network.items.weight[1:].detach().numpy()
    pairs = np.triu_indices(NUM_ITEMS, 1)
    related = [np.corrcoef((v @ v.T)[pairs], (text @ text.T)[pairs])[0, 1] for v in (vectors, plain)]
    assert related[0] > 0.9
    assert abs(related[1]) < 0.3


def test_counts_of_another_catalogue_are_refused() -> None:
    with pytest.raises(SettingsError, match="item_counts of 2"):
        task_of(item_counts=[1, 2])
