"""What one action is to the others of its user and item: a repeat, the click that an impression caused, an order undone."""

from functools import reduce
from typing import TYPE_CHECKING

from attune.clean.events import CODE, DETAIL, KEY, REFUSED, SLOT
from attune.config import Clean

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

REPEAT, FIRST_OF_DAY = "_repeat", "_first_of_day"
_ORDER = (SLOT, CODE, DETAIL, "event_ts", "event_id")


def relate(rows: "DataFrame", settings: Clean) -> "DataFrame":
    """Mark repeats, and join impressions to the clicks they caused and refunds to the orders they undo. One sort.

    Adds ``_repeat`` (all but the first of equal actions within ``near_duplicate_seconds``), ``click_id`` of an
    impression (the next click on the item by the user, unless it was shown again before, within
    ``click_window_minutes``), ``refund_of`` of a refund (the latest order of the item by the user within ``refund_days``
    before; one that an earlier run found stays unless there is a later one) and ``_first_of_day`` (whether the row is
    the first of its user, item and day).
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    of_item = Window.partitionBy(KEY, "user_id", "item_id").orderBy(*_ORDER)
    # Equal actions lie side by side in this order, the earliest first.
    equal = reduce(lambda a, b: a & b, (F.lag(name).over(of_item) == F.col(name) for name in (SLOT, CODE, DETAIL)))
    marked = rows.withColumns(
        {
            REPEAT: F.coalesce(~F.col(REFUSED) & equal, F.lit(False)),
            FIRST_OF_DAY: F.coalesce(F.lag("ds").over(of_item) != F.col("ds"), F.lit(True)),
        }
    )
    acted = F.struct("event_type", F.col("event_ts").alias("ts"), F.col("event_id").alias("id"))
    marked = marked.withColumns(
        {
            "_seen": F.when(~F.col(REPEAT) & F.col("event_type").isin("impression", "click"), acted),
            "_order": F.when(~F.col(REPEAT) & (F.col("event_type") == "purchase"), acted),
        }
    )
    over = f"OVER (PARTITION BY {KEY}, user_id, item_id ORDER BY {', '.join(_ORDER)}"
    related = marked.withColumns(
        {
            "_next": F.expr(f"lead(_seen) IGNORE NULLS {over})"),
            "_last": F.expr(f"last(_order) IGNORE NULLS {over} ROWS UNBOUNDED PRECEDING)"),
        }
    )
    waited = F.unix_micros("_next.ts") - F.unix_micros("event_ts")
    caused = (F.col("_next.event_type") == "click") & waited.between(0, int(settings.click_window_minutes * 60e6))
    since = F.unix_micros("event_ts") - F.unix_micros("_last.ts")
    undone = F.when(since <= settings.refund_days * 86_400_000_000, F.col("_last.id"))
    return related.withColumns(
        {
            "click_id": F.when((F.col("event_type") == "impression") & caused, F.col("_next.id")),
            "refund_of": F.when(F.col("event_type") == "refund", F.coalesce(undone, "refund_of")),
        }
    ).drop("_seen", "_order", "_next", "_last", SLOT, CODE, DETAIL)
