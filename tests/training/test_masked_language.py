"""What is hidden is what Devlin et al. hide, evaluation hides the same each time, and the words are learned."""

from pathlib import Path

import numpy as np
import pytest
import torch

from attune.errors import InputError
from attune.models.fresh import Sizes
from attune.models.networks import write_network
from attune.training.communicator import SingleProcess
from attune.training.masked_language import MaskedLanguage
from attune.training.masking import Masking, hashed_draws, random_draws
from attune.training.reader import Rows
from attune.training.task import take_batch
from models.tiny_bert import SPECIAL, WORDS, tiny_tokenizer, write_tiny_bert
from training.examples import COLOURS, THINGS, tokens
from training.task_contract import CPU, check_contract, compare, loop_of

SIZES = Sizes(layers=2, width=32, heads=2, vocab_size=len(SPECIAL) + len(WORDS), max_positions=32)


@pytest.fixture(scope="module")
def words_only(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("words")
    tiny_tokenizer().save(str(folder / "tokenizer.json"))
    return str(folder)


def pair_rows(num: int, seed: int = 0) -> Rows:
    """Texts in which each thing has its own colour, so that one tells the other."""
    rng = np.random.default_rng(seed)
    texts = [
        " ".join(f"{COLOURS[n % 8]} {THINGS[n % 8]}" for n in rng.integers(0, 8, rng.integers(1, 4)))
        for _ in range(num)
    ]
    return Rows({"tokens": tokens(texts)}, {})


def padded(rows: Rows) -> tuple[torch.Tensor, torch.Tensor]:
    return rows.tokens["tokens"].padded(np.arange(len(rows)), 0)


@pytest.mark.parametrize("draw", [random_draws, None])
def test_shares_are_those_of_the_paper(draw: object) -> None:
    masking = Masking.of(tiny_tokenizer(), 0.15)
    rng = np.random.default_rng(0)
    ids = torch.from_numpy(rng.integers(5, SIZES.vocab_size, (400, 102)))
    ids[:, 0], ids[:, -1] = 2, 3
    mask = torch.ones_like(ids)
    torch.manual_seed(0)
    shown, hidden = masking.hide(ids, mask, random_draws(ids) if draw else hashed_draws(ids, mask))
    assert hidden.sum(1).tolist() == [15] * 400
    assert not hidden[:, [0, -1]].any()
    assert torch.equal(shown[~hidden], ids[~hidden])
    share_masked = float((shown[hidden] == 4).float().mean())
    share_kept = float((shown[hidden] == ids[hidden]).float().mean())
    assert share_masked == pytest.approx(0.8, abs=0.02)
    # One random word in 51 is the word itself.
    assert share_kept == pytest.approx(0.1 + 0.1 / 51, abs=0.02)
    replaced = shown[hidden & (shown != 4) & (shown != ids)]
    assert replaced.min() >= 5
    assert len(replaced.unique()) == len(WORDS)
    assert hidden.float().mean(0)[1:-1].std() < 0.03


def test_a_short_text_hides_one_token_and_a_text_of_special_tokens_none() -> None:
    ids = torch.tensor([[2, 9, 3, 0, 0], [2, 3, 0, 0, 0], [2, 1, 9, 9, 3]])
    mask = (ids != 0).long()
    _, hidden = Masking.of(tiny_tokenizer(), 0.15).hide(ids, mask, hashed_draws(ids, mask))
    assert hidden[0].tolist() == [False, True, False, False, False]
    assert hidden.sum(1).tolist() == [1, 0, 1]
    assert not hidden[2, 1]


def test_evaluation_masks_depend_on_the_row_alone_and_training_masks_on_the_seed() -> None:
    masking = Masking.of(tiny_tokenizer(), 0.3)
    ids, mask = padded(pair_rows(30))
    shown, hidden = masking.hide(ids, mask, hashed_draws(ids, mask))
    wide_ids, wide_mask = (torch.nn.functional.pad(t, (0, 7)) for t in (ids, mask))
    wide_shown, wide_hidden = masking.hide(wide_ids, wide_mask, hashed_draws(wide_ids, wide_mask))
    assert torch.equal(wide_shown[:, : ids.shape[1]], shown)
    assert torch.equal(wide_hidden[:, : ids.shape[1]], hidden)
    assert len({tuple(row.nonzero()[:, 0].tolist()) for row in hidden[mask.sum(1) == mask.sum(1).max()]}) > 3
    torch.manual_seed(3)
    first, second = random_draws(ids), random_draws(ids)
    torch.manual_seed(3)
    assert torch.equal(random_draws(ids), first)
    assert not torch.equal(first, second)


def test_a_tokenizer_without_a_mask_is_refused() -> None:
    from tokenizers import Tokenizer, models

    with pytest.raises(InputError, match=r"\[MASK\]"):
        Masking.of(Tokenizer(models.WordPiece({"[UNK]": 0}, unk_token="[UNK]")), 0.15)


def test_contract(words_only: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    task = MaskedLanguage(words_only, 0.0, 0.3, SIZES)
    # Random masks would differ between one rank and several.
    monkeypatch.setattr(task, "_draws", hashed_draws)
    check_contract(task, pair_rows(21))


def test_loss_and_metrics_by_hand(words_only: str, monkeypatch: pytest.MonkeyPatch) -> None:
    task = MaskedLanguage(words_only, 0.0, 0.3, SIZES)
    task.network.eval()
    rows = pair_rows(10)
    ids, mask = padded(rows)
    shown, hidden = task._masking.hide(ids, mask, hashed_draws(ids, mask))
    logits = task.network(shown, mask, torch.ones_like(hidden)).detach().reshape(*ids.shape, -1)
    mean = torch.nn.functional.cross_entropy(logits[hidden], ids[hidden])
    accuracy = (logits.argmax(-1) == ids)[hidden].float().mean()
    found = loop_of(task).evaluate(rows)
    expected = {
        "num": 10.0, "num_tokens": float(hidden.sum()), "log_likelihood": -float(mean),
        "perplexity": float(mean.exp()), "accuracy": float(accuracy),
    }  # fmt: skip
    compare(found, expected)
    monkeypatch.setattr(task, "_draws", hashed_draws)
    loss = task.loss(take_batch(rows, np.arange(10), task.network.pad_id, CPU), SingleProcess())
    assert loss.total / loss.weight == pytest.approx(float(mean), rel=1e-5)


def test_colours_of_things_are_learned_from_nothing_and_training_goes_on(words_only: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    task = MaskedLanguage(words_only, 0.0, 0.15, SIZES)
    assert not task.may_stay_untrained
    valid = pair_rows(100, seed=9)
    before = loop_of(task).evaluate(valid)
    found = loop_of(task, epochs=30, learning_rate=4e-3, head_learning_rate=4e-3).fit([pair_rows(700)], valid).metrics
    assert before["perplexity"] > 25
    assert found["perplexity"] < 3
    assert found["accuracy"] > 0.8
    write_network(task.network, tiny_tokenizer(), 16, tmp_path)
    continued = MaskedLanguage(str(tmp_path), 0.0, 0.15)
    assert continued.may_stay_untrained
    compare(loop_of(continued).evaluate(valid), found)


def test_an_encoder_without_a_head_gets_a_new_one(tmp_path: Path) -> None:
    task = MaskedLanguage(write_tiny_bert(tmp_path), 0.0)
    assert not task.may_stay_untrained
    assert loop_of(task).evaluate(pair_rows(20))["perplexity"] > 25
