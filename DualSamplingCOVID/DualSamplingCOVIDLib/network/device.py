"""Where networks compute, and how exactly: float32 that is float32, or bfloat16 where that is fast."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch

from ..errors import ResourceError

WIDE = 32
"""From this width on a network on a CPU with bfloat16 answers in half the time; a slimmer one has none to save."""


def choose_device(name: str) -> torch.device:
    """Return the device for ``"auto"``, ``"cpu"`` or ``"cuda"``, after trying a small CUDA operation.

    Raises:
        ResourceError: ``"cuda"`` was asked for and does not work.
    """
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    try:
        torch.zeros(1, device="cuda").add_(1)
    except (RuntimeError, AssertionError):
        if name == "cuda":
            raise ResourceError("no usable NVIDIA GPU was found: choose --device cpu") from None
        return torch.device("cpu")
    return torch.device("cuda")


def exact() -> AbstractContextManager[None]:
    """Return a context in which a GPU convolves in whole float32 (no TF32), by the same algorithm every time."""
    flags: AbstractContextManager[None] = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
    return flags


def has_bfloat16(device: torch.device) -> bool:
    """Whether a GPU or CPU computes in bfloat16, and not only stores it."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(supported and supported())


def autocast(device: torch.device) -> torch.autocast:
    """Return bfloat16 autocast where there is bfloat16, and one that does nothing elsewhere."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=has_bfloat16(device))


def arithmetic(device: torch.device, width: int) -> str:
    """Return what a network of this width answers in: ``"bfloat16"``, if it is wide and on a CPU that has it.

    A logit then differs from that in float32 by about a hundredth of itself.
    """
    return "bfloat16" if device.type == "cpu" and width >= WIDE and has_bfloat16(device) else "float32"
