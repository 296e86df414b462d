"""What a check found, whether it holds, and how its failure is told. No row's values are told, only shares of rows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from attune.config import Check, Drift, Fresh, Nulls, Range, References, Unique, Values, Volume

_LIMITS = {"fresh": "max_days", "drift": "max_psi"}


@dataclass(frozen=True)
class Outcome:
    """One check of one table: the value found, the limits it must keep, and the setting that holds them."""

    table: str
    check: Check
    number: int  # place among the checks of the table, from 0
    rows: int
    value: float | None
    low: float | None = None
    high: float | None = None

    @property
    def column(self) -> str | None:
        """Column checked, several joined; None for the table as a whole."""
        return ", ".join(self.check.columns_read) or None

    @property
    def passed(self) -> bool | None:
        """Whether the value keeps its limits; None where there is no value or nothing to compare it with."""
        if isinstance(self.check, Fresh) and self.value is None:
            return False
        if self.value is None or (self.low is None and self.high is None):
            return None
        return (self.low is None or self.value >= self.low) and (self.high is None or self.value <= self.high)

    @property
    def stops(self) -> bool:
        """Whether it stops the publish."""
        return self.passed is False and self.check.severity == "error"

    @property
    def setting(self) -> str:
        """The setting that a reader would mend."""
        place = f"quality.{self.table}[{self.number}]"
        if isinstance(self.check, Unique):
            return place
        if isinstance(self.check, Volume):
            below = self.low is not None and self.value is not None and self.value < self.low
            return f"{place}.{'min_ratio' if below else 'max_ratio'}"
        return f"{place}.{_LIMITS.get(self.check.check, 'max_share')}"

    def failure(self) -> str:
        """Table, check and column, what was found, the limit, and the setting to mend, in one line."""
        where = f"{self.table}, {self.check.check}" + (f" of {self.column}" if self.column else "")
        return f"{where}: {_found(self)} ({self.setting})"


def limits(check: Check, earlier_volumes: Sequence[float]) -> tuple[float | None, float | None]:
    """Least and greatest value that pass. Of volume they follow its last runs, latest first; none where these are empty."""
    match check:
        case Volume():
            usual = median(earlier_volumes[: check.runs]) if earlier_volumes else 0
            if usual == 0:
                return None, None
            return check.min_ratio * usual, None if check.max_ratio is None else check.max_ratio * usual
        case Fresh():
            return None, check.max_days
        case Drift():
            return None, check.max_psi
        case Unique():
            return None, 0.0
    return None, check.max_share


def volume(rows_by_day: Mapping[str, int] | int, interval_days: int | None) -> float:
    """Rows of a run, of a table kept by day rows per day: runs of one day and of many can then be compared.

    A day of the data interval without a row counts too, where the interval has a first day.
    """
    if isinstance(rows_by_day, int):
        return float(rows_by_day)
    return sum(rows_by_day.values()) / max(len(rows_by_day), interval_days or 0, 1)


def tally(table: str, outcomes: Iterable[Outcome]) -> str:
    """Line of the log on one table."""
    verdicts = [outcome.passed for outcome in outcomes]
    unjudged = verdicts.count(None)
    told = f"checked {table}: {len(verdicts)} checks, {verdicts.count(False)} failed"
    return told + (f", {unjudged} had nothing to compare with" if unjudged else "")


def refusal(outcomes: Iterable[Outcome]) -> str | None:
    """Error that tells all failures that stop the publish; None where there are none."""
    stopping = [outcome.failure() for outcome in outcomes if outcome.stops]
    if not stopping:
        return None
    failed = "1 quality check failed" if len(stopping) == 1 else f"{len(stopping)} quality checks failed"
    return f"{failed}, nothing is published: {'; '.join(stopping)}; mend the data, or the settings named"


def _found(outcome: Outcome) -> str:
    check, value, high = outcome.check, outcome.value, outcome.high
    if isinstance(check, Fresh):
        return "no row has a value" if value is None else f"the latest is {value:.3g} days old, over {high:g}"
    assert value is not None
    if isinstance(check, Volume):
        span = f"{_count(outcome.low)} to {_count(high)}"
        return f"{_count(value)} rows a run or day, outside {span}, going by the last {check.runs} runs"
    if isinstance(check, Drift):
        return f"population stability index {value:.3g} to what is published, over {high:g}"
    return f"{_percent(value)} of {_share_of(check)}, over {_percent(high or 0)}"


def _share_of(check: Nulls | Range | Values | Unique | References) -> str:
    match check:
        case Nulls():
            return "rows have no value"
        case Range():
            low = "" if check.min is None else f"below {check.min:g}"
            high = "" if check.max is None else f"above {check.max:g}"
            return f"values are {' or '.join(filter(None, [low, high]))}"
        case Values():
            return "values are not among those allowed"
        case Unique():
            return "rows repeat another's"
        case References():
            return f"values are not in {check.table}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"


def _count(value: float | None) -> str:
    return "any number" if value is None else f"{value:,.0f}"
