"""The loop learns, keeps the best epoch, repeats itself under a seed, and stops on nonsense."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attune.errors import SettingsError
from attune.training.classification import Classification
from attune.training.communicator import SingleProcess
from attune.training.loop import Loop, Trained
from attune.training.matching import Matching
from attune.training.plan import LoopSettings, learning_rate_factor, pad_epochs
from attune.training.progress import Progress
from models.tiny_bert import write_tiny_bert
from training.examples import match_rows, review_rows

CPU = torch.device("cpu")


def settings(**changed: object) -> LoopSettings:
    values = {
        "epochs": 4, "tokens_per_batch": 256, "learning_rate": 2e-3, "head_learning_rate": 1e-2, "warmup_share": 0.1,
        "weight_decay": 0.01, "max_grad_norm": 1.0, "frozen_layers": 0, "precision": "float32", "seed": 3,
    }  # fmt: skip
    return LoopSettings(**{**values, **changed})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_tiny_bert(tmp_path_factory.mktemp("bert"))


def classify(encoder: str, **changed: object) -> tuple[Trained, Classification]:
    torch.manual_seed(1)
    task = Classification(encoder, ["negative", "positive"], dropout=0.1, label_smoothing=0.0)
    loop = Loop(task, settings(**changed), SingleProcess(), CPU)
    return loop.fit([review_rows(300)], review_rows(80, seed=9)), task


def test_classifier_learns_and_repeats_itself(encoder: str) -> None:
    first, task = classify(encoder)
    again, same = classify(encoder)
    assert first.metrics["accuracy"] > 0.95
    assert first.losses == again.losses
    for name, value in task.network.state_dict().items():
        assert torch.equal(value, same.network.state_dict()[name])
    assert classify(encoder, seed=4)[0].losses != first.losses


def test_weights_kept_are_those_of_the_best_epoch(encoder: str) -> None:
    trained, task = classify(encoder)
    best = max(epoch["accuracy"] for epoch in trained.epochs[1:])
    assert trained.metrics["accuracy"] == best == trained.epochs[trained.best_epoch]["accuracy"]
    loop = Loop(task, settings(), SingleProcess(), CPU)
    assert loop.evaluate(review_rows(80, seed=9))["accuracy"] == best


def test_matching_finds_more_pairs_than_before(encoder: str) -> None:
    torch.manual_seed(1)
    task = Matching(encoder, temperature=0.1, dropout=0.0)
    trained = Loop(task, settings(epochs=3), SingleProcess(), CPU).fit([match_rows(400)], match_rows(100, seed=9))
    assert trained.best_epoch > 0
    assert trained.metrics["recall@10"] > trained.epochs[0]["recall@10"] + 0.2


def test_matching_that_does_not_help_keeps_the_untrained_weights(encoder: str) -> None:
    task = Matching(encoder, temperature=0.1, dropout=0.0)
    before = {name: value.clone() for name, value in task.network.state_dict().items()}
    useless = match_rows(100)
    shuffled = dict(useless.tokens) | {
        "target": useless.tokens["target"].take(np.random.default_rng(0).permutation(100))
    }
    rows = type(useless)(shuffled, useless.values)
    loop = Loop(task, settings(epochs=1, learning_rate=0.5), SingleProcess(), CPU)
    trained = loop.fit([rows], match_rows(60, seed=9))
    assert trained.best_epoch == 0
    for name, value in task.network.state_dict().items():
        assert torch.equal(value, before[name])


def test_frozen_layers_do_not_move(encoder: str) -> None:
    torch.manual_seed(1)
    task = Classification(encoder, ["negative", "positive"], dropout=0.0, label_smoothing=0.0)
    before = {name: value.clone() for name, value in task.network.state_dict().items()}
    Loop(task, settings(epochs=1, frozen_layers=1), SingleProcess(), CPU).fit([review_rows(50)], review_rows(20))
    moved = {name for name, value in task.network.state_dict().items() if not torch.equal(value, before[name])}
    assert moved
    assert all(name.startswith(("encoder.encoder.layer.1.", "head.")) for name in moved)


def test_divergence_is_an_error_that_names_the_mend(encoder: str) -> None:
    torch.manual_seed(1)
    task = Classification(encoder, ["negative", "positive"], dropout=0.0, label_smoothing=0.0)
    with torch.no_grad():
        task.network.head.weight.fill_(float("nan"))
    with pytest.raises(SettingsError, match="learning_rate"):
        Loop(task, settings(), SingleProcess(), CPU).fit([review_rows(50)], review_rows(20))


def test_outputs_come_in_the_order_of_the_rows(encoder: str) -> None:
    task = Classification(encoder, ["negative", "positive"], dropout=0.0, label_smoothing=0.0)
    loop, rows = Loop(task, settings(), SingleProcess(), CPU), review_rows(40)
    one_by_one = np.concatenate([loop.predict(rows.take(np.array([i]))) for i in range(40)])
    np.testing.assert_allclose(loop.predict(rows), one_by_one, atol=1e-6)
    assert loop.predict(rows.take(np.array([], np.int64))).shape == (0, 2)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=4))
def test_padded_plan_has_equal_steps_and_every_batch_once(sizes: list[int]) -> None:
    steps = max(sizes)
    for size in sizes:
        (padded,) = pad_epochs([[np.array([i]) for i in range(size)]], [steps])
        assert len(padded) == steps
        assert [int(batch[0]) for batch in padded if len(batch)] == list(range(size))


def test_learning_rate_rises_then_falls_to_nearly_nothing() -> None:
    factors = [learning_rate_factor(step, 100, 0.1) for step in range(100)]
    assert factors[0] == 0.1
    assert factors[9] == 1.0
    assert np.all(np.diff(factors[:10]) > 0)
    assert np.all(np.diff(factors[10:]) < 0)
    assert 0 < factors[-1] < 0.02


def test_progress_tells_speed_and_time_left() -> None:
    now, lines = [0.0], []
    progress = Progress(10, lines.append, every_seconds=10, clock=lambda: now[0])
    for _ in range(5):
        now[0] += 4
        progress.step(0.5, rows=8, tokens=100)
    assert lines == ["step 3 of 10: loss 0.5000, 2 examples/s, 25 tokens/s, 28 s left"]
