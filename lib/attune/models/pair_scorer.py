"""Cross-encoder: two texts read together, and one logit that says how well they match.

Shapes: B pairs, T tokens of a pair, D features of the encoder.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import nn

from attune.models.encoder import encoder_from_config, mean_pool
from attune.models.network import EncoderNetwork

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class PairScorer(EncoderNetwork):
    """Encoder over ``[CLS] a [SEP] b [SEP]``, mean over the tokens, dropout, one linear layer (Nogueira and Cho 2019).

    What follows the first ``separator_id`` is of the second text; encoders that tell texts apart by token types are
    told so.
    """

    kind = "pair_scorer"

    def __init__(self, encoder: "PreTrainedModel", separator_id: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.encoder = encoder
        self.separator_id = separator_id
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(int(encoder.config.hidden_size), 1)

    @property
    def num_outputs(self) -> int:
        """One probability."""
        return 1

    def description(self) -> dict[str, Any]:
        """Id of the separator."""
        return {"separator_id": self.separator_id}

    @classmethod
    def from_folder(cls, folder: Path, description: Mapping[str, Any]) -> Self:
        """Network as stored, its weights yet to be filled in."""
        return cls(encoder_from_config(folder), int(description["separator_id"]))

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(B, T) ids and mask to float32 (B,) logits."""
        inputs = {"input_ids": ids, "attention_mask": mask}
        if (getattr(self.encoder.config, "type_vocab_size", None) or 0) > 1:
            inputs["token_type_ids"] = token_types(ids, mask, self.separator_id)
        pooled = self.dropout(mean_pool(self.encoder(**inputs).last_hidden_state, mask))
        with torch.autocast(pooled.device.type, enabled=False):
            logits: torch.Tensor = self.head(pooled)
        return logits[:, 0]

    def predict(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Probability that the texts match, (B, 1)."""
        probabilities: torch.Tensor = self(ids, mask).sigmoid()
        return probabilities[:, None]


def token_types(ids: torch.Tensor, mask: torch.Tensor, separator_id: int) -> torch.Tensor:
    """0 up to the first separator, 1 after it, 0 in the padding; int64 (B, T).

    >>> token_types(torch.tensor([[2, 7, 3, 8, 3, 0]]), torch.tensor([[1, 1, 1, 1, 1, 0]]), 3).tolist()
    [[0, 0, 0, 1, 1, 0]]
    """
    separator = (ids == separator_id).long()
    return ((separator.cumsum(1) - separator) > 0).long() * mask
