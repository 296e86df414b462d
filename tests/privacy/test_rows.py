"""Rows of an erased user go, mentions are replaced, and what is of others stays as it was."""

import pyarrow as pa
import pytest

from attune.privacy.needles import Needles
from attune.privacy.rows import People, erase, reviews_of

USER = "u0000017"
PEOPLE = People(Needles.of([USER, "16014"]), frozenset({"r1"}))


def erased(**columns: pa.Array | list[object]) -> tuple[dict[str, list[object]], int, int]:
    rows = pa.table(columns)
    kept, num_erased, num_masked = erase(rows, PEOPLE)
    assert kept.schema == rows.schema
    return kept.to_pydict(), num_erased, num_masked


def test_rows_of_a_user_go_by_any_column_of_users() -> None:
    rows = {"user_id": [USER, "16014", "u00000170", None], "item_id": ["i1", "i1", "16014", "i2"], "n": [1, 2, 3, 4]}
    assert erased(**rows) == ({"user_id": ["u00000170", None], "item_id": ["16014", "i2"], "n": [3, 4]}, 2, 0)


def test_a_table_of_users_and_items_loses_users_only() -> None:
    rows = {"id": ["16014", "16014", USER, "i1"], "kind": ["user", "item", "user", "item"]}
    assert erased(**rows) == ({"id": ["16014", "i1"], "kind": ["item", "item"]}, 2, 0)


def test_an_id_that_is_nothing_else_counts_in_any_column() -> None:
    assert erased(unit=[USER, "16014"]) == ({"unit": ["16014"]}, 1, 0)


def test_refused_rows_that_name_a_user_go() -> None:
    rows = {"raw": [f'{{"user":"{USER}"}}', "7;16014;x", f"{USER}0", None]}
    assert erased(**rows) == ({"raw": [f"{USER}0", None]}, 2, 0)


def test_scores_of_reviews_of_a_user_go() -> None:
    assert erased(review_id=["r1", "r2"], label=["positive", "negative"]) == (
        {"review_id": ["r2"], "label": ["negative"]},
        1,
        0,
    )


def test_a_value_that_is_no_user_is_no_reason_to_erase() -> None:
    """A user may be called test, and so is a part of the examples."""
    people = People(Needles.of(["test"]))
    rows = pa.table({"user_id": ["a", "test"], "user_split": ["test", "test"], "title": ["test", "x"]})
    assert erase(rows, people)[0].to_pydict() == {"user_id": ["a"], "user_split": ["test"], "title": ["test"]}


def test_mentions_in_rows_of_others_are_replaced() -> None:
    rows = {
        "user_id": ["u2", "u3", "u4"],
        "body": [f"as {USER} and {USER} say", None, "16014 times"],
        "reasons": pa.array([["x"], [f"like {USER}", None], None]),
    }
    kept, num_erased, num_masked = erased(**rows)
    assert kept["body"] == ["as <user> and <user> say", None, "16014 times"]
    assert kept["reasons"] == [["x"], ["like <user>", None], None]
    assert (num_erased, num_masked) == (0, 2)


def test_lists_of_a_part_of_a_table_are_masked_in_their_own_rows() -> None:
    rows = pa.table({"reasons": [["a"], ["b", USER], ["c"], [f"{USER}!"]]}).slice(1, 2)
    kept, _, num_masked = erase(rows, PEOPLE)
    assert kept.to_pydict() == {"reasons": [["b", "<user>"], ["c"]]}
    assert num_masked == 1


@pytest.mark.parametrize("rows", [0, 3])
def test_tables_without_them_stay_as_they_are(rows: int) -> None:
    table = pa.table({"user_id": ["a", "b", "c"][:rows], "v": pa.array([[1.0]] * rows, pa.list_(pa.float32()))})
    kept, *counts = erase(table, PEOPLE)
    assert kept.equals(table)
    assert counts == [0, 0]


def test_reviews_of_a_user_are_found() -> None:
    rows = pa.table({"review_id": ["r1", "r2", "r3", None], "user_id": [USER, "b", "16014", USER]})
    assert reviews_of(rows, PEOPLE.needles) == {"r1", "r3"}
