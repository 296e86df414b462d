"""The data dictionary tells every column of the feature tables, as it is computed."""

import pytest

from attune import cli
from attune.feature_registry import FEATURES, not_for_ranking
from attune.features import dictionary
from attune.schemas import TABLES


@pytest.mark.parametrize("table", FEATURES)
def test_every_column_is_told_once_with_unit_and_window(table: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["features", table]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{table}: {TABLES[table].grain}"
    told = [line.split()[0] for line in lines[2:]]
    keys = [name for name in TABLES[table].names if name not in told]
    assert TABLES[table].names == keys + told, "a column is missing from the dictionary, or in another order"
    for feature in FEATURES[table]:
        assert feature.unit
        assert feature.window
        assert feature.meaning


def test_markdown_holds_formulas_and_escapes_nothing_away(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["features", "--markdown"]) == 0
    page = capsys.readouterr().out
    assert page.count("\n## ") + page.startswith("## ") == len(FEATURES)
    assert "| `num_events_7d` | int | count | 7 days | actions | `sum(if(age <= 7, num_events, 0))` |" in page
    widths = {line.replace("\\|", "").count("|") for line in page.splitlines() if line.startswith("| `num_")}
    assert widths == {7}


def test_an_unknown_table_is_wrong_usage_and_the_nearest_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["features", "item_feature"]) == 2
    assert "item_features" in capsys.readouterr().err


def test_ranking_reads_numbers_only() -> None:
    """A text among the ranking's features would stop every recommendation."""
    for table in ("user_features", "item_features"):
        texts = {feature.name for feature in FEATURES[table] if feature.type == "string"}
        assert texts <= set(not_for_ranking(table))


def test_the_dictionary_can_tell_one_table(capsys: pytest.CaptureFixture[str]) -> None:
    dictionary.main(["examples"])
    assert "item_features" not in capsys.readouterr().out
