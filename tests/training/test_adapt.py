"""What changes how a network is trained: adapters, parts of a batch, recomputed activations, patience."""

import numpy as np
import pytest
import torch

from attune.training.classification import Classification
from attune.training.communicator import SingleProcess
from attune.training.loop import Loop, Trained
from attune.training.rank import describe_rows
from attune.training.reader import Rows
from models.tiny_bert import write_tiny_bert
from training.examples import review_rows
from training.test_communicator import run_threads
from training.test_loop import settings

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_tiny_bert(tmp_path_factory.mktemp("bert"))


def classifier(encoder: str) -> Classification:
    torch.manual_seed(1)
    return Classification(encoder, ["negative", "positive"], dropout=0.0, label_smoothing=0.0)


def streams(num: int) -> list[Rows]:
    whole = review_rows(200)
    return [whole.take(np.arange(start, 200, num)) for start in range(num)]


def test_adapters_learn_and_leave_a_plain_network_with_other_weights(encoder: str) -> None:
    task = classifier(encoder)
    before = {name: value.clone() for name, value in task.network.state_dict().items()}
    loop = Loop(task, settings(epochs=10, lora_rank=4, learning_rate=0.02), SingleProcess(), CPU)
    trained = loop.fit(streams(1), review_rows(80, seed=9))
    assert trained.metrics["accuracy"] > 0.95
    after = task.network.state_dict()
    assert set(after) == set(before), "no trace of the adapters is left"
    moved = {name for name in after if not torch.equal(after[name], before[name])}
    assert all(name.endswith("weight") for name in moved - {"head.bias"}), "an adapter changes matrices alone"
    assert {
        "encoder.encoder.layer.0.attention.self.query.weight",
        "encoder.encoder.layer.1.output.dense.weight",
    } < moved
    assert "encoder.embeddings.word_embeddings.weight" not in moved
    of_head = sum(task.network.head.get_parameter(name).numel() for name in ("weight", "bias"))
    ranks = 2 * 4 * (4 * (32 + 32) + 2 * (32 + 64))
    assert (trained.num_trained, trained.num_parameters) == (ranks + of_head, sum(v.numel() for v in before.values()))
    assert loop.evaluate(review_rows(80, seed=9))["accuracy"] == trained.metrics["accuracy"], "merging changes nothing"


def test_parts_gone_through_in_turn_are_ranks(encoder: str) -> None:
    """One rank of three parts, and three ranks of one, give one course of losses."""
    given = {"epochs": 2, "tokens_per_batch": 600}
    valid = review_rows(60, seed=9)
    alone = Loop(classifier(encoder), settings(**given, accumulation=3), SingleProcess(), CPU).fit(streams(3), valid)
    tasks = [classifier(encoder) for _ in range(3)]

    def work(comm) -> Trained:  # type: ignore[no-untyped-def]
        return Loop(tasks[comm.rank], settings(**given), comm, CPU).fit([streams(3)[comm.rank]], valid)

    together = run_threads(3, work)
    assert len(alone.losses) > 6
    for trained in together:
        np.testing.assert_allclose(trained.losses, alone.losses, rtol=0, atol=1e-5)


def test_recomputed_activations_give_the_same_gradients(encoder: str) -> None:
    plain, recomputed = (
        Loop(classifier(encoder), settings(epochs=1, gradient_checkpointing=on), SingleProcess(), CPU).fit(
            streams(1), review_rows(20, seed=9)
        )
        for on in (False, True)
    )
    np.testing.assert_allclose(recomputed.losses, plain.losses, rtol=0, atol=1e-6)


def test_patience_ends_a_training_that_gets_no_better(encoder: str) -> None:
    rows = review_rows(200)
    random = Rows(rows.tokens, {"label": np.random.default_rng(0).integers(0, 2, 200)})
    given = settings(epochs=30, patience=2, learning_rate=1e-6, head_learning_rate=1e-6)
    trained = Loop(classifier(encoder), given, SingleProcess(), CPU).fit([random], review_rows(80, seed=9))
    scores = [epoch["accuracy"] for epoch in trained.epochs[1:]]
    assert len(scores) == scores.index(max(scores)) + 1 + 2 < 30


def test_lower_layers_learn_less_under_layer_decay(encoder: str) -> None:
    def moved(decay: float) -> float:
        task = classifier(encoder)
        before = task.network.encoder.get_input_embeddings().weight.detach().clone()
        Loop(task, settings(epochs=1, layer_decay=decay), SingleProcess(), CPU).fit(streams(1), review_rows(20, seed=9))
        after = task.network.encoder.get_input_embeddings().weight.detach()
        return float((after - before).norm())

    assert moved(0.1) < 0.1 * moved(1.0)


def test_gradients_that_travel_as_half_floats_learn_alike(encoder: str) -> None:
    valid = review_rows(60, seed=9)

    def losses(compression: str) -> list[float]:
        tasks = [classifier(encoder) for _ in range(2)]

        def work(comm) -> Trained:  # type: ignore[no-untyped-def]
            loop = Loop(tasks[comm.rank], settings(epochs=1, compression=compression), comm, CPU)
            return loop.fit([streams(2)[comm.rank]], valid)

        return run_threads(2, work)[0].losses  # type: ignore[no-any-return]

    exact, rounded = losses("none"), losses("float16")
    assert exact != rounded
    np.testing.assert_allclose(rounded, exact, rtol=0, atol=0.02)


def test_ranks_with_uneven_rows_or_none_end_together_and_it_is_told(encoder: str) -> None:
    """A rank that runs out of rows goes on with empty batches: nobody waits for it."""
    whole, valid = review_rows(200), review_rows(60, seed=9)
    shares = [whole.take(np.arange(0, 150)), whole.take(np.arange(150, 200)), whole.take(np.arange(0))]
    tasks = [classifier(encoder) for _ in range(3)]

    def work(comm) -> tuple[str, Trained]:  # type: ignore[no-untyped-def]
        told = describe_rows({"train": shares[comm.rank], "valid": valid}, comm)
        return told, Loop(tasks[comm.rank], settings(epochs=3), comm, CPU).fit([shares[comm.rank]], valid)

    found = run_threads(3, work)
    assert {told for told, _ in found} == {found[0][0]}
    assert found[0][0].startswith("200 train rows, 180 valid rows (150, 50, 0 to train on by rank); ranks without any")
    assert found[0][0].endswith("[2]")
    assert len({tuple(trained.losses) for _, trained in found}) == 1
    assert found[2][1].metrics["accuracy"] > 0.9
