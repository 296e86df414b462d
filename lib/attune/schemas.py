"""Every table of ours, written once: grain, columns, types and meaning."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql.types import StructType


@dataclass(frozen=True)
class Column:
    """One column: its Spark SQL type and what it holds, with the unit."""

    name: str
    type: str
    meaning: str


@dataclass(frozen=True)
class TableSchema:
    """One table: what a row is, its columns in order, and the columns it is partitioned by."""

    name: str
    grain: str
    columns: tuple[Column, ...]
    partition_by: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """Column names in order."""
        return [column.name for column in self.columns]

    def json(self) -> str:
        """The schema in the JSON form that Spark and Delta share."""
        fields = [{"name": c.name, "type": _json_type(c.type), "nullable": True, "metadata": {}} for c in self.columns]
        return json.dumps({"type": "struct", "fields": fields})

    def struct(self) -> "StructType":
        """The schema as a Spark type; needs no session."""
        from pyspark.sql.types import StructType

        return StructType.fromJson(json.loads(self.json()))


def _json_type(sql_type: str) -> str | dict[str, object]:
    if sql_type.startswith("array<"):
        return {"type": "array", "elementType": _json_type(sql_type[6:-1]), "containsNull": True}
    return {"int": "integer", "bigint": "long"}.get(sql_type, sql_type)


def _table(name: str, grain: str, columns: str, partition_by: tuple[str, ...] = ()) -> TableSchema:
    """Read columns from lines of ``name type meaning``."""
    parsed = []
    for line in columns.strip().splitlines():
        column, sql_type, meaning = line.split(maxsplit=2)
        parsed.append(Column(column, sql_type, meaning))
    return TableSchema(name, grain, tuple(parsed), partition_by)


EVENT_TYPES = ("impression", "search", "click", "view", "cart", "purchase", "refund")

TABLES: dict[str, TableSchema] = {
    table.name: table
    for table in (
        _table(
            "events",
            "one action of a user",
            """
            event_id string id from the log, or a hash of the row
            user_id string who acted
            session_id string the visit it belongs to
            item_id string what was acted on; null for a search
            event_type string one of search, click, view, cart, purchase, refund
            event_ts timestamp when, UTC
            value double money of the action, in the shop's currency; negative for a refund
            quantity double number of units; negative for a refund
            query string words searched for
            position int rank at which the item was shown, from 1
            campaign_id string ad campaign that led to the action
            device string device class
            country string country of the user
            ds date day of event_ts, UTC
            """,
            ("ds",),
        ),
        _table(
            "impressions",
            "one item shown once",
            """
            impression_id string id from the log, or a hash of the row
            user_id string who saw it
            session_id string the visit it belongs to
            item_id string item shown
            shown_ts timestamp when, UTC
            position int rank at which it was shown, from 1
            price double price shown, in the shop's currency
            clicked boolean whether the user clicked the item in the same session at or after shown_ts
            propensity double probability with which the item was chosen to be shown; null where not logged
            campaign_id string ad campaign it was shown for
            ds date day of shown_ts, UTC
            """,
            ("ds",),
        ),
        _table(
            "reviews",
            "one review of an item by a user",
            """
            review_id string id from the log, or a hash of the row
            user_id string who wrote it
            item_id string item reviewed
            rating double stars, 1 to 5
            title string headline, personal data redacted
            body string text, personal data redacted
            language string ISO 639-1 code of the text by its script: en, zh or und
            review_ts timestamp when, UTC
            helpful_votes int votes that found it helpful
            ds date day of review_ts, UTC
            """,
        ),
        _table(
            "items",
            "one item",
            """
            item_id string id
            title string name
            description string longer text
            category string category path, levels joined with ' > '
            brand string brand
            price double list price, in the shop's currency
            image_path string where its picture lies
            """,
        ),
        _table(
            "users",
            "one user",
            """
            user_id string id
            age_band string age range
            gender string gender as stated
            region string country or region
            consent boolean whether the user agreed to personalisation; null where not asked
            """,
        ),
        _table(
            "sessions",
            "one visit: a user's actions with gaps no longer than clean.session_gap_minutes",
            """
            session_id string id
            user_id string whose visit
            start_ts timestamp first action, UTC
            end_ts timestamp last action, UTC
            num_events int actions and impressions in it
            num_items int distinct items in it
            converted boolean whether it holds a purchase
            ds date day of start_ts, UTC
            """,
            ("ds",),
        ),
        _table(
            "quarantine",
            "one refused input row",
            """
            source string input it came from: events, reviews, items or users
            file string file it came from
            raw string the row as read, personal data redacted
            reasons array<string> why it was refused
            ds date end of the data interval in which it was refused
            """,
        ),
        _table(
            "user_features",
            "one user as of a date: what was known of the user strictly before it",
            """
            user_id string user
            as_of date first day not counted
            days_since_last double days since the last action
            num_events_7d int actions in the last 7 days
            num_events_30d int actions in the last 30 days
            num_events_90d int actions in the last 90 days
            num_purchases int purchases ever
            value_total double money spent ever, refunds taken off
            mean_price double mean list price of the items acted on
            num_items int distinct items acted on
            num_sessions int visits ever
            top_category string first level of the category acted on most, by recommend.event_weights
            category_share double share of the user's weighted actions that fall in top_category, 0 to 1
            """,
            ("as_of",),
        ),
        _table(
            "item_features",
            "one item as of a date: what was known of the item strictly before it",
            """
            item_id string item
            as_of date first day not counted
            num_users int distinct users who acted on it ever
            num_events_7d int actions in the last 7 days
            num_events_30d int actions in the last 30 days
            num_events_90d int actions in the last 90 days
            num_purchases int purchases ever
            trend double log of the ratio of the daily rate over 7 days to that over 30 days, smoothed
            click_rate double clicks per impression, smoothed towards the overall rate; null without impressions
            conversion_rate double purchases per click, smoothed towards the overall rate
            price double list price
            days_since_first double days since it was first acted on
            num_reviews int reviews ever
            mean_rating double Bayesian mean of its stars; null without reviews
            """,
            ("as_of",),
        ),
        _table(
            "examples",
            "one labelled choice: an item acted on (label 1), or shown or popular and passed over (label 0)",
            """
            user_id string who chose
            item_id string item
            ts timestamp when, UTC
            label int 1 acted on, 0 passed over
            split string train, valid or test, by ts
            user_num_events int actions of the user strictly before ts
            item_num_events int actions on the item strictly before ts
            hours_since_user double hours since the user's action before ts; null for the first
            """,
            ("split",),
        ),
        _table(
            "review_sentiment",
            "one review scored by one model",
            """
            review_id string review
            item_id string item reviewed
            review_ts timestamp when it was written, UTC
            rating double stars, 1 to 5
            label string positive or negative; null where the text could not be scored
            probability double probability that the review is positive, 0 to 1
            status string scored, or why the text could not be: empty or invalid
            model_version string version of the sentiment model
            """,
        ),
        _table(
            "item_satisfaction",
            "one item with reviews, as of the end of the data interval",
            """
            item_id string item
            as_of date first day not counted
            num_reviews int reviews scored
            mean_rating double mean stars; null without ratings
            satisfaction double mean probability of a positive review, shrunk towards the overall mean, 0 to 1
            share_negative double share of reviews labelled negative, 0 to 1
            praise array<string> words that set its positive reviews apart, strongest first
            complaints array<string> words that set its negative reviews apart, strongest first: points to improve
            """,
        ),
        _table(
            "embeddings",
            "one user or item and model version",
            """
            id string user_id or item_id
            kind string user or item
            vector array<float> pooled encoder vector of length 1
            model_version string version of the text match model
            """,
            ("kind",),
        ),
        _table(
            "user_profiles",
            "one user as of the end of the data interval",
            """
            user_id string user
            as_of date first day not counted
            segment_id int segment the user belongs to
            top_category string category acted on most
            num_events int actions in the 90 days before as_of
            value_total double money spent ever, refunds taken off
            """,
        ),
        _table(
            "segments",
            "one group of users with alike interests",
            """
            segment_id int id, from 0, largest first
            as_of date first day not counted
            name string words that set the group's items apart
            num_users int users in it
            share_users double share of all users, 0 to 1
            value_per_user double mean money spent by user
            top_items array<string> titles most particular to the group
            """,
        ),
        _table(
            "recommendations",
            "user and rank",
            """
            user_id string user; '*' is the list for anyone unknown, '*:REGION' for unknown users of a region
            rank int 1 is best
            item_id string item
            score double ranking score; comparable within one user
            sources array<string> candidate sources that proposed it
            reasons array<string> why, in words, strongest first
            as_of date first day not counted
            """,
        ),
        _table(
            "evaluation",
            "one metric of one model at one cut-off",
            """
            task string recommend or sentiment
            model string model measured
            metric string ndcg, recall, precision, map, coverage, accuracy and the like
            k int length of the list; null where it has none
            slice string part of the held-out data: all, new_users, or a category
            value double mean over users (or rows)
            low double lower end of the 95% bootstrap interval; null for coverage, which is no mean over users
            high double upper end of the 95% bootstrap interval; null for coverage
            num int users (or rows) measured
            against string baseline that the value is a difference to; null for a plain value
            as_of date first day not counted
            """,
        ),
    )
}
