"""Core hours that a load takes, from what was measured: cleaning, features, scoring, training, recommendations.

Usage: python benchmarks/sizing.py [--events-per-day N] [--reviews-per-day N] [--training-tokens N] [--users N] [--hours N]
Reads benchmarks/results/*.json. Cleaning is the slope between the smallest and the largest log measured, so that start-up does
not count; the others are of one size, start-up included. All are carried on as straight lines far beyond what was measured.
"""

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
SHUFFLE_ROWS = 2_500_000
"""Events of one shuffle partition in the largest log measured: 20 million in 8."""


@dataclass(frozen=True)
class Load:
    """What comes in and what is asked for."""

    events_per_day: float = 1e9  # actions and impressions
    reviews_per_day: float = 1e6  # of a title and a body
    training_tokens: float = 1e8  # over all epochs of a training
    users: float = 1e8  # who get a list
    hours: float = 6  # in which a day's work must be done


@dataclass(frozen=True)
class Cost:
    """One part of the work: its unit, how much of it there is, and CPU core seconds for one."""

    work: str
    unit: str
    amount: float
    core_seconds: float

    @property
    def core_hours(self) -> float:
        """Of all of it."""
        return self.amount * self.core_seconds / 3600


def costs(load: Load) -> list[Cost]:
    """Parts of a day's work, and of a training."""
    clean, featurize, score = _read("clean"), _read("featurize"), _read("score")
    training, recommend = _read("training"), _read("pipeline_online_retail")
    first, last = clean["sizes"][0], clean["sizes"][-1]
    cleaning = (last["seconds_clean"][0] - first["seconds_clean"][0]) / (last["rows_read"] - first["rows_read"]) * 1e6
    rows = featurize["rows"]["events"] + featurize["rows"]["impressions"]
    features = featurize["seconds"]["spark"] / rows * 1e6
    loop = training["sets"]["amazon"]["loop"]
    kept = {name: account["rows_kept"] for name, account in recommend["accounting"].items()}
    listing = recommend["seconds_by_step"]["recommend"] / kept["users"] * 1e6
    return [
        Cost("clean", "a million events", load.events_per_day / 1e6, cleaning * _cores(clean)),
        Cost("featurize", "a million events", load.events_per_day / 1e6, features * _cores(featurize)),
        Cost("score", "a million texts", 2 * load.reviews_per_day / 1e6, 1e6 / score["rows_per_second"]["spark"] * _cores(score)),
        Cost("train", "a million tokens", load.training_tokens / 1e6, loop["seconds"] / loop["tokens"] * 1e6 * _cores(training)),
        Cost(f"recommend, {kept['items']:,} items", "a million users", load.users / 1e6, listing * _cores(recommend)),
    ]  # fmt: skip


def table(load: Load) -> str:
    """Markdown of the parts, and what they say of a cluster."""
    parts = costs(load)
    lines = ["| work | unit | CPU core seconds each | units | core hours |", "|---|---|---|---|---|"]
    lines += [f"| {p.work} | {p.unit} | {p.core_seconds:,.0f} | {p.amount:,.0f} | {p.core_hours:,.0f} |" for p in parts]
    daily = sum(part.core_hours for part in parts if part.work != "train")
    partitions = max(8, round(load.events_per_day / SHUFFLE_ROWS))
    said = (
        f"A day's work without training: {daily:,.0f} core hours, or {daily / load.hours:,.0f} cores for {load.hours:g} hours; "
        f"`spark.sql.shuffle.partitions` {partitions:,}, so that each holds as many rows as were measured."
    )
    return "\n".join([*lines, "", said])


def on_a_gpu(load: Load) -> str:
    """What one GPU takes for the training, where it was measured."""
    if not (RESULTS / "training_gpu.json").exists():
        return ""
    found = _read("training_gpu")
    rate = found["sets"]["amazon_256"]["loop"]["tokens_per_second"]
    return (
        f"One {found['device']} trains {found['network']}, eight times the work of MiniLM a token, on {rate:,.0f} tokens a second "
        f"(reviews of up to 256 tokens, {found['precision']}): {load.training_tokens / rate / 60:,.0f} minutes for these."
    )


def _read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return found


def _cores(result: dict[str, Any]) -> int:
    return int(result["machine"]["cores"])


def main() -> int:
    """Print the table for a load of one's own."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    default = Load()
    for name in ("events_per_day", "reviews_per_day", "training_tokens", "users", "hours"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=getattr(default, name), metavar="N")
    load = Load(**vars(parser.parse_args()))
    print(table(load), on_a_gpu(load), sep="\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
