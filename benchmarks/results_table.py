"""Write the README's table of results from benchmarks/results/pipeline_*.json.

Usage: python benchmarks/results_table.py
"""

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
BEGIN, END = "<!-- results -->\n", "<!-- end of results -->\n"


def table(results: list[dict[str, Any]]) -> str:
    """Markdown of the results, one block a pipeline."""
    return "\n".join("\n".join(_block(result)) for result in results)


def _block(result: dict[str, Any]) -> list[str]:
    machine = result["machine"]
    name = result["benchmark"].removeprefix("pipeline_")
    rows = sum(account["rows_read"] for account in result["accounting"].values())
    cost = f"{result['seconds'] / 60:.1f} minutes and at most {result['peak_memory_gib']:.1f} GiB"
    where = f"{machine['cores']} cores ({result['date']}, seed {result['seed']})"
    inputs = len(result["accounting"])
    lines = [f"**{name}**: {rows:,} rows read by {inputs} inputs, every one accounted for; {cost} on {where}.", ""]
    if sentiment := result["sentiment"]:
        test = sentiment["test"]
        accuracy = f"{test['accuracy']:.3f} ({test['accuracy_low']:.3f} to {test['accuracy_high']:.3f})"
        lines += [f"Sentiment on {test['num']:,.0f} reviews of items not seen in training: accuracy {accuracy}.", ""]
    if recommend := result["recommend"]:
        lines += ["| nDCG@10 on the held-out last period | value | 95% interval |", "|---|---|---|"]
        models = sorted(recommend["ndcg@10"].items(), key=lambda item: -item[1]["value"])
        lines += [f"| {name} | {m['value']:.4f} | {m['low']:.4f} to {m['high']:.4f} |" for name, m in models]
        gain = recommend["blend_minus_best"]
        lines += [
            f"| blend minus {recommend['best_baseline']} | {gain['value']:.4f} | {gain['low']:.4f} to {gain['high']:.4f} |",
            "",
        ]
    return lines


def read_results() -> list[dict[str, Any]]:
    """Results of the pipelines that have been measured, the demo first."""
    names = ("demo", "online_retail", "amazon_reviews")
    files = [HERE / "results" / f"pipeline_{name}.json" for name in names]
    return [json.loads(file.read_text(encoding="utf-8")) for file in files if file.exists()]


def with_table(readme: str, rendered: str) -> str:
    """The README with its table replaced."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{rendered}\n{END}{after}"


if __name__ == "__main__":
    README.write_text(with_table(README.read_text(encoding="utf-8"), table(read_results())), encoding="utf-8")
