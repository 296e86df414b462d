"""What a feature is, and the formulas that several tables share."""

from collections.abc import Sequence
from dataclasses import dataclass

WINDOWS_DAYS = (1, 7, 30, 90)
"""Lengths of the windows, in whole days (UTC) that end with the day before the date."""
HALF_LIVES_DAYS = (7, 30)
"""Ages at which an action counts half in a decayed count."""
RATE_PRIOR = 20
"""Trials' worth of the overall rate that a rate is smoothed towards."""
RATING_PRIOR = 5
"""Reviews' worth of the overall mean that an item's mean rating is smoothed towards."""
MONEY_DIGITS = 1e6
"""Sums of money are told in multiples of one by this."""


@dataclass(frozen=True)
class Feature:
    """One feature, and how it is computed in Spark SQL (ANSI mode).

    ``sql`` is an aggregate over the daily rows before the date, where ``age`` is 1 for the day before it; or, with
    ``after`` set, a formula over the aggregates of the table. It is empty where code computes the column.
    """

    name: str
    type: str
    unit: str
    window: str
    meaning: str
    sql: str = ""
    after: bool = False
    ranking: bool = True

    @property
    def told(self) -> str:
        """Meaning, window and unit in one line."""
        return f"{self.meaning}; window: {self.window}; unit: {self.unit}"


def in_days(measure: str, days: int) -> str:
    """Sum of a measure over the last days before the date."""
    return f"sum(if(age <= {days}, {measure}, 0))"


def counts(name: str, measure: str, meaning: str, days: Sequence[int], ranking: bool = True) -> tuple[Feature, ...]:
    """A count over each of some windows, named ``<name>_<days>d``."""
    return tuple(
        Feature(f"{name}_{d}d", "int", "count", _days(d), meaning, in_days(measure, d), ranking=ranking) for d in days
    )


def money(name: str, meaning: str) -> tuple[Feature, ...]:
    """Purchases less the refunds that undo one, over each window."""
    return tuple(
        Feature(
            f"{name}_{d}d", "double", "currency", _days(d), meaning,
            rounded(f"sum(if(age <= {d}, value_matched, 0D))"), ranking=d in (30, 90),
        )
        for d in WINDOWS_DAYS
    )  # fmt: skip


def decayed(name: str, measure: str, meaning: str, half_lives: Sequence[int] = HALF_LIVES_DAYS) -> tuple[Feature, ...]:
    """Counts in which each action weighs 0.5 ** (days since / half-life), named ``<name>_decayed_<half-life>d``."""
    return tuple(
        Feature(
            f"{name}_decayed_{h}d", "double", "count", f"ever, half-life {h} days",
            f"{meaning}, each halved every {h} days", f"sum({measure} * decay_{h}d)",
        )
        for h in half_lives
    )  # fmt: skip


def rate(
    name: str, successes: str, trials: str, given: str, meaning: str, without: str = "", ranking: bool = True
) -> Feature:
    """A share smoothed towards the overall one as of the date; null where ``given`` is 0, told by ``without``."""
    smoothed = f"({successes} + {RATE_PRIOR} * overall_{name}) / ({trials} + {RATE_PRIOR})"
    sql = f"if({given} > 0, {smoothed}, NULL)"
    told = f"{meaning}, with {RATE_PRIOR} trials of the overall rate added"
    told += f"; null without {without}" if without else ""
    return Feature(name, "double", "share", "ever", told, sql, after=True, ranking=ranking)


def ratio(name: str, top: str, bottom: str, unit: str, meaning: str, ranking: bool = True) -> Feature:
    """A ratio of two sums; null where the second is 0."""
    return Feature(name, "double", unit, "ever", meaning, f"try_divide({top}, {bottom})", after=True, ranking=ranking)


def rounded(money_sql: str) -> str:
    """A sum of money without the last bits that its addends were rounded to."""
    return f"rint({money_sql} * {MONEY_DIGITS:.0f}D) / {MONEY_DIGITS:.0f}D"


def days_to(as_of: str, micros: str) -> str:
    """Days from a time in microseconds to the start of a date, with the part of a day."""
    return f"(unix_micros(timestamp({as_of})) - {micros}) / 8.64e10"


def _days(days: int) -> str:
    return "1 day" if days == 1 else f"{days} days"
