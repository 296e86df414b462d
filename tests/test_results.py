"""The pages tell the results that were measured last."""

import results_table


def test_the_pages_show_the_latest_results() -> None:
    assert results_table.read_results()
    for name in results_table.TABLES:
        text = (results_table.ROOT / name).read_text(encoding="utf-8")
        assert results_table.with_tables(name, text) == text, "run: python benchmarks/results_table.py"
