"""What ITK lets pass in a NIfTI file: a file cut short reads as zeros, and a zero spacing as one."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, cast

from ..errors import InputError

_CHUNK = 1 << 20


def check_nifti(path: Path) -> None:
    """Check that a single-file NIfTI (1 or 2, gzipped or not) is whole and that its spacing is positive.

    Raises:
        InputError: not NIfTI, truncated or damaged, or zero or negative spacing.
    """
    try:
        with path.open("rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            stream = cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if zipped else raw
            header = stream.read(540)
            expected, spacing = _header(path, header)
            length = len(header)
            while chunk := stream.read(_CHUNK):
                length += len(chunk)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: truncated or damaged gzip file") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    if length < expected:
        raise InputError(f"{path}: truncated NIfTI file")
    if not all(math.isfinite(step) and step > 0 for step in spacing):
        raise InputError(f"{path}: zero or negative spacing")


def _header(path: Path, header: bytes) -> tuple[int, tuple[float, ...]]:
    """Bytes that the whole file must have, and the spacing of its first three axes."""
    order = next((o for o in "<>" if len(header) >= 348 and struct.unpack_from(o + "i", header)[0] in (348, 540)), None)
    if order is None:
        raise InputError(f"{path}: not a NIfTI file")
    if struct.unpack_from(order + "i", header)[0] == 348:
        dim = struct.unpack_from(order + "8h", header, 40)
        bits = struct.unpack_from(order + "h", header, 72)[0]
        pixdim = struct.unpack_from(order + "8f", header, 76)
        offset = int(struct.unpack_from(order + "f", header, 108)[0])
    elif len(header) >= 540:
        bits = struct.unpack_from(order + "h", header, 14)[0]
        dim = struct.unpack_from(order + "8q", header, 16)
        pixdim = struct.unpack_from(order + "8d", header, 104)
        offset = struct.unpack_from(order + "q", header, 168)[0]
    else:
        raise InputError(f"{path}: truncated NIfTI file")
    axes = dim[0] if 0 < dim[0] < 8 else 0
    voxels = math.prod(max(int(count), 0) for count in dim[1 : axes + 1])
    return offset + voxels * bits // 8, tuple(float(step) for step in pixdim[1 : min(axes, 3) + 1])
