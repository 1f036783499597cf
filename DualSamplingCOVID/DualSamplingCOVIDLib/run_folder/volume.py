"""A prepared case in the run's cache: an .npz with image, infection and lungs on the network's grid."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

FULL_SHARE = 255
"""How a mask's share of 1 is stored."""


class Volume(NamedTuple):
    """Arrays [k, j, i] of float32: the image in [0, 1], and shares of infection and lungs (which include it)."""

    image: NDArray[np.float32]
    infection: NDArray[np.float32]
    lungs: NDArray[np.float32]


def read_volume(path: Path) -> Volume:
    """Read a prepared case.

    Raises:
        InputError: the file cannot be read, or is no prepared case.
    """
    try:
        with np.load(path) as arrays:
            image = arrays["image"].astype(np.float32)
            infection, lungs = (arrays[name].astype(np.float32) / FULL_SHARE for name in ("infection", "lungs"))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not a prepared case ({error})") from None
    return Volume(image, infection, np.maximum(lungs, infection))
