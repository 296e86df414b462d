"""Words of a text as a Spark column, for descriptions that people read."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import Column

MIN_LETTERS = 3

_COMMON = frozenset(
    "the and for are but not you all any can had her was one our out has him his how its may new now old see two way "
    "who did get got let put say she too use with this that they have from were been their what when your said each "
    "which will would there could other than then them these some into more very just also only over such after about "
    "before because being does doing done down during even ever every few here itself make made many might most much "
    "must never off often once onto own same should since still though through thus under until upon used using well "
    "while where whose why within without yet really set quot amp item product bought buy one's i've it's don't can't "
    "didn't doesn't isn't wasn't won't wouldn't couldn't i'm that's am an as at be by do go he if in is it me my no of "
    "on or so to up us we a i".split()
)
"""English words that carry no topic."""


def distinct_words(text: "Column") -> "Column":
    """Distinct lower-case words of three letters or more without the commonest; pairs of Chinese characters as words."""
    from pyspark.sql import functions as F

    lower = F.lower(F.coalesce(text, F.lit("")))
    latin = F.split(F.regexp_replace(lower, r"[^\p{IsLatin}'’]+", " "), " ")
    latin = F.filter(latin, lambda word: (F.length(word) >= MIN_LETTERS) & ~word.isin(*sorted(_COMMON)))
    runs = F.filter(F.split(F.regexp_replace(lower, r"[^\p{IsHan}]+", " "), " "), lambda run: F.length(run) >= 2)
    pairs = F.transform(
        runs,
        lambda run: F.transform(F.sequence(F.lit(1), F.length(run) - 1), lambda i: F.substring(run, i, F.lit(2))),
    )
    return F.array_distinct(F.concat(latin, F.flatten(pairs)))
