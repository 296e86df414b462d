"""The README tells the results that were measured last."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_readme_shows_the_latest_results() -> None:
    spec = importlib.util.spec_from_file_location("results_table", ROOT / "benchmarks" / "results_table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert module.read_results()
    assert module.with_tables(readme) == readme, "run: python benchmarks/results_table.py"
