"""Where networks compute, and how exactly: float32 that is float32."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch

from ..errors import ResourceError


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
