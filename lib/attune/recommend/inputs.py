"""The tables that recommendation reads; all but events and items may be absent."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Inputs:
    """Tables by name, as in ``schemas.py``; None where a table was never published or has no rows."""

    events: "DataFrame"
    items: "DataFrame | None" = None
    users: "DataFrame | None" = None
    user_features: "DataFrame | None" = None
    item_features: "DataFrame | None" = None
    review_sentiment: "DataFrame | None" = None
    embeddings: "DataFrame | None" = None
    impressions: "DataFrame | None" = None  # only where recommend.rerank.frequency_cap asks for them

    def skipped(self) -> dict[str, str]:
        """Parts that have nothing to work with, and why."""
        missing = {
            "text source": (self.embeddings, "there are no embeddings of items"),
            "satisfaction": (self.review_sentiment, "no reviews have been scored"),
            "titles and categories": (self.items, "there is no table items"),
            "user features": (self.user_features, "there is no table user_features"),
            "item features": (self.item_features, "there is no table item_features"),
        }
        return {part: reason for part, (table, reason) in missing.items() if table is None}
