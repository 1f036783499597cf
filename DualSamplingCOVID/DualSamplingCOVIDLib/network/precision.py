"""Float32 that is float32."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch


def exact() -> AbstractContextManager[None]:
    """Return a context in which a GPU convolves in whole float32 (no TF32), by the same algorithm every time."""
    flags: AbstractContextManager[None] = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
    return flags
