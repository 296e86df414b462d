"""BERT that says which words are hidden; its folder is also an encoder to start other tasks from.

Shapes: B texts, T tokens, M hidden tokens, D features, V words of the vocabulary.
"""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import nn

from attune.errors import InputError
from attune.models.encoder import encoder_from_config, locate_encoder
from attune.models.network import EncoderNetwork

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_STORED = {"encoder.": "bert.", "head.": "cls.predictions."}
"""Our names and those of transformers' BertForMaskedLM."""


class PredictionHead(nn.Module):
    """Dense layer, activation, norm; then inner products with the word embeddings, plus a bias for each word."""

    def __init__(self, config: Any) -> None:
        from transformers.activations import ACT2FN

        super().__init__()
        width = int(config.hidden_size)
        self.transform = nn.ModuleDict({
            "dense": nn.Linear(width, width), "LayerNorm": nn.LayerNorm(width, eps=config.layer_norm_eps)
        })  # fmt: skip
        nn.init.normal_(self.transform["dense"].weight, std=config.initializer_range)  # type: ignore[arg-type]
        nn.init.zeros_(self.transform["dense"].bias)  # type: ignore[arg-type]
        self.bias = nn.Parameter(torch.zeros(int(config.vocab_size)))
        self._activation = ACT2FN[config.hidden_act]

    def forward(self, hidden: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        """(M, D) and (V, D) to (M, V) logits."""
        transformed = self.transform["LayerNorm"](self._activation(self.transform["dense"](hidden)))
        return nn.functional.linear(transformed, words, self.bias)


class MaskedLanguageModel(EncoderNetwork):
    """Encoder and a prediction head that shares the word embeddings (Devlin et al. 2018).

    Stored as transformers' BertForMaskedLM is. Raises InputError where the encoder is no BERT.
    """

    kind = "masked_language"

    def __init__(self, encoder: "PreTrainedModel") -> None:
        super().__init__()
        if encoder.config.model_type != "bert":
            raise InputError(f"masked-language training needs a BERT, but the encoder is a {encoder.config.model_type}")
        self.encoder = encoder
        self.head = PredictionHead(encoder.config)

    @property
    def num_outputs(self) -> int:
        """Log loss, right answers and hidden tokens of a text."""
        return 3

    def save_config(self, folder: Path) -> None:
        """Write the settings of a BertForMaskedLM."""
        config = deepcopy(self.encoder.config)
        config.architectures = ["BertForMaskedLM"]
        config.save_pretrained(folder)

    @classmethod
    def from_folder(cls, folder: Path, description: Mapping[str, Any]) -> Self:
        """Network as stored, its weights yet to be filled in."""
        return cls(encoder_from_config(folder))

    def stored_weights(self) -> dict[str, torch.Tensor]:
        """Weights by transformers' names."""
        return {_renamed(name, _STORED): value for name, value in self.state_dict().items()}

    def load_stored_weights(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Fill in weights by transformers' names."""
        ours = {stored: name for name, stored in _STORED.items()}
        self.load_state_dict({_renamed(name, ours): value for name, value in weights.items()})

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, hidden_at: torch.Tensor) -> torch.Tensor:
        """(B, T) ids and mask to logits (M, V) at the places where ``hidden_at``, bool (B, T), is set."""
        hidden = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        return self.head(hidden[hidden_at], self.encoder.get_input_embeddings().weight)


def load_head(network: MaskedLanguageModel, encoder: str) -> bool:
    """Fill in the prediction head of a local encoder folder; False, and nothing done, where it has none."""
    from safetensors import safe_open

    prefix = _STORED["head."]
    names = {f"{prefix}{name}" for name in network.head.state_dict()}
    for file in sorted(Path(locate_encoder(encoder)).glob("*.safetensors")):
        with safe_open(file, "pt") as stored:
            if names <= set(stored.keys()):
                network.head.load_state_dict({n.removeprefix(prefix): stored.get_tensor(n) for n in names})
                return True
    return False


def _renamed(name: str, prefixes: Mapping[str, str]) -> str:
    for old, new in prefixes.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    raise InputError(f"the stored weights hold {name}, which is no part of a BertForMaskedLM")
