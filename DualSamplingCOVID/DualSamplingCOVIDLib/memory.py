"""Memory that is used again at once: kept, instead of given back to the system."""

from __future__ import annotations

import contextlib
import ctypes

TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4
"""Parameters of glibc's mallopt."""
LARGEST = 2**31 - 1
PAD = 2**28


def keep_freed_memory() -> None:
    """Have the C library of this process keep what is freed, where it can be told to (glibc).

    A network on a CPU frees and takes gigabytes; given back to the system, each page is wiped again: a tenth of an
    analysis, two fifths of a step of training.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):  # TypeError: Windows has no library without a name
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in ((MMAP_MAX, 0), (TRIM_THRESHOLD, LARGEST), (TOP_PAD, PAD)):
            mallopt(parameter, value)
