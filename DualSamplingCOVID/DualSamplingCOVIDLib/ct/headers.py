"""Whether CT and masks can be read and fit each other, as far as their headers tell: no voxel is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import SimpleITK as sitk

from ..errors import InputError
from .access import check_access
from .dicom import dicom_grid
from .grid import Grid, grid_of, same_grid
from .quiet import quiet
from .reading import check_header, is_volume
from .series import is_dicom


def header_problems(image: Path, masks: Mapping[str, Path | None]) -> list[str]:
    """Say what is wrong with a CT and its masks before anything long begins; `read_ct` and `read_mask` see the rest.

    Args:
        image: a file, or a DICOM folder, of which all headers are read.
        masks: what each is called, with its file; None where there is none.
    """
    problems = []
    ct = None
    try:
        check_access(image)
        if is_volume(image):
            ct = _grid(image)
        elif _holds_dicom(image):
            ct = dicom_grid(image)
        else:
            problems.append(f"image {image}: no DICOM, NIfTI, NRRD or MetaImage file")
    except InputError as error:
        problems.append(f"image {error}")
    for name, path in masks.items():
        if path is None:
            continue
        try:
            check_access(path)
            mask = _grid(path)
            if ct is not None and not same_grid(mask, ct):
                problems.append(f"{name} {path}: the mask's geometry differs from the CT's")
        except InputError as error:
            problems.append(f"{name} {error}")
    return problems


def _grid(path: Path) -> Grid:
    """Return the grid of a volume, as its header says it."""
    if not is_volume(path):
        raise InputError(f"{path}: not a NIfTI, NRRD or MetaImage file")
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        with quiet():
            reader.ReadImageInformation()
    except RuntimeError:
        raise InputError(f"{path}: damaged, truncated or not what its name says") from None
    check_header(path, reader)
    return grid_of(reader)


def _holds_dicom(path: Path) -> bool:
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    try:
        return any(is_dicom(file) for file in files if file.is_file())
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
