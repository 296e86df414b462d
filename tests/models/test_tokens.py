"""A text reaches the model as the tokens it was trained on, whatever its length."""

import numpy as np
import pytest

from attune.models.tokens import Ragged, TextEncoder
from models.tiny_bert import tiny_tokenizer

CLS, SEP = 2, 3


def test_short_text_equals_the_tokenizers_own_ids() -> None:
    ids = TextEncoder(tiny_tokenizer(), 16).encode(["the red lamp is great"])[0]
    assert ids.tolist() == tiny_tokenizer().encode("the red lamp is great").ids
    assert ids.dtype == np.int32


def test_long_text_keeps_beginning_and_end() -> None:
    words = ["red"] * 50 + ["blue"] * 50
    red, blue = (tiny_tokenizer().token_to_id(w) for w in ("red", "blue"))
    ids = TextEncoder(tiny_tokenizer(), 10).encode([" ".join(words)])[0]
    assert ids.tolist() == [CLS] + [red] * 4 + [blue] * 4 + [SEP]


def test_a_huge_text_costs_no_more_than_a_long_one() -> None:
    ids = TextEncoder(tiny_tokenizer(), 10).encode(["red " * 1_000_000 + "blue"])[0]
    assert len(ids) == 10
    assert ids[-2] == tiny_tokenizer().token_to_id("blue")


@pytest.mark.parametrize("text", ["", " ", "qqq zzz", "🦄🦄"])
def test_text_without_a_known_word_has_no_tokens(text: str) -> None:
    assert len(TextEncoder(tiny_tokenizer(), 16).encode([text])[0]) == 0


def test_a_pair_equals_the_tokenizers_own_ids() -> None:
    pairs = TextEncoder(tiny_tokenizer(), 16).encode_pairs(["the red lamp", "qqq"], ["great", "great"])
    assert pairs[0].tolist() == tiny_tokenizer().encode("the red lamp", "great").ids
    assert len(pairs[1]) == 0


@pytest.mark.parametrize(
    ("firsts", "seconds", "kept"), [(50, 50, (4, 5)), (2, 50, (2, 7)), (50, 3, (6, 3)), (4, 5, (4, 5))]
)
def test_a_long_pair_shares_the_room(firsts: int, seconds: int, kept: tuple[int, int]) -> None:
    red, blue = (tiny_tokenizer().token_to_id(w) for w in ("red", "blue"))
    (ids,) = TextEncoder(tiny_tokenizer(), 12).encode_pairs(["red " * firsts], ["blue " * seconds])
    assert ids.tolist() == [CLS] + [red] * kept[0] + [SEP] + [blue] * kept[1] + [SEP]


def test_padded_rows() -> None:
    ragged = Ragged.of([np.array([1, 2, 3]), np.array([4]), np.array([], np.int32)])
    ids, mask = ragged.padded(np.array([1, 0]), pad_id=9)
    assert ids.tolist() == [[4, 9, 9], [1, 2, 3]]
    assert mask.tolist() == [[1, 0, 0], [1, 1, 1]]
    assert ragged.take(np.array([2, 0])).lengths.tolist() == [0, 3]
    assert ragged.padded(np.array([], np.int64), 0)[0].shape == (0, 0)
