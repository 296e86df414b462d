"""Speed of the training loop on a GPU: BERT-base at lengths 64 and 256, beside the Trainer, and as a share of the peak.

Usage: python benchmarks/bench_gpu.py [FOLDER] [--prepare] [--only SET] [--output FOLDER]
``--prepare`` tokenises the real texts (banking77 and Amazon reviews at 64, reviews at 256) into FOLDER and ends, so that nothing
but it and this project need travel to a machine with a GPU; elsewhere there is nothing to measure. The weights are drawn by chance: speed does not depend on them. Every program goes through all rows
once before its clock runs. Writes training_gpu.json into benchmarks/results, or into ``--output``.

MFU counts the arithmetic that the tokens of the texts need, padding left out: 6 operations for each weight of the layers'
matrix products and token, and 12 for each layer, feature and pair of tokens of a text (Chowdhery et al. 2022, appendix B);
of the peak that NVIDIA's data sheet gives for dense bfloat16.
"""

import argparse
import csv
import gzip
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

HERE = Path(__file__).parent
DATA = HERE.parents[1] / "shared" / "data"
sys.path.insert(0, str(HERE.parent / "lib"))

import measured
from training_programs import PROGRAMS, Done, Work, ratios, read_rows, run_loop, write_rows

from attune.training.plan import LoopSettings

SEED = 7
PEAK_FLOPS = {"H100": 989.4e12, "H200": 989.4e12}
"""Dense bfloat16 with tensor cores, SXM (NVIDIA's data sheets)."""
SETS = {
    "banking77_64": {"max_tokens": 64, "tokens_per_batch": 8192, "trainer_batch": 512, "epochs": 4},
    "amazon_64": {"max_tokens": 64, "tokens_per_batch": 65536, "trainer_batch": 1024, "epochs": 3},
    "amazon_256": {"max_tokens": 256, "tokens_per_batch": 65536, "trainer_batch": 256, "epochs": 2},
}
"""Batches of the loop and of the Trainer hold about as many texts."""
COMPILED = ("amazon_64", "amazon_256")
"""Sets on which the loop is also measured with torch.compile, which takes a minute."""
RATES = (5e-5, 1e-4)
"""Peak rates of the encoder and of what is new."""
PACKAGES = ("torch", "transformers", "accelerate", "pyarrow")


