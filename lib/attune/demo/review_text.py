"""The text of one review: words that follow the stars, about the item's strong and weak sides."""

from dataclasses import dataclass

from attune.demo.randomness import Dice
from attune.demo.review_words import CHINESE, CHINESE_NOUNS, ENGLISH, Phrases
from attune.demo.vocabulary import Category

_CHAT_RATE = 0.45
_OFF_TOPIC_TONE_RATE = 0.08


@dataclass(frozen=True)
class Subject:
    """What a review is about: the item's category and kind, and its strong and weak aspect."""

    category: Category
    noun: str
    strength: str
    problem: str


def write_review(subject: Subject, stars: int, language: str, dice: Dice) -> tuple[str, str]:
    """Headline and body in ``en`` or ``zh``; 5 to 60 words."""
    phrases = CHINESE if language == "zh" else ENGLISH
    noun = CHINESE_NOUNS[subject.category.path] if language == "zh" else _short(subject)
    # Not everyone's words fit his stars exactly: some are a shade milder or stronger than they give.
    tone = stars if dice.uniform() >= _OFF_TOPIC_TONE_RATE else min(5, max(1, stars + dice.choose((-1, 1))))
    sentences = []
    wordiness = dice.uniform()
    if wordiness > 0.15:
        sentences.append(dice.choose(phrases.openings[tone]).replace("{item}", noun))
    sentences += _aspects(subject, tone, phrases, dice, num_sentences=1 + (wordiness > 0.4) + (wordiness > 0.75))
    if dice.uniform() < _CHAT_RATE:
        sentences.insert(int(dice.uniform() * (len(sentences) + 1)), dice.choose(phrases.asides))
    if dice.uniform() < 0.6 or len(sentences) < 2:
        sentences.append(dice.choose(phrases.closings[tone]))
    body = phrases.joiner.join(sentences)
    if len(body) < phrases.shortest:
        body = phrases.joiner.join((body, dice.choose(phrases.asides)))
    return dice.choose(phrases.headlines[tone]), body


def _aspects(subject: Subject, tone: int, phrases: Phrases, dice: Dice, num_sentences: int) -> list[str]:
    """Sentences on aspects: blame for low stars, praise for high ones, both in between."""
    others = [a for a in subject.category.aspects if a not in (subject.strength, subject.problem)]
    good = [subject.strength if dice.uniform() < 0.6 else dice.choose(others), *dice.sample(others, 2)]
    bad = [subject.problem if dice.uniform() < 0.7 else dice.choose(others), *dice.sample(others, 2)]
    praised, blamed = _balance(tone, num_sentences, dice)
    praise = [dice.choose(phrases.praise[a]) for a in dict.fromkeys(good[:praised])]
    blame = [dice.choose(phrases.complaints[a]) for a in dict.fromkeys(bad[:blamed])]
    first, second = (blame, praise) if tone <= 2 else (praise, blame)
    if first and second:
        turn, start = dice.choose(phrases.but), second[0]
        second = [turn + (start[0].lower() + start[1:] if start[:2] != "I " else start), *second[1:]]
    return first + second


def _balance(tone: int, num_sentences: int, dice: Dice) -> tuple[int, int]:
    """Numbers of praises and of complaints."""
    concession = dice.uniform()
    if tone == 3:
        return 1, 1
    if tone > 3:
        return num_sentences, int(concession < (0.45 if tone == 4 else 0.08))
    return int(concession < (0.35 if tone == 2 else 0.10)), num_sentences


def _short(subject: Subject) -> str:
    """Singular word for the item: lamp for a bedside lamp, pair for boots, set for puzzles."""
    word = subject.noun.split()[-1].lower()
    if not word.endswith("s"):
        return word
    return "pair" if subject.category.path.startswith(("Fashion", "Electronics")) else "set"
