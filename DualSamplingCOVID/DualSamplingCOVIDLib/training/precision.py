"""Mixed precision where the hardware has it."""

from __future__ import annotations

import torch


def autocast(device: torch.device) -> torch.autocast:
    """Return bfloat16 autocast on GPUs and CPUs that compute in it, and one that does nothing elsewhere."""
    if device.type == "cuda":
        able = torch.cuda.is_bf16_supported()
    else:
        supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
        able = bool(supported and supported())
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=able)
