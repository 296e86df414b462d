"""What is written for the ranks is what the tokenizer gives, in a form that petastorm reads."""

from pathlib import Path

import numpy as np
import pandas as pd

from attune.training.tokenise import token_bytes
from models.tiny_bert import tiny_tokenizer


def test_token_bytes_are_little_endian_int32(tmp_path: Path) -> None:
    tiny_tokenizer().save(str(tmp_path / "tokenizer.json"))
    texts = pd.Series(["the red mug", "qqq", "great"], index=[5, 6, 7])
    found = token_bytes(texts, str(tmp_path / "tokenizer.json"), 16)
    assert found.index.tolist() == [5, 6, 7]
    assert np.frombuffer(found[5], "<i4").tolist() == tiny_tokenizer().encode("the red mug").ids
    assert found[6] == b""
