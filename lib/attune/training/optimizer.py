"""The optimiser: a rate for each layer of an encoder and one for what is new, warmed up and then taken back."""

import torch
from torch import nn

from attune.models.encoder import layer_depth, num_layers
from attune.training.plan import LoopSettings

_ENCODER = "encoder."
_MOMENTUM = 0.9


class Optimizer:
    """AdamW (Loshchilov & Hutter 2019), or SGD with Nesterov's momentum, over the weights of a network that are trained.

    Biases and norms do not decay. The encoder's layer d of L learns at ``learning_rate * layer_decay ** (L - d)``; layers
    up to ``frozen_layers`` not at all; what is new at ``head_learning_rate``. A network without an encoder is new as a
    whole, and learns at ``learning_rate``.
    """

    def __init__(self, network: nn.Module, settings: LoopSettings) -> None:
        groups = _groups(network, settings)
        self.parameters = {name: p for named in groups.values() for name, p in named}
        described = [
            {"params": [p for _, p in named], "lr": rate, "weight_decay": decay}
            for (rate, decay), named in groups.items()
        ]
        self.inner: torch.optim.Optimizer
        if settings.optimizer == "sgd":
            self.inner = torch.optim.SGD(described, lr=0.0, momentum=_MOMENTUM, nesterov=True, fused=True)
        else:
            self.inner = torch.optim.AdamW(described, fused=True)
        self._peak_rates = [group["lr"] for group in self.inner.param_groups]

    def step(self, factor: float, divisor: torch.Tensor | None = None, usable: torch.Tensor | None = None) -> None:
        """Move the weights along their gradients, at so much of the peak rates, and drop the gradients.

        Gradients are divided by ``divisor`` within the fused step: a pass of its own over them takes half as long as the
        step. Where ``usable`` is false the weights stay. Both are numbers on the device, for which nobody waits.
        """
        inner = self.inner
        inner.grad_scale = None if divisor is None else divisor.float()  # type: ignore[attr-defined]
        inner.found_inf = None if usable is None else (~usable).float()  # type: ignore[attr-defined]
        for group, peak in zip(self.inner.param_groups, self._peak_rates, strict=True):
            group["lr"] = peak * factor
        self.inner.step()
        self.inner.zero_grad(set_to_none=True)

    def state(self) -> dict[str, torch.Tensor]:
        """What the steps so far have left, by ``<kind>/<parameter>``; empty before the first."""
        return {
            f"{kind}/{name}": value
            for name, parameter in self.parameters.items()
            for kind, value in self.inner.state[parameter].items()
            if value is not None
        }

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Take over what ``state`` gave."""
        for key, value in state.items():
            kind, _, name = key.partition("/")
            parameter = self.parameters[name]
            self.inner.state[parameter][kind] = value.to(parameter.device)


def _groups(network: nn.Module, settings: LoopSettings) -> dict[tuple[float, float], list[tuple[str, nn.Parameter]]]:
    encoder = getattr(network, "encoder", None)
    layers = num_layers(encoder) if encoder is not None else 0
    groups: dict[tuple[float, float], list[tuple[str, nn.Parameter]]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        if encoder is None:
            rate = settings.learning_rate
        elif name.startswith(_ENCODER):
            depth = layer_depth(name.removeprefix(_ENCODER), layers)
            if settings.frozen_layers and depth <= settings.frozen_layers:
                parameter.requires_grad = False
                continue
            rate = settings.learning_rate * settings.layer_decay ** (layers - depth)
        else:
            rate = settings.head_learning_rate
        decay = settings.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((rate, decay), []).append((name, parameter))
    return groups
