"""What is written for the ranks is what the tokenizer gives, in a form that petastorm reads."""

from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from attune.training.tokenise import num_files, token_bytes
from models.tiny_bert import tiny_tokenizer


def test_token_bytes_are_little_endian_int32(tmp_path: Path) -> None:
    tiny_tokenizer().save(str(tmp_path / "tokenizer.json"))
    texts = pd.Series(["the red mug", "qqq", "great"], index=[5, 6, 7])
    found = token_bytes(texts, str(tmp_path / "tokenizer.json"), 16)
    assert found.index.tolist() == [5, 6, 7]
    assert np.frombuffer(found[5], "<i4").tolist() == tiny_tokenizer().encode("the red mug").ids
    assert found[6] == b""


@given(st.integers(1, 10**9), st.integers(1, 64))
def test_every_rank_gets_the_same_number_of_files(rows: int, ranks: int) -> None:
    files = num_files(rows, ranks)
    assert files % ranks == 0
    assert files >= 4 * ranks
    assert rows / files <= 50_000
