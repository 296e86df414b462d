"""Every feature, written once: unit, window, meaning and formula. Tables, Spark expressions and dictionary come from here.

Needs the standard library only: ``schemas.py`` takes the columns of the feature tables from here.
"""

from attune.feature_registry.examples import EXAMPLE_FEATURES
from attune.feature_registry.feature import HALF_LIVES_DAYS, RATE_PRIOR, RATING_PRIOR, WINDOWS_DAYS, Feature
from attune.feature_registry.items import ITEM_FEATURES, ITEM_SUMS
from attune.feature_registry.pairs import PAIR_FEATURES
from attune.feature_registry.users import USER_FEATURES, USER_SUMS

FEATURES: dict[str, tuple[Feature, ...]] = {
    "user_features": USER_FEATURES,
    "item_features": ITEM_FEATURES,
    "user_item_features": PAIR_FEATURES,
    "examples": EXAMPLE_FEATURES,
}
"""Features of each table, in the order of its columns."""


def schema_lines(table: str) -> str:
    """Columns of a feature table as lines of ``name type meaning``."""
    return "\n".join(f"{f.name} {f.type} {f.told}" for f in FEATURES[table])


def not_for_ranking(table: str) -> tuple[str, ...]:
    """Features that the ranking model does not read: texts, habits that no choice of item depends on, near repeats."""
    return tuple(f.name for f in FEATURES[table] if not f.ranking)


__all__ = [
    "EXAMPLE_FEATURES",
    "FEATURES",
    "HALF_LIVES_DAYS",
    "ITEM_FEATURES",
    "ITEM_SUMS",
    "PAIR_FEATURES",
    "RATE_PRIOR",
    "RATING_PRIOR",
    "USER_FEATURES",
    "USER_SUMS",
    "WINDOWS_DAYS",
    "Feature",
    "not_for_ranking",
    "schema_lines",
]
