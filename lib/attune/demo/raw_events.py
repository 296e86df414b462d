"""Generated events as the lines of a company's log: names for numbers, JSON, and the dirt of the text itself."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from attune.demo import dirt
from attune.demo.people import make_people
from attune.demo.sessions import COLUMNS, SEARCHED, calibrate, make_events
from attune.demo.vocabulary import CATEGORIES, COUNTRIES, DEVICES, STYLES
from attune.demo.world import World
from attune.schemas import EVENT_TYPES

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

_USERS_AT_ONCE = 2_000
_WRONG_TYPES = ("clik", "pruchase", "pageload_v2", "42")
_NOUNS = tuple(noun.lower() for category in CATEGORIES for noun in category.nouns)
_STYLES = tuple(words[0].lower() for words in STYLES.values())


def generate_events(spark: "SparkSession", world: World, num_partitions: int) -> "DataFrame":
    """Events as numbers, dirty rows marked. Grain: one row of the raw log. Columns: see ``sessions.COLUMNS``."""
    per_weight = calibrate(world)
    schema = ", ".join(f"{name} {sql_type}" for name, sql_type in COLUMNS.items())

    def people_rows(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            for begin in range(0, len(batch), _USERS_AT_ONCE):
                user = batch["id"].to_numpy()[begin : begin + _USERS_AT_ONCE]
                yield dirt.soil(world, make_events(world, user, per_weight))[list(COLUMNS)]

    def bot_rows(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            yield dirt.make_bot_rows(world, batch["id"].to_numpy())[list(COLUMNS)]

    events = spark.range(0, world.num_users, 1, num_partitions).mapInPandas(people_rows, schema)  # type: ignore[arg-type]
    if world.num_bot_days == 0:
        return events
    rows = world.num_bot_days * world.bot_rows_per_day
    return events.unionByName(spark.range(0, rows, 1, max(1, rows // 500_000)).mapInPandas(bot_rows, schema))  # type: ignore[arg-type]


def to_lines(world: World, events: "DataFrame") -> "DataFrame":
    """Lines of the raw log. Grain: one line. Columns: value (the line), ds (day of arrival), ts_ms (to sort by)."""
    from pyspark.sql import functions as F

    known = F.col("dirt")
    line = F.to_json(F.struct(*(column.alias(name) for name, column in _fields(world).items())))
    as_text = F.regexp_replace(line, r'"price":(\d+)\.(\d+)', r'"price":"$1,$2"')
    cut = F.left(line, F.lit(40) + F.pmod("event_key", F.length(line) - 45).cast("int"))
    return events.select(
        F.when(known == dirt.PRICE_TEXT, as_text).when(known == dirt.MALFORMED, cut).otherwise(line).alias("value"),
        _date(world, "arrival_day").alias("ds"),
        "ts_ms",
    )


def to_truth(world: World, events: "DataFrame") -> "DataFrame":
    """Dirty rows of the raw events. Columns: source, key (event_id), kind, ds (day of arrival)."""
    from pyspark.sql import functions as F

    return events.where(F.col("dirt") > 0).select(
        F.lit("events").alias("source"),
        _event_id().alias("key"),
        _name(dirt.KINDS, F.col("dirt")).alias("kind"),
        _date(world, "arrival_day").alias("ds"),
    )


def _fields(world: World) -> "dict[str, Column]":
    from pyspark.sql import functions as F

    code, key = F.col("type"), F.col("event_key")
    words = F.concat_ws(" ", _name(_STYLES, F.col("style")), _name(_NOUNS, F.col("noun")))
    address = F.format_string("jo.martin%d@example.com", F.pmod(key, F.lit(9_000)) + 1_000)
    query = F.when(F.col("dirt") == dirt.EMAIL_IN_QUERY, F.concat_ws(" ", address, words)).otherwise(words)
    wrong_type = F.element_at(F.array(*map(F.lit, _WRONG_TYPES)), (F.pmod(key, F.lit(4)) + 1).cast("int"))
    return {
        "event_id": _event_id(),
        "user": F.when(F.col("user") >= 0, F.format_string("u%07d", "user")),
        "item": F.when(F.col("item") >= 0, F.format_string("p%06d", "item")),
        "type": F.when(F.col("dirt") == dirt.WRONG_TYPE, wrong_type).otherwise(_name(EVENT_TYPES, code)),
        "ts": F.date_format(F.timestamp_millis("ts_ms"), "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'"),
        "price": F.when(~F.isnan("price"), F.col("price")),
        "quantity": F.when(F.col("quantity") != 0, F.col("quantity")),
        "query": F.when(code == SEARCHED, query),
        "position": F.when(F.col("position") > 0, F.col("position")),
        "campaign": F.when(F.col("campaign") >= 0, F.format_string("c%03d", "campaign")),
        "device": _name(DEVICES, F.col("device")),
        "country": _name([name for name, _, _ in COUNTRIES], F.col("country")),
        "propensity": F.when(~F.isnan("propensity"), F.round("propensity", 6)),
        "app_version": F.when(
            F.col("day") >= world.drift_day, _name(("7.0.1", "7.1.0", "7.2.3"), F.pmod(key, F.lit(3)))
        ),
    }


def _event_id() -> "Column":
    from pyspark.sql import functions as F

    return F.concat(F.lit("e"), F.lpad(F.lower(F.hex("event_key")), 16, "0"))


def _name(names: "tuple[str, ...] | list[str]", code: "Column") -> "Column":
    """The name of a number; null for -1."""
    from pyspark.sql import functions as F

    return F.get(F.array(*map(F.lit, names)), code.cast("int"))


def _date(world: World, day: str) -> "Column":
    from pyspark.sql import functions as F

    return F.date_add(F.lit(world.start), F.col(day))


def bots(world: World) -> pd.DataFrame:
    """The bots. Grain: one user and day on which it acted as one."""
    bot = np.arange(world.num_bot_days)
    rows = dirt.make_bot_rows(world, bot * world.bot_rows_per_day)
    people = make_people(world, rows["user"].to_numpy())
    start = np.datetime64(world.start)
    return pd.DataFrame(
        {
            "user": [f"u{u:07d}" for u in people.user],
            "ds": (start + rows["day"].to_numpy()).astype("datetime64[D]").astype(object),
        }
    ).assign(num_events=world.bot_rows_per_day)
