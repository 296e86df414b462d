"""Transformer over the items of a user, in the order in which the user took them.

Shapes: B users, T items of the longest sequence, D features, N items of the catalogue. Items are numbered from 1; 0 is
padding.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from attune.errors import SettingsError
from attune.models.network import Network

INITIAL_STD = 0.02
CATALOGUE = "items.json"
"""In the folder of a stored model: ids of the items, in the order of their numbers, from 1."""


class Block(nn.Module):
    """Causal attention and a feed-forward layer, each after a norm and added to what came in."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm, self.forward_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value, self.mix = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """(B, T, D) to (B, T, D); place t sees places up to t, hence no padding that follows it."""
        batch, length, width = hidden.shape
        parts = self.query_key_value(self.attention_norm(hidden)).view(batch, length, 3, self.heads, -1)
        # Dropout of the attention itself would turn off the fused kernel on a CPU.
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        hidden = hidden + self.dropout(self.mix(seen.transpose(1, 2).reshape(batch, length, width)))
        return hidden + self.dropout(self.narrow(functional.gelu(self.widen(self.forward_norm(hidden)))))


class ItemSequenceModel(Network):
    """Next item of a user (SASRec: Kang and McAuley 2018), output tied with the item vectors, plus a bias an item.

    Positions count from the start of a sequence: with causal attention the state at a place then depends only on what
    precedes it, so that one pass over a row trains all its places, and an evaluation sees what training saw.

    Raises SettingsError where the heads do not divide the width.
    """

    kind = "item_sequence"

    def __init__(
        self, num_items: int, width: int = 64, layers: int = 2, heads: int = 2, max_positions: int = 50,
        dropout: float = 0.2,
    ) -> None:  # fmt: skip
        super().__init__()
        if width % heads:
            raise SettingsError(f"width {width} is no multiple of heads {heads}: change one of them")
        self.sizes = {
            "num_items": num_items, "width": width, "layers": layers, "heads": heads, "max_positions": max_positions,
        }  # fmt: skip
        self.items = nn.Embedding(num_items + 1, width, padding_idx=0)
        self.positions = nn.Embedding(max_positions, width)
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.bias = nn.Parameter(torch.zeros(num_items))
        self.dropout = nn.Dropout(dropout)
        self.apply(_initialise)

    @property
    def num_items(self) -> int:
        """Items of the catalogue, N."""
        return self.sizes["num_items"]

    @property
    def max_positions(self) -> int:
        """Items of the longest sequence."""
        return self.sizes["max_positions"]

    @property
    def num_outputs(self) -> int:
        """Rank of the last item, and whether it has one."""
        return 2

    def description(self) -> dict[str, Any]:
        """Sizes."""
        return dict(self.sizes)

    @classmethod
    def from_folder(cls, folder: Path, description: Mapping[str, Any]) -> Self:
        """Network as stored, its weights yet to be filled in."""
        return cls(**{name: description[name] for name in ("num_items", "width", "layers", "heads", "max_positions")})

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(B, T) items and mask to (B, T, D) states; padding comes after the items, T is at most ``max_positions``."""
        length = ids.shape[1]
        assert length <= self.max_positions
        scale = self.sizes["width"] ** 0.5
        hidden = self.dropout(self.items(ids) * scale + self.positions.weight[:length]) * mask[:, :, None]
        for block in self.blocks:
            hidden = block(hidden)
        normed: torch.Tensor = self.norm(hidden)
        return normed

    def scores(self, hidden: torch.Tensor) -> torch.Tensor:
        """(..., D) states to (..., N + 1) logits of what comes next; that of padding is minus infinity."""
        return functional.linear(hidden, self.items.weight, functional.pad(self.bias, (1, 0), value=float("-inf")))

    @torch.no_grad()
    def start_from(self, text: np.ndarray) -> None:
        """Let item vectors start from text vectors, float (N, F); see ``starting_vectors``."""
        if text.shape[0] != self.num_items:
            raise SettingsError(f"text vectors of {text.shape[0]} items, but the catalogue has {self.num_items}")
        found = starting_vectors(text, self.sizes["width"])
        rows, columns = np.nonzero(np.isfinite(found))
        values = torch.from_numpy(found[rows, columns])
        self.items.weight[torch.from_numpy(rows) + 1, torch.from_numpy(columns)] = values


def starting_vectors(text: np.ndarray, width: int) -> np.ndarray:
    """First principal components of text vectors, float32 (N, width), with the spread of random initial weights.

    A component keeps its share of the variance. Items without text (nan or all 0), and components that the texts do
    not have, are nan. The sign of a component makes its largest loading positive, so that machines agree.
    """
    text = np.asarray(text, np.float64)
    known = np.isfinite(text).all(1) & (text != 0).any(1)
    found = np.full((len(text), width), np.nan, np.float32)
    if known.sum() < 2:
        return found
    centred = text[known] - text[known].mean(0)
    _, values, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[: min(width, int((values > values[0] * 1e-6).sum()))]
    axes *= np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(1)])[:, None]
    projected = centred @ axes.T
    if projected.size and projected.std() > 0:
        found[np.ix_(known, np.arange(len(axes)))] = projected / projected.std() * INITIAL_STD
    return found


def _initialise(module: nn.Module) -> None:
    if isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.normal_(module.weight, std=INITIAL_STD)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)
    if isinstance(module, nn.Embedding) and module.padding_idx is not None:
        nn.init.zeros_(module.weight[module.padding_idx])
