"""Causal language model: which word comes next. Its folder is one that transformers reads.

Shapes: B texts, T tokens, M tokens that count, V words of the vocabulary.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch

from attune.models.network import Network

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_CHANGES_LOGITS = ("final_logit_softcapping", "logit_scale", "logits_scaling", "lm_head_multiplier")
"""Settings of models that do more to their logits than the last layer does."""


class CausalLanguageModel(Network):
    """A language model of transformers, stored as transformers stores it."""

    kind = "causal_language"

    def __init__(self, model: "PreTrainedModel") -> None:
        super().__init__()
        self.model = model
        self._plain = not any(getattr(model.config, name, None) for name in _CHANGES_LOGITS)

    @property
    def num_outputs(self) -> int:
        """Log loss and number of tokens of a text."""
        return 2

    @property
    def pad_id(self) -> int:
        """Padding id that the settings name, else 0; the mask tells padding from text."""
        found = getattr(self.model.config, "pad_token_id", None)
        return 0 if found is None else int(found)

    def save_config(self, folder: Path) -> None:
        """Write the model's settings."""
        self.model.config.save_pretrained(folder)
        if self.model.generation_config is not None:
            self.model.generation_config.save_pretrained(folder)

    @classmethod
    def from_folder(cls, folder: Path, description: Mapping[str, Any]) -> Self:
        """Network as stored, its weights yet to be filled in."""
        from transformers import AutoConfig, AutoModelForCausalLM

        config = AutoConfig.from_pretrained(str(folder), local_files_only=True)
        return cls(AutoModelForCausalLM.from_config(config))

    def stored_weights(self) -> dict[str, torch.Tensor]:
        """Weights by transformers' names; one that two layers share is there once."""
        shared = _second_names(self.model)
        return {name: value for name, value in self.model.state_dict().items() if name not in shared}

    def load_stored_weights(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Fill in weights by transformers' names."""
        repeated = {name: weights[first] for name, first in _second_names(self.model).items()}
        self.model.load_state_dict({**weights, **repeated})

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        """(B, T) ids and mask to the logits (M, V) of what follows where ``counts``, bool (B, T), is set."""
        inputs = {"input_ids": ids, "attention_mask": mask, "use_cache": False}
        if not self._plain:
            return self.model(**inputs).logits[counts]
        hidden = self.model.base_model(**inputs).last_hidden_state
        return self.model.get_output_embeddings()(hidden[counts])


def _second_names(model: torch.nn.Module) -> dict[str, str]:
    """Names of parameters that have another name already, each with the first."""
    first: dict[int, str] = {}
    repeated = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        known = first.setdefault(id(parameter), name)
        if known != name:
            repeated[name] = known
    return repeated


def load_causal(name: str, dropout: float) -> "PreTrainedModel":
    """Language model of a local folder or the hub, with its weights, in float32.

    ``dropout`` replaces that of its settings. Raises MissingError where the name cannot be had.
    """
    import os

    from transformers import AutoConfig, AutoModelForCausalLM

    from attune.errors import MissingError
    from attune.models.encoder import locate_encoder

    where = locate_encoder(name)
    local = os.path.isdir(where)
    try:
        config = AutoConfig.from_pretrained(where, local_files_only=local)
        for key in ("resid_pdrop", "embd_pdrop", "hidden_dropout", "dropout"):
            if hasattr(config, key):
                setattr(config, key, dropout)
        for key in ("attn_pdrop", "attention_dropout"):
            if hasattr(config, key):
                setattr(config, key, 0.0)
        return AutoModelForCausalLM.from_pretrained(
            where, config=config, local_files_only=local, use_safetensors=True, dtype=torch.float32
        )
    except (OSError, ValueError) as error:
        detail = " ".join(str(error).split())[:200]
        raise MissingError(f"language model {name!r} cannot be had ({detail}): give a folder with one") from error
