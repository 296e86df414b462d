"""Quality of job finetune on public sets of labelled texts, in two Horovod ranks, as a user runs it.

Usage: python benchmarks/quality_texts.py [banking77] [sst2] [lora]
banking77: 77 intents, the official split. sst2: its dev set, which nothing is chosen on: the epoch is chosen on a tenth of
the training texts. lora: banking77 again with adapters of rank 12 in place of the encoder's weights. Each writes
benchmarks/results/texts_NAME.json and prints it as one line.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import measured

HERE = Path(__file__).parent
ROOT = HERE.parent
DATA = ROOT.parent / "shared" / "data"
PACKAGES = ("pyspark", "torch", "transformers", "horovod", "petastorm", "peft")
RUNS: dict[str, tuple[str, list[str]]] = {
    "banking77": ("banking77", []),
    "sst2": ("sst2", []),
    "lora": ("banking77", ["train.finetune.lora_rank=12", "train.finetune.learning_rate=2.0e-3"]),
}
"""Name -> settings file, and settings on top of it."""


def main(names: list[str]) -> int:
    """Measure each set named."""
    for name in names or list(RUNS):
        if not DATA.is_dir():
            print(f"{name}: skipped, no real data in {DATA}", file=sys.stderr)
            continue
        print(json.dumps(measure(name)))
    return 0


def measure(name: str) -> dict[str, Any]:
    """Clean and fine-tune in a fresh workspace."""
    conf, changed = RUNS[name]
    log = ROOT / "build" / f"texts_{name}.log"
    log.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as workspace, log.open("w") as output:
        options = ["--config", conf]
        for pair in (f"workspace={workspace}", f"inputs.root={DATA}", *changed):
            options += ["--set", pair]
        began = time.monotonic()
        for job in ("clean", "finetune"):
            subprocess.run(
                [ROOT / "spark-submit.sh", job, *options], check=True, cwd=ROOT, stdout=output, stderr=output
            )
        seconds = time.monotonic() - began
        summaries = [json.loads(file.read_text()) for file in Path(workspace).glob("runs/*/summary.json")]
        (card,) = Path(workspace).glob("models/*/*/card.json")
        settings = json.loads(card.read_text())["settings"]
    metrics = {summary["job"]: summary["metrics"] for summary in summaries}
    (trained,) = metrics["finetune"].values()
    names = ("test", "valid", "epochs", "best_epoch", "num_parameters", "num_trained_parameters", "seconds_training",
             "precision", "rows_per_rank")  # fmt: skip
    figures = {
        "accounting": metrics["clean"]["accounting"], "seconds": round(seconds),
        **{key: trained[key] for key in names}, "settings": settings["finetune"],
    }  # fmt: skip
    return measured.save(f"texts_{name}", settings.get("seed", 7), figures, PACKAGES)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
