"""What a model reads of a review or an item: one definition for training and scoring."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import Column


def review_text(title: "Column", body: "Column") -> "Column":
    """Headline and body of a review, joined; empty where both are null or blank."""
    return _joined(title, body)


def item_text(title: "Column", description: "Column", category: "Column", brand: "Column") -> "Column":
    """Name, brand, category and description of an item, the shortest first; empty where all are null or blank."""
    return _joined(title, brand, category, description)


def normalised(text: "Column") -> "Column":
    """Letters and digits in lower case, one space between words: equal for texts that differ in layout alone."""
    from pyspark.sql import functions as F

    return F.trim(F.regexp_replace(F.lower(text), r"[^\p{L}\p{N}]+", " "))


def _joined(*parts: "Column") -> "Column":
    """Non-blank parts, one a line. Halves of surrogate pairs, which would stop Arrow, become question marks."""
    from pyspark.sql import functions as F

    trimmed = [F.trim(part) for part in parts]
    text = F.concat_ws("\n", *(F.when(part != "", part) for part in trimmed))
    return F.decode(F.encode(text, "UTF-8"), "UTF-8")
