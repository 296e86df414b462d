"""No row is lost: rows read = rows kept + rows quarantined + duplicates dropped, checked before publishing."""

import datetime as dt
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from attune.clean.text import redact
from attune.errors import InputError
from attune.inputs import FILE, RAW, REASONS
from attune.tables import conform

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

VERDICT = "_verdict"
KEPT, REFUSED, DUPLICATE = "kept", "refused", "duplicate"


@dataclass(frozen=True)
class Account:
    """What became of the rows of one input. Counts are rows of the input."""

    rows_read: int
    rows_kept: int
    rows_quarantined: int
    duplicates_dropped: int

    def check(self, source: str) -> None:
        """Raise InputError unless the account balances."""
        found = self.rows_kept + self.rows_quarantined + self.duplicates_dropped
        if found != self.rows_read:
            raise InputError(
                f"input {source}: {self.rows_read} rows were read, but {found} were accounted for ({asdict(self)}); "
                "did its files change while they were read?"
            )


def check_share(
    source: str,
    account: Account,
    reasons: dict[str, int],
    excused: int,
    limit: float,
    setting: str,
    empty: dict[str, str],
) -> None:
    """Raise InputError where too large a share of an input is refused, or nothing of it is left.

    Args:
        excused: rows refused for what is no fault of theirs, such as lying after the data interval.
        empty: columns without a value in any row, with their expressions.
    """
    told = ", ".join(f"{why}: {count:,}" for why, count in sorted(reasons.items(), key=lambda r: -r[1])[:4])
    if account.rows_read == 0:
        raise InputError(f"input {source} is empty; mend inputs.{source}.path or leave the input out")
    if account.rows_kept == 0:
        absent = "".join(
            f"; no row has a {column}: is {text} absent or renamed? mend inputs.{source}.columns.{column}"
            for column, text in empty.items()
            if any(why.startswith(column) for why in reasons)
        )
        raise InputError(f"input {source}: none of {account.rows_read:,} rows can be kept ({told}){absent}")
    share = (account.rows_quarantined - excused) / account.rows_read
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
            redact(F.col(RAW)).alias("raw"),
            F.array_sort(REASONS).alias("reasons"),
            F.lit(as_of).alias("ds"),
        ),
        "quarantine",
    )


def count_reasons(refused: "DataFrame") -> dict[str, int]:
    """Rows by reason; a row with two reasons counts in both."""
    from pyspark.sql import functions as F

    counted = refused.select(F.explode(REASONS).alias("reason")).groupBy("reason").count().collect()
    return {row["reason"]: row["count"] for row in counted}
