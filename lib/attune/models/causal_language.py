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

NOT_WRITTEN = -1
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

    def for_texts(self, max_new_tokens: int) -> Network:
        """What goes on from a text."""
        return Writer(self, max_new_tokens)


class Writer(Network):
    """Goes on from each text with the likeliest token, until the model ends it or ``max_new_tokens`` are written.

    The outputs are token ids, as many as may be written; ``NOT_WRITTEN`` follows the end. A text that is as long as the model
    can read gets none.
    """

    kind = "writer"

    def __init__(self, model: CausalLanguageModel, max_new_tokens: int) -> None:
        super().__init__()
        self.model = model.model
        self._max_new_tokens = max_new_tokens
        self._pad_id = model.pad_id
        ends = self.model.config.eos_token_id
        self._ends = set() if ends is None else set(ends) if isinstance(ends, list) else {ends}

    @property
    def num_outputs(self) -> int:
        """Tokens that may be written."""
        return self._max_new_tokens

    @property
    def added_tokens(self) -> int:
        """Those that may be written."""
        return self._max_new_tokens

    @property
    def pad_id(self) -> int:
        """That of the model."""
        return self._pad_id

    def predict(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(B, T) ids and mask of texts to float (B, max_new_tokens) ids of what follows them."""
        found = torch.full((len(ids), self._max_new_tokens), float(NOT_WRITTEN), device=ids.device)
        ids, mask = self._to_the_right(ids, mask)
        room = int(getattr(self.model.config, "max_position_embeddings", 1 << 30)) - ids.shape[1]
        if room <= 0:
            return found
        end = min(self._ends, default=None)
        whole = self.model.generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=min(self._max_new_tokens, room), do_sample=False, num_beams=1,
            eos_token_id=end if end is None else sorted(self._ends), pad_token_id=self._pad_id if end is None else end,
        )  # fmt: skip
        written = whole[:, ids.shape[1] :]
        over = torch.zeros_like(written, dtype=torch.bool)
        for end in self._ends:
            over |= written == end
        over = over.cumsum(1) > 0
        found[:, : written.shape[1]] = torch.where(over, NOT_WRITTEN, written).float()
        return found

    def _to_the_right(self, ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The same with the padding before the texts, and without the end that a tokenizer puts after them."""
        lengths = mask.sum(1)
        last = ids.gather(1, (lengths - 1).clamp(min=0)[:, None])[:, 0]
        for end in self._ends:
            lengths = lengths - ((last == end) & (lengths > 1)).long()
        width = int(lengths.max())
        places = torch.arange(width, device=ids.device)[None, :] - (width - lengths)[:, None]
        moved = ids.gather(1, places.clamp(min=0))
        return torch.where(places >= 0, moved, self._pad_id), (places >= 0).long()


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
