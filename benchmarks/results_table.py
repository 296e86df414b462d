"""Write the tables of results and of costs in README.md and docs/ from benchmarks/results/*.json.

Usage: python benchmarks/results_table.py
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path.insert(0, str(HERE))

import sizing


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
        lines += _ranking("the held-out last period", recommend, recommend["best_baseline"])
    return lines


def _ranking(on: str, found: dict[str, Any], best: str) -> list[str]:
    """nDCG@10 of the models, the best first, and of the blend above the best other."""
    models = sorted(found["ndcg@10"].items(), key=lambda item: -item[1]["value"])
    rows = [*models, (f"blend minus {best}", found["blend_minus_best"])]
    lines = [f"| {name} | {m['value']:.4f} | {m['low']:.4f} to {m['high']:.4f} |" for name, m in rows]
    return [f"| nDCG@10 on {on} | value | 95% interval |", "|---|---|---|", *lines, ""]


def read_results() -> list[dict[str, Any]]:
    """Results of the pipelines that have been measured, the demo first."""
    names = ("demo", "online_retail", "amazon_reviews")
    files = [HERE / "results" / f"pipeline_{name}.json" for name in names]
    return [json.loads(file.read_text(encoding="utf-8")) for file in files if file.exists()]


def movielens() -> str:
    """Markdown of the models on MovieLens-100K, the blend against what it is made of."""
    if not _has("movielens_100k"):
        return ""
    found = _read("movielens_100k")
    said = (
        f"**movielens_100k**, under the protocol of published results: {found['items']:,} titles ranked for each of "
        f"{found['users']:,} users ({found['date']}, seed {found['seed']})."
    )
    return "\n".join([said, "", *_ranking("a quarter of the ratings", found, found["best_source"])])


def costs() -> str:
    """Markdown of what cleaning and featurizing cost, against the least that the same rows cost otherwise."""
    clean = _read("clean")
    lines = [
        "| clean, events of one log | seconds | of only reading and writing | times | peak memory |",
        "|---|---|---|---|---|",
    ]
    evenly = [(f"{size['rows_read']:,} rows", size) for size in clean["sizes"]]
    skewed = [(f"{size['rows_read']:,} rows, {name}", size) for name, size in clean["skew"].items()]
    for name, size in evenly + skewed:
        plain, ours = min(size["seconds_read_and_write"]), min(size["seconds_clean"])
        lines.append(f"| {name} | {ours:.0f} | {plain:.0f} | {size['ratio']:.1f} | {size['peak_memory_gib']:.1f} GiB |")
    told = [f"On {clean['machine']['cores']} cores ({clean['date']}, seed {clean['seed']}; `make bench`)."]
    if (HERE / "results" / "featurize.json").exists():
        featurize = _read("featurize")
        seconds, rows = featurize["seconds"], featurize["rows"]
        told.append(
            f"Features of {rows['user_features']:,} users and dates from {rows['events'] + rows['impressions']:,} rows: "
            f"{seconds['spark']:.0f} s, by hand-written DuckDB {seconds['duckdb']:.0f} s, by Polars {seconds['polars']:.0f} s."
        )
    if _has("score"):
        score = _read("score")
        rates = score["rows_per_second"]
        told.append(
            f"Scoring {score['texts']:,} titles and bodies of reviews: {rates['spark']:.0f} a second, "
            f"{score['of_bare_loop']:.2f} of a bare loop of PyTorch and {score['times_udf_by_row']:.1f} times a UDF that takes "
            f"one at a time; a million reviews take {score['seconds_for_a_million_reviews'] / 3600:.1f} hours."
        )
    if _has("score_repeats"):
        repeats = _read("score_repeats")
        told.append(
            f"Of {repeats['bodies']:,} bodies of reviews of which {repeats['share_repeated']:.0%} repeat another: "
            f"{repeats['with_repeats_of_all_differ']:.2f} of the time that they take where all differ."
        )
    if _has("score_precision"):
        formats = _read("score_precision")
        times, int8 = formats["times_float32"], formats["against_float32"]["int8"]
        told.append(
            f"In bfloat16 {formats['rows']:,} reviews are scored {times['bfloat16']:.1f} times as fast as in float32, in int8 "
            f"{times['int8']:.1f} times; int8 changes the accuracy by {int8['accuracy_gain']:+.4f} ({int8['low']:+.4f} to "
            f"{int8['high']:+.4f}), and a probability by {int8['largest_change_of_probability']:.2f} at most."
        )
    if _has("nearest"):
        nearest = _read("nearest")
        beside, exact = nearest["beside_spark"], nearest["exact"]
        users, seconds = max(exact["seconds_by_users"].items(), key=lambda found: int(found[0]))
        told.append(
            f"The {nearest['k']} best of {exact['items']:,} items by {nearest['rank']} factors for {int(users):,} users: "
            f"{seconds:.0f} s; for {beside['users']:,} users and {beside['items']:,} items {beside['times']:.0f} times as "
            "fast as Spark's recommendForAllUsers, with the same lists."
        )
    return "\n".join([*lines, "", *told, ""])


def training() -> str:
    """Markdown of what models learn from public sets, and how fast."""
    lines = ["| learned | measured on | result | training |", "|---|---|---|---|"]
    told = {
        "texts_banking77": "banking77, 77 intents: official test set",
        "texts_lora": "the same with LoRA",
        "texts_sst2": "SST-2, positive or negative: dev set",
    }
    for name, what in told.items():
        if not _has(name):
            continue
        found = _read(name)
        test = found["test"]
        interval = f"accuracy {test['accuracy']:.4f} ({test['accuracy_low']:.4f} to {test['accuracy_high']:.4f})"
        share = found["num_trained_parameters"] / found["num_parameters"]
        learned = "MiniLM" if share == 1 else f"{share:.1%} of MiniLM"
        lines.append(f"| {learned} | {what} | {interval} | {found['seconds_training'] / 60:.0f} min |")
    if _has("next_item_beauty"):
        found = _read("next_item_beauty")
        test, popular = found["test"], found["popularity"]
        result = f"HR@10 {test['hr@10']:.4f}, nDCG@10 {test['ndcg@10']:.4f} (popularity {popular['ndcg@10']:.4f})"
        what = f"Amazon Beauty, each user's last item among all {found['items']:,}"
        lines.append(f"| next item | {what} | {result} | {found['seconds_training'] / 60:.0f} min |")
        if blend := found.get("blend"):
            both = blend["ndcg@10"]["blend"]
            interval = f"{both['low']:.4f} to {both['high']:.4f}"
            gain = blend["blend_minus_best"]
            result = (
                f"HR@10 {blend['hr@10']['blend']:.4f}, nDCG@10 {both['value']:.4f} ({interval}), "
                f"{gain['value']:+.4f} ({gain['low']:+.4f} to {gain['high']:+.4f}) on {blend['best_source']} alone"
            )
            lines.append(
                f"| its blend with EASE, neighbours and popularity | the same, a user's own items left out | {result} | |"
            )
    if _has("texts_chnsenticorp"):
        found = _read("texts_chnsenticorp")
        with_it, without = (found[name]["test"]["accuracy"] for name in ("pretrained", "not_pretrained"))
        seconds = found["seconds_of_pretraining"] + found["pretrained"]["seconds_training"]
        result = f"accuracy {with_it:.4f}, without its pre-training {without:.4f}"
        lines.append(
            f"| a Chinese BERT from its training texts | ChnSentiCorp: test set | {result} | {seconds / 60:.0f} min |"
        )
    if _has("news"):
        found = _read("news")
        areas = found["auc"]
        chosen, others = areas[found["chosen"]], [name for name in areas if not name.startswith("text")]
        best = max(others, key=lambda name: areas[name]["value"])
        result = f"AUC {chosen['value']:.3f} ({chosen['low']:.3f} to {chosen['high']:.3f}), {best} {areas[best]['value']:.3f}"
        what = f"Bing news, clicks on {found['rows']['test']} new titles"
        lines.append(f"| MiniLM | {what} | {result} | {found['seconds'][found['chosen']] / 60:.0f} min |")
    if not _has("training"):
        return "\n".join([*lines, ""])
    speed = _read("training")
    sets = speed["sets"]
    times = {name: f"{value:.1f}" for name, value in sets["banking77"].items() if name.startswith("times_")}
    said = (
        f"Beside the Trainer of transformers, same network, texts, epochs and precision ({speed['precision']}), on banking77: "
        f"{times['times_longest_allowed']} times as fast as with padding to the limit, {times['times_longest_of_batch']} times "
        f"as with padding to the longest of a batch, {times['times_like_lengths']} times as with like lengths together; on the "
        f"Amazon reviews {sets['amazon']['times_like_lengths']:.1f} times as the last. Of the same batches from memory: "
        f"{sets['banking77']['of_memory']:.2f} of the speed ({speed['date']}, seed {speed['seed']}, "
        f"{speed['machine']['cores']} cores)."
    )
    if _has("ranks"):
        ranks = _read("ranks")
        said += f" Two Horovod ranks train at {ranks['ratio']:.2f} of the speed of two processes that share nothing ({ranks['date']})."
    return "\n".join([*lines, "", said, ""])


def _has(name: str) -> bool:
    return (HERE / "results" / f"{name}.json").exists()


def _read(name: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((HERE / "results" / f"{name}.json").read_text(encoding="utf-8"))
    return result


TABLES: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": {"results": lambda: f"{table(read_results())}\n{movielens()}"},
    "docs/models.md": {"training": training},
    "docs/sizing.md": {"costs": costs, "sizing": lambda: "\n\n".join([sizing.table(LOAD), sizing.on_a_gpu(LOAD), ""])},
}
"""What is written between the marks of each page."""
LOAD = sizing.Load()


def with_tables(page: str, text: str) -> str:
    """A page with its tables replaced."""
    for name, render in TABLES[page].items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        text = f"{before}{begin}\n{render()}\n{end}{after}"
    return text


if __name__ == "__main__":
    for name in TABLES:
        page = ROOT / name
        page.write_text(with_tables(name, page.read_text(encoding="utf-8")), encoding="utf-8")
