"""Number formats: bfloat16 where the hardware computes it natively, float32 elsewhere."""

from contextlib import AbstractContextManager, nullcontext

import torch


def supports_bfloat16(device: torch.device) -> bool:
    """Whether matrix products in bfloat16 are native here; emulated ones are slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def use_bfloat16(precision: str, device: torch.device) -> bool:
    """Whether to compute in bfloat16 under a setting of ``float32``, ``bfloat16`` or ``auto``."""
    return precision == "bfloat16" or (precision == "auto" and supports_bfloat16(device))


def autocast(device: torch.device, bfloat16: bool) -> AbstractContextManager[object]:
    """Context in which matrix products run in bfloat16; weights, sums and losses stay in float32."""
    return torch.autocast(device.type, torch.bfloat16) if bfloat16 else nullcontext()
