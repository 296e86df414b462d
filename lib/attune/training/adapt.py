"""Changes to a network for the time of its training: low-rank adapters, recomputed activations, compiled layers."""

from typing import Any

from torch import nn

from attune.errors import MissingError, SettingsError
from attune.training.plan import LoopSettings

_ALPHA_OF_RANK = 2


class Adapted:
    """A network as it is trained; ``merge`` makes it the plain network again.

    Under ``lora_rank`` the encoder's weights stay, and the product of two thin matrices is learned for each of its linear
    layers (Hu et al. 2022), scaled by alpha = 2 rank. What is not the encoder is trained as ever.

    Raises SettingsError where the network has no encoder of transformers to be adapted.
    """

    def __init__(self, network: nn.Module, settings: LoopSettings) -> None:
        self.network = network
        self._lora: Any = None
        self._encoder: Any = getattr(network, "encoder", None)
        self._recomputes = settings.gradient_checkpointing
        if self._encoder is None:
            _refuse(settings)
            return
        if self._recomputes:
            self._encoder.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        if settings.lora_rank:
            self._lora = _with_adapters(self._encoder, settings.lora_rank)
        if settings.compile:
            self._encoder.compile(dynamic=True)

    def merge(self) -> None:
        """Add what the adapters learned to the weights, and take the adapters off."""
        if self._recomputes:
            self._encoder.gradient_checkpointing_disable()
        if self._lora is not None:
            self.network.encoder = self._encoder = self._lora.merge_and_unload()
            self._encoder.requires_grad_(True)
            self._lora = None


def _with_adapters(encoder: nn.Module, rank: int) -> Any:
    try:
        from peft import LoraConfig
        from peft.tuners.lora import LoraModel
    except ImportError as error:
        raise MissingError("lora_rank above 0 needs the package peft: pip install 'attune[lora]'") from error
    config = LoraConfig(r=rank, lora_alpha=_ALPHA_OF_RANK * rank, lora_dropout=0.0, target_modules="all-linear")
    return LoraModel(encoder, config, "default")


def _refuse(settings: LoopSettings) -> None:
    for name in ("lora_rank", "gradient_checkpointing", "frozen_layers"):
        if getattr(settings, name):
            raise SettingsError(
                f"{name} is set, but this task trains a network of its own, without an encoder: unset it"
            )
