"""The next word is learned, prompts are given and not learned."""

from pathlib import Path

import numpy as np
import pytest
import torch

from attune.models.fresh import Sizes
from attune.models.networks import write_network
from attune.models.tokens import Ragged
from attune.training.causal_language import CausalLanguage
from attune.training.communicator import SingleProcess
from attune.training.reader import Rows
from attune.training.task import take_batch
from models.tiny_bert import tiny_tokenizer
from training.examples import COLOURS, THINGS, tokens
from training.task_contract import CPU, check_contract, compare, loop_of

SIZES = Sizes(layers=2, width=32, heads=2, vocab_size=60, max_positions=16)


@pytest.fixture(scope="module")
def words_only(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("words")
    tiny_tokenizer().save(str(folder / "tokenizer.json"))
    return str(folder)


def copy_rows(num: int, seed: int = 0) -> Rows:
    """Texts "COLOUR THING and THING COLOUR": their second half follows from the first, which is the prompt."""
    rng = np.random.default_rng(seed)
    pairs = zip(rng.choice(COLOURS[:4], num), rng.choice(THINGS[:4], num), strict=True)
    texts = [f"{'the ' * int(n)}{c} {t} and {t} {c}" for (c, t), n in zip(pairs, rng.integers(0, 3, num), strict=True)]
    found = tokens(texts)
    return Rows({"tokens": found}, {"prompt_tokens": (found.lengths - 4).astype(np.int64)})


def task_of(words_only: str, has_prompts: bool = True) -> CausalLanguage:
    torch.manual_seed(0)
    return CausalLanguage(words_only, 0.0, has_prompts, SIZES)


@pytest.mark.parametrize("has_prompts", [True, False])
def test_contract(words_only: str, has_prompts: bool) -> None:
    check_contract(task_of(words_only, has_prompts), copy_rows(24))


@pytest.mark.parametrize("has_prompts", [True, False])
def test_loss_is_that_of_transformers(words_only: str, has_prompts: bool) -> None:
    task = task_of(words_only, has_prompts)
    rows = copy_rows(10)
    batch = take_batch(rows, np.arange(10), task.network.pad_id, CPU)
    ids, mask = batch.tokens["tokens"]
    carries = mask.bool()
    if has_prompts:
        carries &= torch.arange(ids.shape[1]) >= batch.values["prompt_tokens"][:, None]
    labels = torch.where(carries, ids, -100)
    task.network.eval()
    expected = float(task.network.model(input_ids=ids, attention_mask=mask, labels=labels).loss.detach())
    found = task.loss(batch, SingleProcess())
    assert found.weight == int(carries[:, 1:].sum())
    assert found.total / found.weight == pytest.approx(expected, rel=1e-5)
    metrics = loop_of(task).evaluate(rows)
    assert metrics["perplexity"] == pytest.approx(np.exp(expected), rel=1e-4)
    assert metrics["num_tokens"] == found.weight


def test_rows_that_are_all_prompt_or_one_token_carry_nothing(words_only: str) -> None:
    task = task_of(words_only)
    rows = Rows(
        {"tokens": Ragged.of([np.array([2, 7, 3]), np.array([2]), np.array([])])},
        {"prompt_tokens": np.array([3, 0, 0])},
    )
    batch = take_batch(rows, np.arange(3), 0, CPU)
    assert task.loss(batch, SingleProcess()).weight == 0
    assert task.outputs(batch).tolist() == [[0, 0]] * 3


def test_what_follows_from_the_prompt_is_learned_and_training_goes_on(words_only: str, tmp_path: Path) -> None:
    task = task_of(words_only)
    valid = copy_rows(60, seed=9)
    before = loop_of(task).evaluate(valid)
    found = loop_of(task, epochs=30, learning_rate=5e-3, head_learning_rate=5e-3).fit([copy_rows(400)], valid).metrics
    assert before["perplexity"] > 30
    assert found["perplexity"] < 1.5
    write_network(task.network, tiny_tokenizer(), 16, tmp_path)
    continued = CausalLanguage(str(tmp_path), 0.0, has_prompts=True)
    assert continued.may_stay_untrained
    compare(loop_of(continued).evaluate(valid), found)
