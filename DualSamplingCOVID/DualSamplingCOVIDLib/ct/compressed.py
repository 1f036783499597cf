"""What ITK lets pass in a compressed NRRD or MetaImage file: bytes that changed since it was written."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

from ..errors import InputError

_LONGEST_HEADER = 1 << 20
_CHUNK = 1 << 16
_HEADERS = (
    re.compile(rb"NRRD.*?^encoding: *gz(?:ip)?\r?$.*?\n\r?\n", re.DOTALL | re.MULTILINE | re.IGNORECASE),
    re.compile(rb".*?^CompressedData *= *True\r?$.*?^ElementDataFile *= *LOCAL\r?\n", re.DOTALL | re.MULTILINE),
)
"""The whole header of a file whose compressed voxels follow it."""


def check_compressed(path: Path) -> None:
    """Hold the checksum of a NRRD or MetaImage file's compressed voxels against them; others pass.

    Raises:
        InputError: the voxels are truncated or damaged.
    """
    with path.open("rb") as stream:
        start = stream.read(_LONGEST_HEADER)
        header = next((found for found in (one.match(start) for one in _HEADERS) if found), None)
        if header is None or re.search(rb"^(data ?file|line skip|byte skip):", header[0], re.MULTILINE):
            return
        stream.seek(header.end())
        voxels = zlib.decompressobj(wbits=47)
        try:
            while not voxels.eof and (chunk := stream.read(_CHUNK)):
                voxels.decompress(chunk)
        except zlib.error as error:
            raise InputError(f"{path}: damaged compressed voxels") from error
        if not voxels.eof:
            raise InputError(f"{path}: truncated compressed voxels")
