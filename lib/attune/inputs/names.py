"""Columns that reading adds to the rows of an input, and the types that its mapped columns get."""

from attune.schemas import TABLES

CORRUPT, FILE, RAW, ROW, REASONS = "_corrupt_record", "_file", "_raw", "_row", "_reasons"
UNPARSED = "line cannot be parsed"
EXTRA_TYPES = {"price": "double", "propensity": "double"}
"""Types of the columns of an input that land in another table than the one of its name."""

REQUIRED = {
    "events": ("user_id", "item_id", "event_type", "event_ts"),
    "reviews": ("item_id", "rating", "body", "review_ts"),
    "items": ("item_id",),
    "users": ("user_id",),
    "texts": ("text",),
}
"""Columns without which the rows of an input are worth nothing; the others may be null for long stretches."""


def types_of(name: str) -> dict[str, str]:
    """Spark SQL type of each column that an input can be mapped to."""
    own = {column.name: column.type for column in TABLES[name].columns if column.name != "ds"}
    return own | (EXTRA_TYPES if name == "events" else {})
