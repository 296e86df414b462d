"""Networks on top of an encoder, and how they are written to and read from a model folder.

Shapes: B texts, T tokens, D features of the encoder, C classes.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from attune.errors import InputError
from attune.models.encoder import encoder_from_config, mean_pool

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedModel

WEIGHTS = "model.safetensors"
TOKENIZER = "tokenizer.json"
_NETWORK = "network.json"


class TextEmbedder(nn.Module):
    """Encoder, mean over the tokens, length 1: texts with a like meaning have vectors with a high inner product."""

    kind = "embedder"

    def __init__(self, encoder: "PreTrainedModel") -> None:
        super().__init__()
        self.encoder = encoder

    @property
    def num_outputs(self) -> int:
        """Number of features of a vector, D."""
        return int(self.encoder.config.hidden_size)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(B, T) ids and mask to float32 (B, D) vectors of length 1."""
        hidden = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        return nn.functional.normalize(mean_pool(hidden, mask), dim=-1)


class TextClassifier(nn.Module):
    """Encoder, mean over the tokens, dropout, one linear layer."""

    kind = "classifier"

    def __init__(self, encoder: "PreTrainedModel", labels: Sequence[str], dropout: float = 0.1) -> None:
        super().__init__()
        self.encoder = encoder
        self.labels = list(labels)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(int(encoder.config.hidden_size), len(self.labels))

    @property
    def num_outputs(self) -> int:
        """Number of classes, C."""
        return len(self.labels)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(B, T) ids and mask to float32 (B, C) logits."""
        hidden = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        pooled = self.dropout(mean_pool(hidden, mask))
        with torch.autocast(pooled.device.type, enabled=False):
            logits: torch.Tensor = self.head(pooled)
        return logits


Network = TextEmbedder | TextClassifier


def pad_id(network: Network) -> int:
    """Id that fills up short rows of a batch."""
    found = getattr(network.encoder.config, "pad_token_id", None)
    return 0 if found is None else int(found)


def write_network(network: Network, tokenizer: "Tokenizer", max_tokens: int, folder: Path) -> None:
    """Write weights (safetensors), encoder settings, tokenizer, labels and length limit into a folder."""
    from safetensors.torch import save_file

    weights = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    save_file(weights, folder / WEIGHTS)
    network.encoder.config.save_pretrained(folder)
    tokenizer.save(str(folder / TOKENIZER))
    description: dict[str, Any] = {"kind": network.kind, "max_tokens": max_tokens}
    if isinstance(network, TextClassifier):
        description["labels"] = network.labels
    (folder / _NETWORK).write_text(json.dumps(description, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def describe_network(folder: Path | str) -> dict[str, Any]:
    """Kind of a stored network (``embedder`` or ``classifier``), ``max_tokens``, and ``labels`` of a classifier."""
    file = Path(folder) / _NETWORK
    if not file.is_file():
        raise InputError(f"model folder {folder} holds no text network: it has no {_NETWORK}")
    description: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return description


def read_network(folder: Path | str) -> Network:
    """Network of a stored model, ready to score. The caller verifies the folder first."""
    from safetensors.torch import load_file

    description = describe_network(folder)
    encoder = encoder_from_config(folder)
    network: Network
    if description["kind"] == "classifier":
        network = TextClassifier(encoder, description["labels"])
    else:
        network = TextEmbedder(encoder)
    network.load_state_dict(load_file(Path(folder) / WEIGHTS))
    return network.eval()
