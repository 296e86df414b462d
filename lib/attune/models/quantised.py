"""Encoders whose linear layers multiply whole numbers of 8 bits on a CPU, and what that is known to cost a model.

On processors without native bfloat16 that is faster than float32. How much it changes a model differs from one to the next,
so training measures it on validation rows (``attune.training.int8``) and writes it on the model's card.
"""

import copy
import warnings
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn

from attune.errors import MissingError, SettingsError
from attune.models.network import EncoderNetwork, Network
from attune.models.store import CARD, read_card

CARD_KEY = "int8"
"""Of the metrics on a card."""


def quantised(network: Network) -> Network:
    """A copy of a network on the CPU, with the linear layers of its encoder in int8.

    Weights are scaled by output, activations by batch, so that what a text gets depends a little on the texts that it is scored
    with; what stands on the encoder stays in float32. Raises SettingsError where
    the network has no encoder, MissingError where torch cannot do it.
    """
    if not has_int8():
        raise MissingError("score.precision int8 needs torch.ao.quantization, which this torch has not: set auto")
    from torch.ao import quantization

    if not isinstance(network, EncoderNetwork):
        raise SettingsError(f"score.precision int8 is for networks on an encoder, not for {network.kind}: set auto")
    found = copy.deepcopy(network).cpu().eval()
    with warnings.catch_warnings():
        # torch.ao is to move to a package of its own, which runs with fewer versions of torch.
        warnings.simplefilter("ignore")
        found.encoder = quantization.quantize_dynamic(
            found.encoder, {nn.Linear: quantization.per_channel_dynamic_qconfig}, inplace=True
        )
    return found


def has_int8() -> bool:
    """Whether this torch has quantised layers, and a library that multiplies them."""
    return find_spec("torch.ao.quantization") is not None and torch.backends.quantized.engine != "none"


def known_loss(model_folder: Path | str) -> float | None:
    """How much a stored model loses in int8; None where that was not measured.

    The larger of two figures of its card: by how much its metric falls, and by how much an output changes on average. On a few
    hundred rows a metric may stay the same while many answers change.
    """
    if not (Path(model_folder) / CARD).is_file():
        return None
    measured = read_card(model_folder).get("metrics", {}).get(CARD_KEY) or {}
    loss, change = measured.get("loss"), measured.get("mean_change")
    return None if loss is None or change is None else max(loss, change)
