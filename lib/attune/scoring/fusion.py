"""One vector an item from those of its text and of its picture, either of which may be missing.

A fused vector is the text part times ``sqrt(1 - weight)`` beside the image part times ``sqrt(weight)``, so the inner product of two
items that have both is ``(1 - weight) * cosine of the texts + weight * cosine of the pictures``. Vectors of image encoders lie
in a narrow cone; the cosine of pictures is therefore taken around the mean picture of the catalogue.

A missing part is what a ridge regression, learned on the items that have both, expects of it from the other part. It is shorter
than 1, by as much as the other part leaves open, and stays so: the inner product with an item that has both is then the same
weighted mean with the *expected* cosine in place of the cosine that nobody knows. Where pictures have nothing to do with texts
that is ``(1 - weight) * cosine of the texts``. Neither zeros nor parts stretched to length 1 order items as well
(``benchmarks/quality_item_vectors.py``).

Shapes: N items, T features of a text vector, V of an image vector; a missing vector is a row of zeros.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_RIDGES = tuple(10.0**power for power in range(-3, 4))
_CENTRE_PRIOR = 20
"""Pictures from which the mean picture counts for more than half: the mean of a few says little but what they are."""


@dataclass(frozen=True)
class Fusion:
    """How the vectors of a catalogue are fused."""

    weight: float  # share of the picture
    centre: Floats  # [V]
    to_image: Floats  # [T + 1, V]; last row: the intercept
    to_text: Floats  # [V + 1, T]

    def __call__(self, text: Floats, image: Floats) -> Floats:
        """Vectors [N, T] and [N, V] fused to [N, T + V], at most 1 long; zeros where both are missing."""
        has_text, has_image = text.any(axis=1), image.any(axis=1)
        centred = _centred(image, self.centre)
        expected_image = _shortened(text @ self.to_image[:-1] + self.to_image[-1])
        expected_text = _shortened(centred @ self.to_text[:-1] + self.to_text[-1])
        text_part = np.where(has_text[:, None], text, np.where(has_image[:, None], expected_text, 0))
        image_part = np.where(has_image[:, None], centred, np.where(has_text[:, None], expected_image, 0))
        parts = [np.sqrt(1 - self.weight) * text_part, np.sqrt(self.weight) * image_part]
        return np.concatenate(parts, axis=1, dtype=np.float32)


def learn_fusion(text: Floats, image: Floats, weight: float) -> Fusion:
    """The mean picture, and what text and picture tell of each other, from the vectors [N, T] and [N, V] of some items."""
    has_text, has_image = text.any(axis=1), image.any(axis=1)
    num = int(has_image.sum())
    centre = image[has_image].sum(axis=0) / (num + _CENTRE_PRIOR)
    centred, both = _centred(image, centre), has_text & has_image
    return Fusion(weight, centre.astype(np.float32), ridge(text[both], centred[both]), ridge(centred[both], text[both]))


def _centred(image: Floats, centre: Floats) -> Floats:
    """Pictures around the mean one, of length 1."""
    moved = image - centre
    length = np.linalg.norm(moved, axis=1, keepdims=True)
    unit = np.divide(moved, length, out=np.zeros_like(moved), where=length > 0)
    return np.where(image.any(axis=1)[:, None], unit, 0).astype(np.float32)


def ridge(known: NDArray, asked: NDArray) -> Floats:
    """Weights and intercept [D + 1, E]; how strongly they are held small is chosen by leaving out one item at a time."""
    from sklearn.linear_model import RidgeCV

    if len(known) < 2 or not known.shape[1] or not asked.shape[1]:
        return np.zeros((known.shape[1] + 1, asked.shape[1]), np.float32)
    fitted = RidgeCV(alphas=_RIDGES).fit(known.astype(np.float64), asked.astype(np.float64))
    return np.vstack([fitted.coef_.T, fitted.intercept_]).astype(np.float32)


def _shortened(expected: NDArray) -> NDArray:
    """An expectation of vectors of length 1 is no longer than that."""
    return expected / np.maximum(np.linalg.norm(expected, axis=1, keepdims=True), 1)
