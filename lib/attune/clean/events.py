"""Actions and impressions, row by row: normalised, refused with the reasons that a row shows alone, and given an id."""

from typing import TYPE_CHECKING

from attune.clean.accounting import NOT_YET
from attune.clean.forgotten import FORGOTTEN
from attune.clean.rules import (
    ARRANGED,
    DETAIL,
    DETAILS,
    IDENTITY,
    IDS,
    KEY,
    KIND,
    ONLY_EVENTS,
    ONLY_IMPRESSIONS,
    ROW_COLUMNS,
    STATE,
    State,
)  # fmt: skip
from attune.clean.text import tidy
from attune.config import Config
from attune.inputs import FILE, REASONS, raw_text, refuse, with_file_day
from attune.schemas import EVENT_TYPES, TABLES

if TYPE_CHECKING:
    import datetime as dt

    from pyspark.sql import Column, DataFrame

AFTER_FILE = "event_ts is after the day of its file"
_SEARCH, _REFUND = map(EVENT_TYPES.index, ("search", "refund"))


def judge_events(mapped: "DataFrame", settings: Config) -> "DataFrame":
    """Normalise mapped rows and note why some are refused. Grain: one row of the input.

    An event may not be later than the day of its file, or than
    the data interval where the file tells no day: so it is refused or kept alike, whenever its file is read.
    """
    from pyspark.sql import functions as F

    # Lower case is costly (ICU), and seldom needed.
    exact = F.col("event_type").isin(*EVENT_TYPES)
    event_type = F.when(exact, F.col("event_type")).otherwise(F.lower(F.trim("event_type")))
    kind = F.nullif(F.call_function("array_position", F.array(*map(F.lit, EVENT_TYPES)), event_type), F.lit(0)) - 1
    rows = with_file_day(mapped).withColumns({KIND: kind.cast("tinyint"), "ds": F.to_date("event_ts")})
    rows = rows.withColumns(
        {
            "user_id": _id("user_id"),
            "item_id": F.when(F.col(KIND).eqNullSafe(_SEARCH), F.lit(None)).otherwise(_id("item_id")),
            "session_id": _id("session_id"),
            "event_id": _id("event_id"),
            "query": tidy(F.col("query"), settings.clean.max_text_chars),
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
            "event_type is unknown": F.col("event_type").isNotNull() & F.col(KIND).isNull(),
            "item_id is missing": F.col("item_id").isNull() & ~F.col(KIND).eqNullSafe(_SEARCH),
            "price is negative": F.col("price") < 0,
            "value has the wrong sign": F.when(F.col(KIND) == _REFUND, F.col("value") > 0).otherwise(
                F.col("value") < 0
            ),
            "propensity is not between 0 and 1": ~F.col("propensity").between(0, 1),
        },
    )


def settle(judged: "DataFrame", as_of: "dt.date") -> "DataFrame":
    """Refused rows with their file, raw text and reasons in place of values; of good rows only what their table keeps, and
    of rows of erased users nothing.

    Columns: STATE, those of ``ROW_COLUMNS`` and ``REFUSED_COLUMNS``, ds.
    """
    import datetime as dt

    from pyspark.sql import functions as F

    refused, shown = F.size(REASONS) > 0, F.col(KIND) == 0
    arrived = F.coalesce("_file_day", F.lit(as_of - dt.timedelta(days=1)))
    state = F.when(refused, State.REFUSED.value).otherwise(State.NEW.value)
    if FORGOTTEN in judged.columns:
        state = F.when(F.col(FORGOTTEN), State.FORGOTTEN.value).otherwise(state)
    marked = judged.withColumns({STATE: state.cast("tinyint"), "refund_of": F.lit(None).cast("string")})
    is_new, is_refused = F.col(STATE) == State.NEW.value, F.col(STATE) == State.REFUSED.value
    return marked.select(
        STATE,
        *(F.when(is_new, _kept(name, shown)).alias(name) for name in ROW_COLUMNS),
        F.when(is_refused, F.col(FILE)).alias("file"),
        F.when(is_refused, raw_text()).alias("raw"),
        F.when(is_refused, F.sort_array(REASONS)).alias("reasons"),
        F.when(is_refused, arrived).when(is_new, F.col("ds")).alias("ds"),
    )


def _kept(name: str, shown: "Column") -> "Column":
    from pyspark.sql import functions as F

    if name in ONLY_EVENTS:
        return F.when(~shown, F.col(name))
    return F.when(shown, F.col(name)) if name in ONLY_IMPRESSIONS else F.col(name)


def arrange(rows: "DataFrame") -> "DataFrame":
    """Add what rows are told apart by; columns ``ARRANGED``. Equal rows get equal values, just read or kept before.

    KEY spreads rows over tasks: by user, refused rows evenly. ``event_id`` becomes a hash of the row where the log has
    none; IDENTITY is its hash, DETAIL one of what else makes two actions different, without the query, which is redacted
    later.
    """
    from pyspark.sql import functions as F

    refused = F.col(STATE) == State.REFUSED.value
    described = ("user_id", "item_id", KIND, "event_ts", "session_id", *DETAILS)
    halves = [F.lpad(F.hex(F.xxhash64(F.lit(salt), *described)), 16, "0") for salt in ("a", "b")]
    made = F.when(~refused, F.lower(F.concat(*halves)))
    keyed = rows.withColumns(
        {
            KEY: F.when(refused, F.xxhash64("raw", "file")).otherwise(F.xxhash64("user_id")),
            DETAIL: F.xxhash64(*(name for name in DETAILS if name != "query")),
            "event_id": F.coalesce("event_id", made),
        }
    )
    return keyed.withColumn(IDENTITY, F.xxhash64("event_id")).select(*ARRANGED)


def as_rows(table: str, stored: "DataFrame", state: State) -> "DataFrame":
    """Rows of a published table as the actions that they were made from; columns as of ``settle``."""
    from pyspark.sql import functions as F

    kind = F.call_function("array_position", F.array(*map(F.lit, EVENT_TYPES)), F.col("event_type")) - 1
    if table == "impressions":
        stored = stored.withColumnsRenamed({"impression_id": "event_id", "shown_ts": "event_ts"})
        kind = F.lit(EVENT_TYPES.index("impression"))
    types = {column.name: column.type for name in ("bot_events", "events") for column in TABLES[name].columns}
    present = {name: F.col(name) if name in stored.columns else F.lit(None).cast(types[name])
               for name in (*IDS, "event_ts", *DETAILS, "refund_of")}  # fmt: skip
    nothing = {name: F.lit(None).cast("string") for name in ("file", "raw")}
    nothing["reasons"] = F.lit(None).cast("array<string>")
    columns = {
        STATE: F.lit(state.value).cast("tinyint"),
        KIND: kind.cast("tinyint"),
        **present,
        **nothing,
        "ds": F.col("ds"),
    }
    return stored.select(*(columns[name].alias(name) for name in (STATE, *ROW_COLUMNS, *nothing, "ds")))


def _id(name: str) -> "Column":
    from pyspark.sql import functions as F

    return F.nullif(F.trim(name), F.lit(""))
