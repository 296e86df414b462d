"""Actions and impressions, row by row: normalised, given an id, and refused with the reasons that a row shows alone."""

from typing import TYPE_CHECKING

from attune.clean.accounting import NOT_YET
from attune.clean.redact import redact
from attune.clean.text import tidy
from attune.config import Config
from attune.inputs import FILE, RAW, REASONS, raw_text, refuse, with_file_day
from attune.schemas import EVENT_TYPES

if TYPE_CHECKING:
    import datetime as dt

    from pyspark.sql import Column, DataFrame

AFTER_FILE = "event_ts is after the day of its file"
KEY, SLOT, CODE, DETAIL, REFUSED = "_key", "_slot", "_code", "_detail", "_refused"
_ITEMLESS = ("search",)
_MONEY = ("purchase", "refund")
_ONLY_EVENTS = ("value", "quantity", "query", "device", "country")
_ONLY_IMPRESSIONS = ("price", "propensity")
_DETAILS = (*_ONLY_EVENTS, *_ONLY_IMPRESSIONS, "position", "campaign_id")
EVENT_COLUMNS = ("event_id", "user_id", "session_id", "item_id", "event_type", "event_ts", *_DETAILS)


def judge_events(mapped: "DataFrame", settings: Config) -> "DataFrame":
    """Normalise mapped rows and note why some are refused. Grain: one row of the input.

    An event may not be later than the day of its file, or than
    the data interval where the file tells no day: so it is refused or kept alike, whenever its file is read.
    """
    from pyspark.sql import functions as F

    # Lower case is costly (ICU), and seldom needed.
    exact = F.col("event_type").isin(*EVENT_TYPES)
    event_type = F.when(exact, F.col("event_type")).otherwise(F.lower(F.trim("event_type")))
    rows = with_file_day(mapped).withColumns(
        {
            "event_type": event_type,
            "user_id": _id("user_id"),
            "item_id": F.when(event_type.isin(*_ITEMLESS), F.lit(None)).otherwise(_id("item_id")),
            "session_id": _id("session_id"),
            "event_id": _id("event_id"),
            "query": redact(tidy(F.col("query"), settings.clean.max_text_chars)),
            "ds": F.to_date("event_ts"),
        }
    )
    clean, dated = settings.clean, F.col("_file_day").isNotNull()
    return refuse(
        rows,
        {
            "user_id is missing": F.col("user_id").isNull(),
            "event_ts is missing or cannot be read": F.col("event_ts").isNull(),
            f"event_ts is before {clean.min_date}": F.col("ds") < F.lit(clean.min_date),
            AFTER_FILE: dated & (F.col("ds") > F.col("_file_day")),
            NOT_YET[0]: ~dated & (F.col("ds") >= F.lit(settings.as_of)),
            "event_type is missing": F.col("event_type").isNull(),
            "event_type is unknown": ~F.col("event_type").isin(*EVENT_TYPES),
            "item_id is missing": F.col("item_id").isNull() & ~F.col("event_type").isin(*_ITEMLESS),
            "price is negative": F.col("price") < 0,
            "value has the wrong sign": F.when(F.col("event_type") == "refund", F.col("value") > 0).otherwise(
                F.col("value") < 0
            ),
            "propensity is not between 0 and 1": ~F.col("propensity").between(0, 1),
        },
    )


def settle(judged: "DataFrame", as_of: "dt.date") -> "DataFrame":
    """Refused rows with their file, raw text and reasons in place of values; of good rows only what their table keeps."""
    import datetime as dt

    from pyspark.sql import functions as F

    refused, shown = F.size(REASONS) > 0, F.col("event_type") == "impression"
    arrived = F.coalesce("_file_day", F.lit(as_of - dt.timedelta(days=1)))
    return judged.withColumn(REFUSED, refused).select(
        REFUSED,
        *(F.when(~F.col(REFUSED), _kept(name, shown)).alias(name) for name in EVENT_COLUMNS),
        F.when(F.col(REFUSED), arrived).otherwise(F.col("ds")).alias("ds"),
        F.when(F.col(REFUSED), F.col(FILE)).alias(FILE),
        redact(F.when(F.col(REFUSED), raw_text())).alias(RAW),
        F.when(F.col(REFUSED), F.array_sort(REASONS)).alias(REASONS),
    )


def _kept(name: str, shown: "Column") -> "Column":
    from pyspark.sql import functions as F

    if name in _ONLY_EVENTS:
        return F.when(~shown, F.col(name))
    return F.when(shown, F.col(name)) if name in _ONLY_IMPRESSIONS else F.col(name)


def identify(rows: "DataFrame", near_duplicate_seconds: float) -> "DataFrame":
    """Add what rows are told apart by. Equal rows get equal values, whether just read or kept by an earlier run.

    ``_key`` spreads rows over tasks: by user, refused rows evenly. ``event_id`` becomes a hash of the row where the log
    has none. ``_slot`` is the time in units of ``near_duplicate_seconds``, ``_code`` the type in the order of the
    funnel, ``_detail`` a hash of the rest. Two orders within a second may both be real, so there the id counts too.
    """
    from pyspark.sql import functions as F

    detail = F.xxhash64(*_DETAILS)
    identity = ("user_id", "item_id", "event_type", "event_ts", "session_id")
    halves = [F.hex(F.xxhash64(F.lit(salt), *identity, "_rest")) for salt in ("a", "b")]
    hashed = F.lower(F.concat(*(F.lpad(half, 16, "0") for half in halves)))
    micros = F.unix_micros("event_ts")
    slot = F.floor(micros / (near_duplicate_seconds * 1e6)) if near_duplicate_seconds else micros
    distinct = F.lit(True) if not near_duplicate_seconds else F.col("event_type").isin(*_MONEY)
    return (
        rows.withColumn("_rest", detail)
        .withColumn("event_id", F.when(~F.col(REFUSED), F.coalesce("event_id", hashed)))
        .withColumns(
            {
                KEY: F.when(F.col(REFUSED), F.xxhash64(RAW, FILE)).otherwise(F.xxhash64("user_id")),
                SLOT: slot,
                CODE: F.array_position(F.array(*map(F.lit, EVENT_TYPES)), F.col("event_type")).cast("int"),
                DETAIL: F.when(distinct, F.xxhash64("event_id")).otherwise(F.col("_rest")),
            }
        )
        .drop("_rest")
    )


def _id(name: str) -> "Column":
    from pyspark.sql import functions as F

    return F.nullif(F.trim(name), F.lit(""))
