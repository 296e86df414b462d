"""Networks on top of an encoder, and how they are written to and read from a model folder.

Shapes: B texts, T tokens, D features of the encoder, C classes.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import nn

from attune.errors import InputError, nearest
from attune.models.causal_language import CausalLanguageModel
from attune.models.encoder import encoder_from_config, mean_pool
from attune.models.item_sequence import ItemSequenceModel
from attune.models.masked_language import MaskedLanguageModel
from attune.models.network import EncoderNetwork, Network
from attune.models.pair_scorer import PairScorer
from attune.models.response import ResponseModel

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedModel

WEIGHTS = "model.safetensors"
TOKENIZER = "tokenizer.json"
_NETWORK = "network.json"


class TextEmbedder(EncoderNetwork):
    """Encoder, mean over the tokens, length 1: texts with a like meaning have vectors with a high inner product."""

    kind = "embedder"

    def __init__(self, encoder: "PreTrainedModel") -> None:
        super().__init__()
        self.encoder = encoder

    @property
    def num_outputs(self) -> int:
        """Number of features of a vector, D."""
        return int(self.encoder.config.hidden_size)

    @classmethod
    def from_folder(cls, folder: Path, description: Mapping[str, Any]) -> Self:
        """Network as stored, its weights yet to be filled in."""
        return cls(encoder_from_config(folder))

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(B, T) ids and mask to float32 (B, D) vectors of length 1."""
        hidden = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        return nn.functional.normalize(mean_pool(hidden, mask), dim=-1)


class TextClassifier(EncoderNetwork):
    """Encoder, mean over the tokens, dropout, one linear layer.

    A text has exactly one of the labels, or with ``multi_label`` any number of them.
    """

    kind = "classifier"

    def __init__(
        self, encoder: "PreTrainedModel", labels: Sequence[str], dropout: float = 0.1, multi_label: bool = False
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.labels = list(labels)
        self.multi_label = multi_label
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(int(encoder.config.hidden_size), len(self.labels))

    @property
    def num_outputs(self) -> int:
        """Number of classes, C."""
        return len(self.labels)

    def description(self) -> dict[str, Any]:
        """Labels, and whether a text may have several."""
        return {"labels": self.labels, "multi_label": self.multi_label}

    @classmethod
    def from_folder(cls, folder: Path, description: Mapping[str, Any]) -> Self:
        """Network as stored; where nothing is said of ``multi_label``, a text has one label."""
        multi_label = bool(description.get("multi_label", False))
        return cls(encoder_from_config(folder), description["labels"], multi_label=multi_label)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(B, T) ids and mask to float32 (B, C) logits."""
        hidden = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        pooled = self.dropout(mean_pool(hidden, mask))
        with torch.autocast(pooled.device.type, enabled=False):
            logits: torch.Tensor = self.head(pooled)
        return logits

    def predict(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Probability of each label, (B, C); those of one text add up to 1 unless it may have several labels."""
        logits = self(ids, mask)
        return logits.sigmoid() if self.multi_label else logits.softmax(-1)


KINDS: dict[str, type[Network]] = {
    network.kind: network
    for network in (
        TextEmbedder, TextClassifier, PairScorer, ResponseModel, MaskedLanguageModel, CausalLanguageModel,
        ItemSequenceModel,
    )
}  # fmt: skip


def write_network(network: Network, tokenizer: "Tokenizer | None", max_tokens: int, folder: Path) -> None:
    """Write weights (safetensors), settings, tokenizer and length limit into a folder; items have no tokenizer."""
    from safetensors.torch import save_file

    weights = {name: value.detach().cpu().contiguous() for name, value in network.stored_weights().items()}
    # transformers reads no file that does not name the library.
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    network.save_config(folder)
    if tokenizer is not None:
        tokenizer.save(str(folder / TOKENIZER))
    description = {"kind": network.kind, "max_tokens": max_tokens, **network.description()}
    (folder / _NETWORK).write_text(json.dumps(description, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def describe_network(folder: Path | str) -> dict[str, Any]:
    """``kind`` of a stored network, ``max_tokens``, and what its class adds: ``labels`` of a classifier, for one."""
    file = Path(folder) / _NETWORK
    if not file.is_file():
        raise InputError(f"model folder {folder} holds no text network: it has no {_NETWORK}")
    description: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return description


def read_network(folder: Path | str) -> Network:
    """Network of a stored model, ready to score. The caller verifies the folder first.

    Raises InputError where its kind is not one of ours.
    """
    from safetensors.torch import load_file

    description = describe_network(folder)
    kind = description["kind"]
    if kind not in KINDS:
        raise InputError(f"model folder {folder} holds a network of kind {kind!r}{nearest(str(kind), KINDS)}")
    network = KINDS[kind].from_folder(Path(folder), description)
    network.load_stored_weights(load_file(Path(folder) / WEIGHTS))
    return network.eval()
