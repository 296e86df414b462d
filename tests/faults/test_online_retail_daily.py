"""A real shop's days, cleaned one at a time in any order and one of them twice, leave what one run leaves."""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "bench_daily_clean.py"


def test_days_of_order_lines_give_the_tables_of_one_run(
    spark: "SparkSession", shared_data: Path, tmp_path: Path
) -> None:
    spec = importlib.util.spec_from_file_location("bench_daily_clean", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    days = bench.days_of(shared_data / bench.LOG)[:4]
    found = bench.measured(tmp_path, days, seed=7)
    assert found["differing"] == {}
    assert found["refunds_undoing_an_order"]["of_another_day"] > 0, "the days must depend on each other"
    assert {"events", "sessions", "item_history"} <= set(found["runs"][-1]["unchanged"]), "the last day ran before"
    assert bench.differences({"events": {"2010-12-01": (2, 5)}}, {"events": {"2010-12-01": (2, 6)}})
