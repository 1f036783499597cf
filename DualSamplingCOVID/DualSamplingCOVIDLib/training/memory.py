"""Memory that is used again at once, kept instead of given back; and memory that runs out."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator

import torch

from ..errors import ResourceError

TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4
"""Parameters of glibc's mallopt."""
LARGEST = 2**31 - 1
PAD = 2**28


def keep_freed_memory() -> None:
    """Have the C library keep what is freed, where it can be told to (glibc).

    A step of training on a CPU frees and takes gigabytes; given back to the system, each page is wiped again, which
    took two fifths of the time.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in ((MMAP_MAX, 0), (TRIM_THRESHOLD, LARGEST), (TOP_PAD, PAD)):
            mallopt(parameter, value)


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
