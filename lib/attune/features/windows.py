"""Building blocks of features: ages and counts in windows that end at a date."""

import datetime as dt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import Column


def seconds_before(timestamp: str, as_of: dt.date) -> "Column":
    """Seconds from a timestamp to the start of a day."""
    from pyspark.sql import functions as F

    return F.lit(as_of).cast("timestamp").cast("double") - F.col(timestamp).cast("double")


def events_in_days(day: str, as_of: dt.date, days: int) -> "Column":
    """Aggregate: rows whose day is one of the last ``days`` before a date."""
    from pyspark.sql import functions as F

    return F.count_if(F.col(day) >= F.lit(as_of - dt.timedelta(days=days)))
