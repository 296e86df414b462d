"""A Chinese BERT from nothing but the 9,600 training texts of ChnSentiCorp, against the same network without pre-training.

Usage: python benchmarks/quality_chinese.py [--epochs N]
Job finetune learns a vocabulary and pre-trains on the texts of the training set, then learns their labels from there; and
once more from the same vocabulary and random weights. Epochs are chosen on dev; test is looked at once each. Writes
benchmarks/results/texts_chnsenticorp.json, printed as one line.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import measured
from quality_texts import DATA, PACKAGES, ROOT

SIZES = "{layers: 4, width: 256, heads: 4, vocab_size: 8000}"
CLASSIFY = ["task=classification", "epochs=3", "learning_rate=3.0e-4", "head_learning_rate=1.0e-3"]
"""The same for both, and tuned for neither."""


def main() -> int:
    """Train all, write the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=6, help="epochs of pre-training")
    given = parser.parse_args()
    if not DATA.is_dir():
        print(f"skipped, no real data in {DATA}", file=sys.stderr)
        return 0
    language = [f"from_scratch={SIZES}", "task=masked_language", "head_learning_rate=1.0e-3"]
    with tempfile.TemporaryDirectory() as workspace:
        _run("clean", workspace, [])
        pretrained = _run(
            "finetune", workspace, [*language, "name=language", f"epochs={given.epochs}", "learning_rate=1.0e-3"]
        )
        # Hardly a step at hardly any rate: vocabulary and sizes alike, weights random.
        _run(
            "finetune", workspace, [*language, "name=untrained", "epochs=1", "learning_rate=1.0e-12", "max_examples=64"]
        )
        found = {}
        for name in ("language", "untrained"):
            (folder,) = (path.parent for path in Path(workspace).glob(f"models/{name}/*/card.json"))
            found[name] = _run("finetune", workspace, [*CLASSIFY, f"name=from_{name}"], [f"train.encoder={folder}"])
    chosen = ("test", "valid", "best_epoch", "num_parameters", "seconds_training", "precision")
    accuracy = {name: metrics["test"]["accuracy"] for name, metrics in found.items()}
    figures = {
        "sizes": SIZES, "epochs_of_pretraining": given.epochs,
        "perplexity_of_dev": [round(epoch["perplexity"], 1) for epoch in pretrained["epochs"][1:]],
        "seconds_of_pretraining": pretrained["seconds_training"],
        "pretrained": {key: found["language"][key] for key in chosen},
        "not_pretrained": {key: found["untrained"][key] for key in chosen},
        "gain_in_accuracy": round(accuracy["language"] - accuracy["untrained"], 4),
    }  # fmt: skip
    print(json.dumps(measured.save("texts_chnsenticorp", 7, figures, PACKAGES)))
    return 0


def _run(job: str, workspace: str, changed: list[str], more: list[str] | None = None) -> dict[str, Any]:
    """Run a job; returns the metrics of the model that it trained."""
    options = ["--config", "chnsenticorp", "--set", f"workspace={workspace}", "--set", f"inputs.root={DATA}"]
    for pair in [f"train.finetune.{pair}" for pair in changed] + (more or []) + ["train.tracking=[]"]:
        options += ["--set", pair]
    done = subprocess.run(
        [ROOT / "spark-submit.sh", job, *options], check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    metrics = json.loads(Path(done.stdout.splitlines()[-1]).read_text(encoding="utf-8"))["metrics"]
    trained: dict[str, Any] = next((m for m in metrics.values() if "num_steps" in m), {}) if job == "finetune" else {}
    return trained


if __name__ == "__main__":
    sys.exit(main())
