"""A vocabulary learned twice is the same one, and reads any language."""

import random
import subprocess
import sys

import pytest
from tokenizers import Tokenizer

from attune.errors import InputError, SettingsError
from attune.training.masking import SPECIAL
from attune.training.vocabulary import learn_vocabulary

TEXTS = [
    "The lamp and the lamps are lovely", "a lovely lamp for the table", "tables and chairs, chairs and tables",
    "Größe und Farbe der Lampe, große Lampen", "качественная лампа и стол", "好用的灯，很好用", "灯很好", "とても良いランプです",
] * 3  # fmt: skip


def test_vocabulary_does_not_depend_on_order_or_process() -> None:
    once = learn_vocabulary(TEXTS, 150).to_str()
    shuffled = list(TEXTS)
    random.Random(5).shuffle(shuffled)
    assert learn_vocabulary(shuffled, 150).to_str() == once
    script = f"from attune.training.vocabulary import learn_vocabulary; print(learn_vocabulary({TEXTS!r}, 150).to_str(), end='')"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, encoding="utf-8")
    assert done.stdout == once


def test_frequent_words_become_one_piece_and_every_language_is_read() -> None:
    tokenizer = learn_vocabulary(TEXTS, 250)
    assert {tokenizer.token_to_id(token) for token in SPECIAL} == {0, 1, 2, 3, 4}
    assert tokenizer.encode("the lamps").tokens == ["[CLS]", "the", "lamps", "[SEP]"]
    assert tokenizer.encode("灯很好").tokens == ["[CLS]", "灯", "很", "好", "[SEP]"]
    for text in TEXTS:
        assert "[UNK]" not in tokenizer.encode(text).tokens
    assert tokenizer.encode("ж☃").tokens == ["[CLS]", "[UNK]", "[SEP]"]
    assert tokenizer.get_vocab_size() <= 250
    again = Tokenizer.from_str(tokenizer.to_str())
    assert again.decode(again.encode("große lampen").ids) == "große lampen"


def test_pairs_are_told_apart_as_bert_has_it() -> None:
    found = learn_vocabulary(TEXTS, 250).encode("the", "lamps")
    assert found.tokens == ["[CLS]", "the", "[SEP]", "lamps", "[SEP]"]
    assert found.type_ids == [0, 0, 0, 1, 1]


def test_pieces_are_those_of_the_most_frequent_pairs() -> None:
    """By hand: of the pairs in aab x 3 and ab x 2, a+##b occurs 2, ##a+##b 3, a+##a 3; ##a+##b has the lower ids."""
    tokenizer = learn_vocabulary(["aab ab"] * 2 + ["aab"], 9)
    assert sorted(set(tokenizer.get_vocab()) - set(SPECIAL)) == ["##a", "##b", "a", "b"]
    assert set(learn_vocabulary(["aab ab"] * 2 + ["aab"], 10).get_vocab()) - set(tokenizer.get_vocab()) == {"##ab"}


def test_case_and_accents_stay_where_asked() -> None:
    assert "Größe" in learn_vocabulary(TEXTS, 400, lowercase=False).encode("Größe").tokens
    assert "grosse" not in learn_vocabulary(TEXTS, 400, strip_accents=True).encode("Größe").tokens
    assert learn_vocabulary(TEXTS, 400, strip_accents=True).normalizer.normalize_str("Größe") == "große"


def test_rare_characters_teach_nothing() -> None:
    tokenizer = learn_vocabulary(["aaa bbb"] * 5 + ["ccc"], 40, max_characters=2)
    assert not [piece for piece in tokenizer.get_vocab() if "c" in piece.strip("[]")]


def test_texts_without_words_and_too_small_a_size_are_refused() -> None:
    with pytest.raises(InputError, match="text column"):
        learn_vocabulary([" ", ""], 100)
    with pytest.raises(SettingsError, match="max_characters"):
        learn_vocabulary(TEXTS, 20, max_characters=1000)
