"""Learn a WordPiece vocabulary, for a BERT of one's own in any language."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from attune.errors import InputError, SettingsError
from attune.training.masking import SPECIAL

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from tokenizers.normalizers import Normalizer

_CONTINUES = "##"
_MAX_CHARS_PER_WORD = 100


def learn_vocabulary(
    texts: Iterable[str], vocab_size: int, lowercase: bool = True, strip_accents: bool = False,
    min_frequency: int = 2, max_characters: int | None = None,
) -> "Tokenizer":  # fmt: skip
    """WordPiece tokenizer with at most ``vocab_size`` pieces, learned from texts (Schuster and Nakajima 2012).

    Normalised as for BERT: Chinese characters stand alone, so no word segmentation is needed. Pieces come from pairs
    that occur ``min_frequency`` times. Words with a character that is not among the ``max_characters`` most frequent
    ones teach nothing; by default characters take up half of the vocabulary at most, for Chinese has thousands. The same
    texts, in any order, give the same tokenizer.

    Raises InputError where the texts hold no word, SettingsError where the characters alone exceed ``vocab_size``.
    """
    counts = _word_counts(texts, lowercase, strip_accents)
    if max_characters is None:
        max_characters = max(1, (vocab_size - len(SPECIAL)) // 2)
    counts, first, later = _with_known_characters(counts, max_characters)
    if not counts:
        raise InputError("a vocabulary was to be learned from texts without words: check the text column")
    num_characters = len(SPECIAL) + len(first | later) + len(later)
    if num_characters > vocab_size:
        raise SettingsError(
            f"vocab_size {vocab_size} has no room for the special tokens and single characters, {num_characters} pieces: "
            f"raise it, or lower max_characters (now {max_characters})"
        )
    vocabulary = _train(counts, later, vocab_size, min_frequency)
    return _bert_tokenizer(vocabulary, lowercase, strip_accents)


def _word_counts(texts: Iterable[str], lowercase: bool, strip_accents: bool) -> Counter[str]:
    """How often each word of the normalised texts occurs; words too long for WordPiece left out."""
    from tokenizers import pre_tokenizers

    normalizer, split = _normalizer(lowercase, strip_accents), pre_tokenizers.BertPreTokenizer()
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(word for word, _ in split.pre_tokenize_str(normalizer.normalize_str(text)))
    return Counter({word: count for word, count in counts.items() if len(word) <= _MAX_CHARS_PER_WORD})


def _with_known_characters(
    counts: Counter[str], max_characters: int
) -> tuple[Counter[str], set[str], set[str]]:  # fmt: skip
    """Words of the most frequent characters (ties: the lower code point), and the characters at their start and after."""
    characters: Counter[str] = Counter()
    for word, count in counts.items():
        for character in word:
            characters[character] += count
    known = set(sorted(characters, key=lambda c: (-characters[c], c))[:max_characters])
    kept = Counter({word: count for word, count in counts.items() if known.issuperset(word)})
    return kept, {word[0] for word in kept}, {c for word in kept for c in word[1:]}


def _train(counts: Counter[str], later: set[str], vocab_size: int, min_frequency: int) -> dict[str, int]:
    """Pieces with their ids.

    The library numbers the pieces ``##c`` in the order in which its hash table yields the words, which differs from run
    to run, and breaks ties between pairs by these numbers. Given as special tokens they have numbers from the start.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    trained = Tokenizer(models.WordPiece({}, unk_token="[UNK]"))
    trained.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size, min_frequency=min_frequency, show_progress=False, continuing_subword_prefix=_CONTINUES,
        special_tokens=[*SPECIAL, *(f"{_CONTINUES}{character}" for character in sorted(later))],
    )  # fmt: skip
    trained.train_from_iterator(_repeated(counts), trainer)
    return trained.get_vocab()


def _repeated(counts: Counter[str], words_per_text: int = 1000) -> Iterator[str]:
    """Texts in which each word occurs as often as counted."""
    for word in sorted(counts):
        for start in range(0, counts[word], words_per_text):
            yield " ".join([word] * min(words_per_text, counts[word] - start))


def _normalizer(lowercase: bool, strip_accents: bool) -> "Normalizer":
    from tokenizers import normalizers

    bert = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=True, strip_accents=strip_accents, lowercase=lowercase
    )
    return normalizers.Sequence([normalizers.NFC(), bert])


def _bert_tokenizer(vocabulary: dict[str, int], lowercase: bool, strip_accents: bool) -> "Tokenizer":
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=_MAX_CHARS_PER_WORD))
    tokenizer.normalizer = _normalizer(lowercase, strip_accents)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix=_CONTINUES)
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")],
    )  # fmt: skip
    return tokenizer
