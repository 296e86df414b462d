"""Quality of the next-item model on Amazon Beauty, leave-one-out, all items ranked.

Usage: python benchmarks/quality_next_item.py [--set key=value ...]
Each user's last item is asked for, the one before chooses the epoch, the rest is learned from; items seen before are not
left out. Two Horovod ranks, as the job trains. Writes benchmarks/results/next_item_beauty.json, printed as one line.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
DATA = HERE.parents[1] / "shared" / "data" / "amazon_beauty_sequences"
sys.path.insert(0, str(HERE.parent / "lib"))

import measured

from attune import config
from attune.session import get_session
from attune.training.next_item_model import train_next_item

PACKAGES = ("pyspark", "torch", "horovod", "petastorm")


def main() -> int:
    """Train, measure, write the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of train.next_item")
    given = parser.parse_args()
    if not DATA.is_dir():
        print(f"skipped, no real data in {DATA}", file=sys.stderr)
        return 0
    lines = (DATA / "beauty.txt").read_text(encoding="utf-8").splitlines()
    actions = [(user, item, place) for user, *items in map(str.split, lines) for place, item in enumerate(items)]
    with tempfile.TemporaryDirectory() as workspace:
        changed = [f"train.next_item.{pair}" for pair in given.set]
        settings = config.load([], [f"workspace={workspace}", "train.tracking=[]", *changed], "2014-07-24")
        spark = get_session("quality of next items", settings.spark)
        frame = spark.createDataFrame(actions, "user_id string, item_id string, ts int")
        model = train_next_item(frame, settings, "v1")
    metrics = model.metrics
    figures = {
        "users": len(lines), "items": metrics["num_items"], "test": metrics["test"], "popularity": metrics["popularity"],
        "valid": metrics["valid"], "best_epoch": metrics["best_epoch"], "epochs": len(metrics["epochs"]) - 1,
        "seconds_training": metrics["seconds_training"], "precision": metrics["precision"],
        "parameters": metrics["num_parameters"], "rows_per_rank": model.rows_per_rank,
        "settings": settings.train.next_item.model_dump(),
    }  # fmt: skip
    result = measured.save("next_item_beauty", settings.seed, figures, PACKAGES) if not changed else figures
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
