"""How well fused item vectors find what users take, where some items have no picture: forms of the missing part compared.

Usage: python benchmarks/quality_item_vectors.py
Made-up catalogues with a known answer: 2,000 items whose texts and pictures tell a shared part and a part of their own, pictures
in a cone as those of image encoders; 300 users with a taste in all of it take 15 items and then 20 of those that are new.
Each form ranks the new ones by the mean of what was taken: nDCG@20, and how often items without a picture are in the lists for
once that they are taken (1: neither favoured nor passed over). Means over 3 catalogues for each strength of the shared part (0.1,
0.5, 0.9) and share of items without a picture (0.1, 0.5, 0.9). Writes benchmarks/results/item_vectors.json.
"""

import itertools
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "lib"))

import measured

from attune.scoring.fusion import Fusion, learn_fusion, ridge

SEED, CATALOGUES, ITEMS, USERS = 7, 3, 2_000, 300
SHARED, MISSING = (0.1, 0.5, 0.9), (0.1, 0.5, 0.9)
HISTORY, TAKEN, WEIGHT = 15, 20, 0.5
LATENT, TEXT_WIDTH, IMAGE_WIDTH, NOISE, CONE = 8, 96, 128, 0.25, 1.0
SHARPNESS = 2.5
"""How much taste counts beside chance in what a user takes."""
PACKAGES = ("numpy", "scikit-learn")

Matrix = NDArray[np.float64]


def main() -> int:
    """Measure, write the result."""
    found: dict[str, dict[str, list[float]]] = {}
    for shared, missing, number in itertools.product(SHARED, MISSING, range(CATALOGUES)):
        rng = np.random.default_rng([SEED, number, int(10 * shared), int(10 * missing)])
        for form, (quality, parity) in measure(rng, shared, missing).items():
            of_form = found.setdefault(form, {})
            of_form.setdefault(f"shared {shared}, missing {missing}", []).append(quality)
            of_form.setdefault("all", []).append(quality)
            of_form.setdefault("listed_per_taken", []).append(parity)
    figures = {
        form: {case: round(float(np.mean(values)), 4) for case, values in cases.items()}
        for form, cases in found.items()
    }
    print(json.dumps(measured.save("item_vectors", SEED, {"forms": figures}, PACKAGES)))
    return 0


def measure(rng: np.random.Generator, shared: float, missing: float) -> dict[str, tuple[float, float]]:
    """nDCG@20 of every form on one catalogue, and how often items without a picture are listed for once that they are taken."""
    text, image, latent = catalogue(rng, shared)
    has = rng.random(ITEMS) >= missing
    new = rng.random(ITEMS) < 0.3
    liked = rng.normal(size=(USERS, latent.shape[1])) @ latent.T
    liked /= liked.std(axis=1, keepdims=True)
    history, taken = (choose(rng, liked, np.flatnonzero(some), k) for some, k in ((~new, HISTORY), (new, TAKEN)))
    without = ~has
    result = {}
    for form, vectors in forms(text, image, has).items():
        taste = unit(vectors[history].mean(axis=1))
        offered = np.flatnonzero(new)
        listed = offered[np.argsort(-(taste @ vectors[offered].T), axis=1)[:, :TAKEN]]
        hits = np.stack([np.isin(own, true) for own, true in zip(listed, taken, strict=True)])
        gain = 1 / np.log2(np.arange(2, TAKEN + 2))
        result[form] = (float((hits @ gain).mean() / gain.sum()), float(without[listed].mean() / without[taken].mean()))
    return result


def catalogue(rng: np.random.Generator, shared: float) -> tuple[Matrix, Matrix, Matrix]:
    """Text vectors, image vectors and what both tell, of every item."""
    drawn = rng.normal(size=(3, ITEMS, LATENT))
    sides = [np.hstack([np.sqrt(shared) * drawn[0], np.sqrt(1 - shared) * own]) for own in drawn[1:]]
    text, image = (
        side @ rng.normal(size=(2 * LATENT, width)) / np.sqrt(2 * LATENT) + NOISE * rng.normal(size=(ITEMS, width))
        for side, width in zip(sides, (TEXT_WIDTH, IMAGE_WIDTH), strict=True)
    )
    return unit(text), unit(image + CONE * rng.normal(size=IMAGE_WIDTH)), np.hstack(sides)


def choose(rng: np.random.Generator, liked: Matrix, items: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """k items that each user takes of some."""
    chance = rng.gumbel(size=(len(liked), len(items)))
    return items[np.argsort(-(SHARPNESS * liked[:, items] + chance), axis=1)[:, :k]]


def forms(text: Matrix, image: Matrix, has: NDArray[np.bool_]) -> dict[str, Matrix]:
    """Vectors of all items by form."""
    seen = np.where(has[:, None], image, 0)
    ours = learn_fusion(text.astype(np.float32), seen.astype(np.float32), WEIGHT)
    width = text.shape[1]

    def fused(fusion: Fusion, pictures: Matrix) -> Matrix:
        return fusion(text.astype(np.float32), pictures.astype(np.float32)).astype(np.float64)

    def stretched(vectors: Matrix) -> Matrix:
        return np.hstack([vectors[:, :width], np.sqrt(WEIGHT) * unit(vectors[:, width:])])

    zeros = fused(replace(ours, to_image=np.zeros_like(ours.to_image)), seen)
    expected = fused(ours, seen)
    return {
        "expected by ridge (ours)": expected,
        "expected by ridge, part of length 1": stretched(expected),
        "expected by ridge, whole of length 1": unit(expected),
        "zeros": zeros,
        "zeros, whole of length 1": unit(zeros),
        "expected by ridge, pictures not centred": fused(uncentred(text, seen), seen),
        "text alone": text,
        "every picture known": fused(ours, image),
    }


def uncentred(text: Matrix, image: Matrix) -> Fusion:
    """As ours, but with the cosine of pictures as the encoder gives it."""
    fusion = learn_fusion(text.astype(np.float32), image.astype(np.float32), WEIGHT)
    both = image.any(axis=1)
    return replace(fusion, centre=np.zeros_like(fusion.centre), to_image=ridge(text[both], image[both]))


def unit(matrix: Matrix) -> Matrix:
    """Rows of length 1; zeros stay."""
    length = np.linalg.norm(matrix, axis=1, keepdims=True)
    return np.divide(matrix, length, out=np.zeros_like(matrix), where=length > 0)


if __name__ == "__main__":
    sys.exit(main())
