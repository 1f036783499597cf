"""A prepared case in the run's cache: image, infection and lungs on the network's grid, quick to read.

An .npz that holds, for each of them, where it is not 0 (a bit a voxel) and what it is there: most of the grid is not
lung. Bits and masks are compressed; the image's values are not, for unpacking them would take longer than a GPU does
to learn from them.
"""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..storage import write_whole

FULL_SHARE = 255
"""How a mask's share of 1 is stored."""
UNREADABLE = (
    *(OSError, ValueError, KeyError, TypeError, EOFError, NotImplementedError),
    *(zipfile.BadZipFile, zlib.error, tokenize.TokenError),
)
"""What reading a damaged file raises."""


class Volume(NamedTuple):
    """Arrays [k, j, i] of float32: the image in [0, 1], and shares of infection and lungs (which include it)."""

    image: NDArray[np.float32]
    infection: NDArray[np.float32]
    lungs: NDArray[np.float32]


def write_volume(
    path: Path, image: NDArray[np.float16], infection: NDArray[np.uint8], lungs: NDArray[np.uint8]
) -> None:
    """Write a prepared case, whole or not at all: the image in [0, 1] and shares in 255ths, all [k, j, i]."""
    parts: dict[str, NDArray[np.generic]] = {"shape": np.array(image.shape, np.int32)}
    for name, array in (("image", image), ("infection", infection), ("lungs", lungs)):
        there = array != 0
        parts |= {f"{name}_where": np.packbits(there), f"{name}_values": array[there]}
    write_whole(path, lambda partial: _write(partial, parts))


def _write(path: Path, parts: dict[str, NDArray[np.generic]]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in parts.items():
            member = zipfile.ZipInfo(f"{name}.npy")
            member.compress_type = zipfile.ZIP_STORED if array.dtype == np.float16 else zipfile.ZIP_DEFLATED
            with archive.open(member, "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, array)


def stored(path: Path, *names: str) -> list[NDArray[np.generic]]:
    """Return these arrays [k, j, i] as they were written: "image" (float16), "infection", "lungs" (uint8).

    Raises:
        one of `UNREADABLE`: the file is damaged, or is no prepared case.
    """
    arrays = []
    with np.load(path) as parts:
        shape = tuple(int(n) for n in parts["shape"])
        for name in names:
            values = parts[f"{name}_values"]
            array = np.zeros(np.prod(shape), values.dtype)
            array[np.unpackbits(parts[f"{name}_where"], count=array.size).view(bool)] = values
            arrays.append(array.reshape(shape))
    return arrays


def read_volume(path: Path) -> Volume:
    """Read a prepared case.

    Raises:
        InputError: the file cannot be read, or is no prepared case.
    """
    try:
        image, infection, lungs = (array.astype(np.float32) for array in stored(path, *Volume._fields))
    except UNREADABLE as error:
        raise InputError(f"{path}: not a prepared case ({error})") from None
    infection, lungs = (mask / np.float32(FULL_SHARE) for mask in (infection, lungs))
    return Volume(image, infection, np.maximum(lungs, infection))
