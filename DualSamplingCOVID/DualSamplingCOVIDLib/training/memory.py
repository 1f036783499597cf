"""Memory of a GPU that runs out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from ..errors import ResourceError


@contextlib.contextmanager
def gpu_memory_named(name: str, advice: str) -> Iterator[None]:
    """Say of which work the GPU's memory ran out, and what to do.

    Raises:
        ResourceError: it ran out.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise ResourceError(f"{name}: GPU memory ran out; {advice}") from None
