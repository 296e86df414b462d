"""Number formats: bfloat16 where the hardware computes it natively, float32 elsewhere, int8 where that is known to be safe."""

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


def supports_int8(device: torch.device) -> bool:
    """Whether int8 is faster than float32 here: on x86 processors with instructions for it (VNNI), where it was measured."""
    if device.type != "cpu":
        return False
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_vnni") or capabilities.get("avx_vnni"))


def scoring_precision(asked: str, device: torch.device, int8_loss: float | None, max_int8_loss: float) -> str:
    """What to score in under a setting of ``float32``, ``bfloat16``, ``int8`` or ``auto``.

    ``auto`` is bfloat16 where that is native, for it is faster than int8 and nearer to float32; else int8 where it was
    measured to cost the model ``max_int8_loss`` at most; else float32. A GPU has no int8 here, and takes it as
    ``auto``.
    """
    if asked == "int8" and device.type == "cpu":
        return "int8"
    if asked in ("float32", "bfloat16"):
        return asked
    if supports_bfloat16(device):
        return "bfloat16"
    safe = int8_loss is not None and int8_loss <= max_int8_loss
    return "int8" if safe and supports_int8(device) else "float32"


def autocast(device: torch.device, bfloat16: bool) -> AbstractContextManager[object]:
    """Context in which matrix products run in bfloat16; weights, sums and losses stay in float32."""
    return torch.autocast(device.type, torch.bfloat16) if bfloat16 else nullcontext()
