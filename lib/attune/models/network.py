"""What every network of ours has in common: how it is stored, filled up and applied.

Shapes: B rows, T tokens.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Network(nn.Module):
    """A network that a model folder holds; ``kind`` in its ``network.json`` says which class reads it."""

    kind: ClassVar[str]

    @property
    def num_outputs(self) -> int:
        """Numbers that a task's outputs hold for one token column of a row."""
        raise NotImplementedError

    @property
    def pad_id(self) -> int:
        """Id that fills up short rows of a batch."""
        return 0

    def description(self) -> dict[str, Any]:
        """What ``network.json`` says besides kind and length, as plain JSON values."""
        return {}

    def save_config(self, folder: Path) -> None:
        """Write what ``from_folder`` needs besides ``network.json``."""

    @classmethod
    def from_folder(cls, folder: Path, description: Mapping[str, Any]) -> Self:
        """Network as stored, its weights yet to be filled in."""
        raise NotImplementedError

    def stored_weights(self) -> dict[str, torch.Tensor]:
        """Weights by the names they have in ``model.safetensors``."""
        return dict(self.state_dict())

    def load_stored_weights(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Fill in weights of ``stored_weights``; all must be there."""
        self.load_state_dict(dict(weights))

    def for_texts(self, max_new_tokens: int) -> "Network":
        """The part that scoring applies to texts alone; ``max_new_tokens`` is for those that write."""
        return self

    @property
    def added_tokens(self) -> int:
        """Tokens that a text grows by while the network works on it: room for them is kept in a batch."""
        return 0

    def predict(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """What scoring reports of each text: (B, T) ids and mask to (B, num_outputs)."""
        outputs: torch.Tensor = self(ids, mask)
        return outputs


class EncoderNetwork(Network):
    """Network on an encoder whose settings stand in ``config.json``."""

    encoder: "PreTrainedModel"

    @property
    def pad_id(self) -> int:
        """Padding id that the encoder's settings name, else 0."""
        found = getattr(self.encoder.config, "pad_token_id", None)
        return 0 if found is None else int(found)

    def save_config(self, folder: Path) -> None:
        """Write the encoder's settings."""
        self.encoder.config.save_pretrained(folder)
