"""What ITK lets pass in a NIfTI file: cut short or NaN, it reads as zeros; a zero spacing reads as one."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from ..errors import InputError

_CHUNK = 1 << 20
_FLOATS = {16: "f4", 64: "f8"}
_BYTES = {
    2: 1, 4: 2, 8: 4, 16: 4, 32: 8, 64: 8, 128: 3, 256: 1, 512: 2, 768: 4, 1024: 8, 1280: 8, 1536: 16, 1792: 16,
    2048: 32, 2304: 4,
}  # fmt: skip
"""How long a voxel of each of the format's types is."""


@dataclass(frozen=True)
class _Layout:
    """What the header says of the file: where the voxels lie, how many bytes of which type, and the spacing."""

    offset: int
    length: int
    floats: np.dtype | None
    spacing: tuple[float, ...]


def check_nifti(path: Path) -> None:
    """Check a single-file NIfTI (1 or 2, gzipped or not) for what would pass unnoticed.

    Raises:
        InputError: not NIfTI, truncated or damaged, zero or negative spacing, NaN or infinite voxels.
    """
    try:
        with path.open("rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            stream = cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if zipped else raw
            layout = _layout(path, stream.read(540))
            _check_voxels(path, stream, layout)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: truncated or damaged gzip file") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    if not all(math.isfinite(step) and step > 0 for step in layout.spacing):
        raise InputError(f"{path}: zero or negative spacing")


def _check_voxels(path: Path, stream: BinaryIO, layout: _Layout) -> None:
    """Read to the end, so that a gzip checksum is held against it too."""
    stream.seek(layout.offset)
    length, finite = 0, True
    while chunk := stream.read(_CHUNK):
        part = chunk[: max(0, layout.length - length)]
        if layout.floats is not None:
            finite &= bool(np.isfinite(np.frombuffer(part, layout.floats, len(part) // layout.floats.itemsize)).all())
        length += len(chunk)
    if length < layout.length:
        raise InputError(f"{path}: truncated NIfTI file")
    if not finite:
        raise InputError(f"{path}: NaN or infinite voxels")


def _layout(path: Path, header: bytes) -> _Layout:
    """Read the header; its first three axes' spacing is not checked here."""
    order = next((o for o in "<>" if len(header) >= 348 and struct.unpack_from(o + "i", header)[0] in (348, 540)), None)
    if order is None:
        raise InputError(f"{path}: not a NIfTI file")
    if struct.unpack_from(order + "i", header)[0] == 348:
        dim = struct.unpack_from(order + "8h", header, 40)
        kind = struct.unpack_from(order + "h", header, 70)[0]
        pixdim = struct.unpack_from(order + "8f", header, 76)
        offset = struct.unpack_from(order + "f", header, 108)[0]
    elif len(header) >= 540:
        kind = struct.unpack_from(order + "h", header, 12)[0]
        dim = struct.unpack_from(order + "8q", header, 16)
        pixdim = struct.unpack_from(order + "8d", header, 104)
        offset = struct.unpack_from(order + "q", header, 168)[0]
    else:
        raise InputError(f"{path}: truncated NIfTI file")
    axes = dim[0] if 0 < dim[0] < 8 else 0
    if not axes or dim[1] < 1 or kind not in _BYTES or not offset < 2**31:
        raise InputError(f"{path}: damaged NIfTI header")
    return _Layout(
        offset=max(int(offset), 348),
        length=math.prod(max(count, 1) for count in dim[1 : axes + 1]) * _BYTES[kind],
        floats=np.dtype(order + _FLOATS[kind]) if kind in _FLOATS else None,
        spacing=tuple(float(step) for step in pixdim[1 : min(axes, 3) + 1]),
    )