def main() -> int:
    """Prepare or measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?", default=HERE.parent / "build" / "gpu")
    parser.add_argument("--prepare", action="store_true")
    parser.add_argument("--only", choices=tuple(SETS), action="append")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    if given.prepare:
        prepare(given.folder)
        return 0
    if not torch.cuda.is_available():
        print("skipped, no GPU", file=sys.stderr)
        return 0
    if not (given.folder / next(iter(SETS))).is_dir():
        prepare(given.folder)
    device = torch.device("cuda")
    name = torch.cuda.get_device_name(device)
    peak = next((flops for key, flops in PEAK_FLOPS.items() if key in name), float("nan"))
    encoder = _fresh_bert_base(given.folder)
    work = {chosen: _work(given.folder, chosen, encoder, device) for chosen in given.only or SETS}
    found = {chosen: measure(of, given.folder / chosen, PROGRAMS, peak) for chosen, of in work.items()}
    print(json.dumps(found), flush=True)
    for chosen, of in work.items():
        found[chosen] |= ratios(found[chosen])
        if chosen in COMPILED:
            compiled = replace(of, settings=replace(of.settings, compile=True))
            found[chosen] |= measure(compiled, given.folder / chosen, {"loop_compiled": run_loop}, peak)
    figures = {
        "device": name, "peak_tflops": peak / 1e12, "matrix_product_tflops": _matrix_product(device), "network": "BERT-base",
        "precision": "bfloat16", "warm_up": "all rows, once", "sets": found,
    }  # fmt: skip
    if given.output:
        measured.RESULTS = given.output
    print(json.dumps(measured.save("training_gpu", SEED, figures, PACKAGES)))
    return 0


def prepare(folder: Path) -> None:
    """Token ids and labels of the texts, as Parquet."""
    from attune.models.encoder import load_tokenizer
    from attune.models.tokens import TextEncoder

    with (DATA / "banking77" / "train.csv").open(encoding="utf-8") as file:
        queries = [(row["text"], row["category"]) for row in csv.DictReader(file)]
    with gzip.open(DATA / "amazon_reviews" / "reviews.jsonl.gz", "rt", encoding="utf-8") as file:
        reviews = [json.loads(line) for line in file]
    rated = [(f"{r['title']}\n{r['review_text']}", str(int(float(r["rating"]) > 3))) for r in reviews]
    for name, settings in SETS.items():
        rows = queries if name.startswith("banking77") else rated
        labels = sorted({label for _, label in rows})
        tokens = TextEncoder(load_tokenizer("minilm"), settings["max_tokens"]).encode([text for text, _ in rows])
        (folder / name).mkdir(parents=True, exist_ok=True)
        write_rows(folder / name, tokens, np.array([labels.index(label) for _, label in rows]), num_files=4)


def measure(
    work: Work, folder: Path, programs: Mapping[str, Callable[[Work, Path], Done]], peak: float
) -> dict[str, Any]:
    """What each program takes for one set of texts."""
    rows = read_rows(folder)
    epochs = work.settings.epochs
    flops = training_flops(rows.tokens["tokens"].lengths) * epochs
    found: dict[str, Any] = {"rows": len(rows), "tokens": rows.num_tokens, "settings": SETS[folder.name]}
    for program, run in programs.items():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        done = run(work, folder)
        found[program] = {
            "seconds": round(done.seconds, 2), "steps": done.steps,
            "texts_per_second": round(len(rows) * epochs / done.seconds),
            "tokens_per_second": round(rows.num_tokens * epochs / done.seconds),
            "mfu": round(flops / done.seconds / peak, 4),
            "memory_gib": round(torch.cuda.max_memory_allocated() / 2**30, 2),
        }  # fmt: skip
        print(folder.name, program, found[program], file=sys.stderr, flush=True)
    return found


def _work(folder: Path, name: str, encoder: str, device: torch.device) -> Work:
    settings = SETS[name]
    num_labels = int(read_rows(folder / name).values["label"].max()) + 1
    return Work(
        encoder, [str(n) for n in range(num_labels)], settings["max_tokens"],
        LoopSettings(settings["epochs"], settings["tokens_per_batch"], *RATES, 0.1, 0.01, 1.0, seed=SEED),
        settings["trainer_batch"], RATES, device, warm_up=True,
    )  # fmt: skip


def training_flops(lengths: Sequence[int] | np.ndarray, layers: int = 12, features: int = 768) -> float:
    """Operations of a forward and backward pass through BERT's layers over texts of so many tokens.

    >>> round(training_flops([64]) / 64 / 1e6)
    517
    """
    weights = layers * 12 * features**2
    own = np.asarray(lengths, np.float64)
    return float(6 * weights * own.sum() + 12 * layers * features * (own**2).sum())


def _fresh_bert_base(folder: Path) -> str:
    from transformers import BertConfig, BertModel

    torch.manual_seed(SEED)
    BertModel(BertConfig(), add_pooling_layer=False).save_pretrained(folder / "bert-base")
    return str(folder / "bert-base")


def _matrix_product(device: torch.device, size: int = 8192, repeats: int = 10) -> float:
    """TFLOP/s of a product of two large bfloat16 matrices: what the card gives at best."""
    first, second = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        first @ second
    events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
    events[0].record()
    for _ in range(repeats):
        first @ second
    events[1].record()
    torch.cuda.synchronize()
    return round(2 * size**3 * repeats / (events[0].elapsed_time(events[1]) / 1000) / 1e12, 1)


if __name__ == "__main__":
    sys.exit(main())
