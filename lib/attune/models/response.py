"""Response model: a text and what is known of user and item, to the probability of a response.

Shapes: B rows, T tokens, D features of the encoder, F behaviour features.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import nn

from attune.errors import SettingsError
from attune.models.encoder import encoder_from_config, mean_pool
from attune.models.network import EncoderNetwork, Network

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def signed_log(values: np.ndarray) -> np.ndarray:
    """What a response model is given of behaviour: logarithms, since counts and hours spread over orders of magnitude.

    >>> signed_log(np.array([-9.0, 0.0, 9.0])).round(4).tolist()
    [-2.3026, 0.0, 2.3026]
    """
    scaled: np.ndarray = np.sign(values) * np.log1p(np.abs(values))
    return scaled


class ResponseModel(EncoderNetwork):
    """Mean over the text's tokens beside standardised features, a hidden layer, one logit; then a calibration.

    ``means`` and ``deviations`` standardise the features; one that does not vary counts as it is. A feature that is
    nan becomes 0, its mean, and an indicator beside it becomes 1. A text without tokens has a vector of its own, which
    is learned. ``features``: their names, for whoever asks later. ``slope`` and ``intercept`` turn a logit into a calibrated
    one (``attune.training.calibration``).

    Raises SettingsError where there are not as many means as deviations.
    """

    kind = "response"

    def __init__(
        self, encoder: "PreTrainedModel", means: Sequence[float], deviations: Sequence[float], hidden: int = 64,
        dropout: float = 0.1, features: Sequence[str] = (),
    ) -> None:  # fmt: skip
        super().__init__()
        if len(means) != len(deviations):
            raise SettingsError(f"{len(means)} means, but {len(deviations)} deviations: give one of each a feature")
        self.encoder = encoder
        self.means, self.deviations, self.hidden = list(means), list(deviations), hidden
        self.features = list(features)
        self.slope, self.intercept = 1.0, 0.0
        width = int(encoder.config.hidden_size)
        self.no_text = nn.Parameter(torch.zeros(width))
        self.head = nn.Sequential(
            nn.Linear(width + 2 * len(self.means), hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, 1)
        )

    @property
    def num_outputs(self) -> int:
        """Logit before the calibration, and probability after it."""
        return 2

    def description(self) -> dict[str, Any]:
        """Standardisation, size and calibration."""
        names = ("features", "means", "deviations", "hidden", "slope", "intercept")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_folder(cls, folder: Path, description: Mapping[str, Any]) -> Self:
        """Network as stored, its weights yet to be filled in."""
        encoder = encoder_from_config(folder)
        network = cls(
            encoder, description["means"], description["deviations"], int(description["hidden"]),
            features=description["features"],
        )  # fmt: skip
        network.slope, network.intercept = float(description["slope"]), float(description["intercept"])
        return network

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """(B, T) ids and mask and (B, F) features to float32 (B,) logits before the calibration."""
        return self.of_vectors(self.text_vectors(ids, mask), features)

    def of_vectors(self, vectors: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """(B, D) vectors of texts and (B, F) features to float32 (B,) logits before the calibration."""
        inputs = torch.cat([vectors, self._standardised(features)], 1)
        with torch.autocast(inputs.device.type, enabled=False):
            logits: torch.Tensor = self.head(inputs)
        return logits[:, 0]

    def probabilities(self, ids: torch.Tensor, mask: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """Calibrated probability of a response, (B,); inputs as of ``forward``."""
        return self.calibrated(self(ids, mask, features))

    def calibrated(self, logits: torch.Tensor) -> torch.Tensor:
        """Probabilities of logits."""
        return (self.slope * logits + self.intercept).sigmoid()

    def predict(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """A text alone is not enough; use ``probabilities``."""
        raise NotImplementedError("a response model scores a text together with its features")

    def text_vectors(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Vector of each text, float32 (B, D); texts without tokens have that of no text."""
        # Attention over no token is undefined, so rows without text stay out.
        has_text = mask.any(1) if mask.shape[1] else mask.new_zeros(len(mask), dtype=torch.bool)
        vectors = self.no_text.expand(len(ids), -1)
        if not has_text.any():
            return vectors
        found = _pooled(self.encoder, ids[has_text], mask[has_text])
        return vectors.index_put((has_text.nonzero()[:, 0],), found)

    def for_texts(self, max_new_tokens: int) -> Network:
        """What reads the texts, so that each is read once, however many rows it stands in; the rest is ``of_vectors``."""
        return ResponseTexts(self.encoder)

    def _standardised(self, features: torch.Tensor) -> torch.Tensor:
        """Standardised features and their indicators, float32 (B, 2 F)."""
        means, deviations = (
            torch.tensor(v, dtype=features.dtype, device=features.device) for v in (self.means, self.deviations)
        )
        missing = features.isnan()
        scaled = (features - means) / torch.where(deviations > 0, deviations, 1.0)
        return torch.cat([scaled.masked_fill(missing, 0.0), missing], 1).float()


class ResponseTexts(EncoderNetwork):
    """The part of a response model that reads texts: (B, T) ids and mask to float32 (B, D) vectors."""

    kind = "response_texts"

    def __init__(self, encoder: "PreTrainedModel") -> None:
        super().__init__()
        self.encoder = encoder

    @property
    def num_outputs(self) -> int:
        """Number of features of a vector, D."""
        return int(self.encoder.config.hidden_size)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Mean over the tokens of each text, of which there must be some."""
        return _pooled(self.encoder, ids, mask)


def _pooled(encoder: "PreTrainedModel", ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return mean_pool(encoder(input_ids=ids, attention_mask=mask).last_hidden_state, mask)
