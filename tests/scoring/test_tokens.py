"""Texts become token ids before anything is scored: those of training, null for no text, none for an unknown one."""

import numpy as np
import pandas as pd
import pytest

from attune.models.tokens import Ragged, TextEncoder
from attune.scoring.tokens import token_bytes
from models.tiny_bert import tiny_tokenizer


@pytest.fixture
def encoder() -> TextEncoder:
    return TextEncoder(tiny_tokenizer(), 16)


def test_ids_are_those_of_training(encoder: TextEncoder) -> None:
    texts = ["great mug", "the lamp is broken " * 9]
    found = token_bytes(encoder, pd.Series(texts, index=[7, 3]))
    assert found.index.tolist() == [7, 3]
    ragged = Ragged.from_bytes(found.tolist())
    for number, ids in enumerate(encoder.encode(texts)):
        np.testing.assert_array_equal(ragged.flat[ragged.offsets[number] : ragged.offsets[number + 1]], ids)
    pair = token_bytes(encoder, pd.Series(["red mug"]), pd.Series(["blue cup"]))
    np.testing.assert_array_equal(np.frombuffer(pair[0], "<i4"), encoder.encode_pairs(["red mug"], ["blue cup"])[0])


def test_nothing_unknown_and_equal_texts_are_told_apart(encoder: TextEncoder) -> None:
    found = token_bytes(encoder, pd.Series(["red mug", None, " \n", "🦄", " red mug ", "Red\tMUG"], dtype=object))
    assert found[1] is None
    assert found[2] is None
    assert found[3] == b""
    assert found[0] == found[4] == found[5] != b"", "texts that read the same are scored once"
    assert token_bytes(encoder, pd.Series([None, None], dtype=object)).isna().all()
    assert len(token_bytes(encoder, pd.Series([], dtype=object))) == 0


def test_a_pair_needs_both_texts_whatever_stands_between(encoder: TextEncoder) -> None:
    firsts, seconds = (
        pd.Series(["red\x1fmug", "red", None], dtype=object),
        pd.Series(["lamp", "", "lamp"], dtype=object),
    )
    found = token_bytes(encoder, firsts, seconds)
    np.testing.assert_array_equal(np.frombuffer(found[0], "<i4"), encoder.encode_pairs(["red mug"], ["lamp"])[0])
    assert found[1:].tolist() == [None, None]


def test_equal_texts_are_tokenised_once(encoder: TextEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    real = TextEncoder.encode
    monkeypatch.setattr(TextEncoder, "encode", lambda self, texts: seen.extend(texts) or real(self, texts))
    token_bytes(encoder, pd.Series(["red mug", "blue mug", "red mug", None, " red mug "], dtype=object))
    assert seen == ["red mug", "blue mug"]
