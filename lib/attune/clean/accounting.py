"""No row is lost: rows read = kept + quarantined + duplicates dropped + of forgotten users, checked before publishing."""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from attune.clean.redact import redact
from attune.errors import InputError
from attune.inputs import FILE, REASONS, file_day, raw_text
from attune.tables import conform

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

NO_CONSENT = "user did not consent"
BOT = "user acts like a bot"
NOT_YET = ("event_ts is not before as_of", "review_ts is not before as_of")
_EXCUSED = {NO_CONSENT, BOT, *NOT_YET}
"""Reasons that are no fault of the input, and do not count towards the share that may be refused."""


@dataclass(frozen=True)
class Account:
    """What became of the rows of one input. Counts are rows of the input."""

    rows_read: int
    rows_kept: int
    rows_quarantined: int
    duplicates_dropped: int
    rows_forgotten: int = 0
    """Of users that the job forget erased: dropped, not kept in quarantine."""

    def check(self, source: str) -> None:
        """Raise InputError unless the account balances."""
        found = self.rows_kept + self.rows_quarantined + self.duplicates_dropped + self.rows_forgotten
        if found != self.rows_read:
            raise InputError(
                f"input {source}: {self.rows_read} rows were read, but {found} were accounted for ({asdict(self)}); "
                "did its files change while they were read?"
            )


@dataclass(frozen=True)
class Refusals:
    """Refused rows of one input: how many, by reason (a row with two reasons counts in both), and how many excused."""

    rows: int
    by_reason: dict[str, int]
    excused: int


def count_refusals(refused: "DataFrame") -> Refusals:
    """Count refused rows; column REASONS."""
    from pyspark.sql import functions as F

    combinations = refused.groupBy(F.array_sort(REASONS).alias("reasons")).count().collect()
    return refusals_of({tuple(row["reasons"]): row["count"] for row in combinations})


def refusals_of(by_reasons: Mapping[tuple[str, ...], int]) -> Refusals:
    """Refusals from the number of rows that were refused for just these reasons."""
    by_reason: Counter[str] = Counter()
    for reasons, count in by_reasons.items():
        by_reason.update(dict.fromkeys(reasons, count))
    excused = sum(count for reasons, count in by_reasons.items() if set(reasons) <= _EXCUSED)
    return Refusals(sum(by_reasons.values()), dict(by_reason), excused)


def check_share(
    source: str,
    account: Account,
    refusals: Refusals,
    limit: float,
    setting: str,
    empty_columns: Callable[[], dict[str, str]],
) -> None:
    """Raise InputError where too large a share of an input is refused, or nothing of it is left.

    Args:
        empty_columns: finds the columns without a value in any row, with their expressions; called only for the error.
    """
    by_count = sorted(refusals.by_reason.items(), key=lambda reason: -reason[1])
    told = ", ".join(f"{why}: {count:,}" for why, count in by_count[:4])
    if account.rows_read == 0:
        raise InputError(f"input {source} is empty; mend inputs.{source}.path or leave the input out")
    if account.rows_quarantined == account.rows_read:
        absent = "".join(
            f"; no row has a {column}: is {text} absent or renamed? mend inputs.{source}.columns.{column}"
            for column, text in empty_columns().items()
            if any(why.startswith(column) for why in refusals.by_reason)
        )
        raise InputError(f"input {source}: none of {account.rows_read:,} rows can be kept ({told}){absent}")
    share = (refusals.rows - refusals.excused) / account.rows_read
    if share > limit:
        raise InputError(
            f"input {source}: {share:.1%} of {account.rows_read:,} rows are refused, over the limit of {limit:.1%} ({told}); "
            f"mend the input or its mapping, or raise {setting}"
        )


def to_quarantine(refused: "DataFrame", source: str, as_of: dt.date) -> "DataFrame":
    """Table quarantine: refused rows as they were read, personal data redacted."""
    from pyspark.sql import functions as F

    return conform(
        refused.select(
            F.lit(source).alias("source"),
            F.col(FILE).alias("file"),
            redact(raw_text()).alias("raw"),
            F.array_sort(REASONS).alias("reasons"),
            F.coalesce(file_day(F.col(FILE)), F.lit(as_of - dt.timedelta(days=1))).alias("ds"),
        ),
        "quarantine",
    )
