"""Every table of ours, written once: grain, columns, types and meaning."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from attune.feature_registry import schema_lines

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


SPLITS = ("train", "valid", "test")
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
            refund_of string event_id of the order that a refund undoes; null where the log has none
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
            clicked boolean whether the user's next look at the item was a click, within clean.click_window_minutes
            click_id string event_id of that click
            click_ts timestamp when, UTC
            propensity double probability with which the item was chosen to be shown; null where not logged
            campaign_id string ad campaign it was shown for
            ds date day of shown_ts, UTC
            """,
            ("ds",),
        ),
        _table(
            "bot_events",
            "one action or impression of a user on a day on which the user acted like a bot",
            """
            event_id string id from the log, or a hash of the row
            user_id string who acted
            session_id string the visit it belongs to
            item_id string what was acted on; null for a search
            event_type string impression, search, click, view, cart, purchase or refund
            event_ts timestamp when, UTC
            value double money of the action, in the shop's currency; negative for a refund
            quantity double number of units; negative for a refund
            query string words searched for
            position int rank at which the item was shown, from 1
            price double price shown, in the shop's currency
            propensity double probability with which the item was chosen to be shown
            campaign_id string ad campaign that led to the action
            device string device class
            country string country of the user
            bot_score double largest ratio of the user's day to a limit of clean.bots; above 1
            bot_signal string that limit: rate, breadth or regularity
            ds date day of event_ts, UTC
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
            language string ISO 639-1 code of the text; und where it has too few letters to tell
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
            price double list price of the latest day that tells one, in the shop's currency
            image_path string where its picture lies
            """,
        ),
        _table(
            "item_history",
            "one wording and price of an item on one day",
            """
            item_id string item
            title string name
            description string longer text
            category string category path, levels joined with ' > '
            brand string brand
            price double list price, in the shop's currency
            image_path string where its picture lies
            num_rows int input rows that say so
            ds date day of their file; where it tells none, the last day of the data interval
            """,
            ("ds",),
        ),
        _table(
            "users",
            "one user",
            """
            user_id string id, or its pseudonym
            age_band string age range
            gender string gender as stated
            region string country or region
            consent boolean whether the user agreed to personalisation; null where not asked
            key_id string key that made the pseudonym: start of the SHA-256 of clean.pseudonym_key; null where ids stay
            ds date latest day of a file that describes the user; where it tells none, the last day of the data interval
            """,
        ),
        _table(
            "texts",
            "one text to learn from",
            """
            text_id string id from the input, or a hash of the row
            text string the text, personal data redacted
            other_text string second text of a pair, personal data redacted
            label string what the text is; several labels are separated by |
            weight double how much it counts in training; null: 1
            split string train, valid or test; null: drawn by a hash of text_id
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
            ds date day of its file; where that tells none, the last day of the data interval
            """,
            ("ds",),
        ),
        _table(
            "forgotten",
            "one user that the job forget erased; its rows are dropped from what is read later",
            """
            hash string HMAC-SHA-256 of the id with the salt, 32 hexadecimal digits
            salt string random key of the hashes of this workspace
            ds date day of the request, UTC
            erased array<string> TABLE@VERSION, the first version of each table that is without the user
            """,
        ),
        _table(
            "user_item_days",
            "one user, item and day: what features are computed from, kept so that only changed days are counted again",
            """
            user_id string user
            item_id string item; null for searches
            num_searches int searches
            num_clicks int clicks
            num_views int views
            num_carts int times put into the cart
            num_purchases int purchases
            num_refunds int refunds
            num_night int actions from 0 to 6 o'clock, UTC
            num_morning int actions from 6 to 12 o'clock, UTC
            num_afternoon int actions from 12 to 18 o'clock, UTC
            num_evening int actions from 18 to 24 o'clock, UTC
            value double purchases and all refunds, in the shop's currency
            value_matched double purchases, less the refunds whose purchase is known, in the shop's currency
            dwell_ms bigint time from each action to the next of the same visit and day, ms; pauses over 30 minutes left out
            num_dwells int actions that dwell_ms is summed over
            num_others int other items that the user acted on that day
            first_micros bigint first action, microseconds since 1970 UTC
            last_micros bigint last action, microseconds since 1970 UTC
            ds date day, UTC
            """,
            ("ds",),
        ),
        _table(
            "user_session_days",
            "one visit of a user on a day on which it has an action",
            """
            user_id string user
            session_id string visit
            num_events int actions of the visit on the day
            ds date day, UTC
            """,
            ("ds",),
        ),
        _table(
            "impression_days",
            "one user and day, and one item and day, with impressions",
            """
            kind string user or item
            id string user_id or item_id
            shown int impressions
            clicked int impressions clicked before the day ended
            ds date day, UTC
            """,
            ("ds",),
        ),
        _table(
            "user_features",
            "one user as of a date: what was known of the user strictly before it",
            "user_id string user\nas_of date first day not counted\n" + schema_lines("user_features"),
            ("as_of",),
        ),
        _table(
            "item_features",
            "one item as of a date: what was known of the item strictly before it",
            "item_id string item\nas_of date first day not counted\n" + schema_lines("item_features"),
            ("as_of",),
        ),
        _table(
            "user_item_features",
            "one user and item as of a date, where the user acted on the item in the 90 days before it",
            "user_id string user\nitem_id string item\nas_of date first day not counted\n"
            + schema_lines("user_item_features"),
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
            user_split string train, valid or test, by a hash of the user: a user is in one only
            """
            + schema_lines("examples"),
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
            "text_scores",
            "one text scored by one model of one's own",
            """
            text_id string text
            model string name of the model
            label string the label, or several separated by |; null where there is none, or the text could not be scored
            probability double probability of the label, of the surest of several, or that two texts match, 0 to 1
            written string what a language model writes after the text; null of the others
            status string scored, or why the text could not be: empty or invalid
            text_hash bigint hash of what was scored: a text that stays the same is not scored again
            model_version string version of the model
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
            "item_images",
            "one item with an image_path",
            """
            item_id string item
            path string where its picture was looked for
            status string scored, or why not: missing (or empty), outside (of score.image_root), too_large, elongated, not_a_picture, damaged, unreadable
            num_bytes bigint size of the file; null where there is none
            modified_ts timestamp when the file was last changed, UTC
            content_hash string SHA-256 of the file; null where it was not read
            vector array<float> what the image encoder gives, length 1; null where not scored
            model_version string version of the image encoder: a hash of its files
            """,
        ),
        _table(
            "embeddings",
            "one user or item, kind and model version",
            """
            id string user_id or item_id
            kind string item (its text), item_image, item_fused (both) or user (mean of item_fused where there are such, else of item)
            vector array<float> length 1; of kind item_fused less where a part is missing and expected from the other
            model_version string version of the text match model or image encoder; of fused vectors TEXT+IMAGE@WEIGHT
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
            score double probability that a user who acts on something new in a period of split.valid_days acts on this item
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
            model string model measured; random_groups: the blend, with users dealt to groups by lot
            metric string ndcg, recall, precision, map, mrr, coverage, diversity, novelty, popularity, accuracy and the like; exposure:GROUP (of items: share of the exposure); ndcg_gap:COLUMN (best less worst group of users by it)
            k int length of the list; null where it has none
            slice string part of the held-out data: all, known_users, new_users, new_items (what users chose of these), a category, or COLUMN: VALUE (users of that group)
            value double mean over users (or rows)
            low double lower end of the 95% bootstrap interval; null for coverage, which is no mean over users
            high double upper end of the 95% bootstrap interval; null for coverage
            num int users (or rows) measured
            against string baseline that the value is a difference to; null for a plain value
            as_of date first day not counted
            """,
        ),
        _table(
            "run_metrics",
            "one figure of one run",
            """
            run_id string run; ids sort by time
            job string job of the run
            pipeline_run_id string run of the pipeline whose step it is; null where it is none
            as_of date end of the run's data interval: first day not counted
            started_ts timestamp when it started, UTC
            seconds double how long the run took
            status string done or failed
            exit_status int 0 done; others see README
            kind string run (seconds, error, settings, ...), metric, input, output, artefact, skipped, or step (of a pipeline)
            name string what the figure is; of an input or output its table, of a nested metric names with dots between
            value double the figure: rows of an input or output, seconds of a step; null where it is no number
            text string what is no number: an error, why something was skipped, where an artefact lies, status of a step
            version bigint version of the table that was read or published; null of all but inputs and outputs
            """,
        ),
        _table(
            "quality_results",
            "one check of one run, made before its table was published; also of runs that it stopped",
            """
            run_id string run; ids sort by time
            job string job of the run
            as_of date end of the run's data interval: first day not counted
            table_name string table checked
            check_name string nulls, range, values, unique, references, fresh, volume or drift
            column_name string column checked, several joined with ', '; null for the table as a whole
            severity string error where a failure stops the publish, else warn
            value double what was found, in the unit of the check (quality in conf/base.yaml); null where not judged
            low double least value that passes; null without such a limit
            high double greatest value that passes; null without such a limit
            passed boolean whether it held; null where there was nothing to compare with
            num_rows bigint rows checked
            """,
        ),
    )
}
