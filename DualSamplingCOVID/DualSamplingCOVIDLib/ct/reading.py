"""Read a CT (DICOM, NIfTI, NRRD, MetaImage) or a mask that someone else made."""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..diagnosis import Finding
from ..errors import InputError
from .access import check_access
from .compressed import check_compressed
from .dicom import read_dicom
from .grid import grid_of, same_grid
from .nifti import check_nifti
from .quality import AIR_HU, check_volume
from .quiet import quiet
from .series import is_dicom

_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
_CAUSES = {"spacing": "zero or negative spacing", "orthonormal": "its axes are sheared: they are not perpendicular"}
"""What ITK's message names, in our words."""

MOST_LABEL = 255
"""The highest value that a mask may hold; more, or none that are whole, are a CT's or a map's."""


@dataclass(frozen=True)
class CT:
    """A CT that can be used.

    `image` is 3D, int16 or float32 HU (never below -1024), LPS mm; `findings` are those of the slices and the
    volume (`check_volume` has run; `check_lungs` has not); `description` names format, size and spacing, no patient.
    """

    image: sitk.Image
    findings: tuple[Finding, ...]
    description: str

    @property
    def sha256(self) -> str:
        """Digest over voxels in their order and geometry: formats that keep both as they were give the same."""
        image = self.image
        place = (*image.GetSpacing(), *image.GetOrigin(), *image.GetDirection())
        digest = hashlib.sha256(f"{image.GetSize()} {image.GetPixelIDTypeAsString()}".encode())
        digest.update((np.round(place, 4) + 0.0).astype("<f8").tobytes())  # formats differ in the last digits
        digest.update(np.ascontiguousarray(sitk.GetArrayViewFromImage(image)).data)
        return digest.hexdigest()


def read_ct(path: Path, series: str | None = None) -> CT:
    """Read a chest CT and check it as far as that goes without its lungs.

    Args:
        path: DICOM folder (read with its subfolders) or file, or a NIfTI, NRRD or MetaImage file.
        series: Series Instance UID, where a DICOM folder holds several; None takes the chest CT with most slices.

    Raises:
        InputError: the file cannot be read or used, or a series is asked of what is not DICOM; the message names it
            and the cause.
    """
    path = Path(path)
    check_access(path)
    if path.is_dir() or _is_dicom_file(path):
        kind = "DICOM"
        image, findings = read_dicom(path, series)
    elif series is not None:
        raise InputError(f"{path}: not DICOM, so it holds no series to choose")
    else:
        kind = "NIfTI" if ".nii" in path.name.lower() else "NRRD" if path.suffix in (".nrrd", ".nhdr") else "MetaImage"
        image = _read_volume(path)
        findings = check_volume(image, name=str(path))
    size = " x ".join(str(count) for count in image.GetSize())
    spacing = " x ".join(f"{step:.3g}" for step in image.GetSpacing())
    return CT(_in_hounsfield_range(image), findings, f"{kind}, {size} voxels of {spacing} mm")


def read_mask(path: Path, like: sitk.Image) -> sitk.Image:
    """Read a mask file as uint8 of 0 and 1 on the grid of `like`.

    Raises:
        InputError: the file cannot be read, or its geometry is not that of `like`.
    """
    return _image_like(_mask_voxels(path, like) != 0, like)


def read_lungs(path: Path, like: sitk.Image) -> sitk.Image:
    """Read a mask of the lungs, uint8 on the grid of `like`: 1 right and 2 left where the file says so, else 1.

    Raises:
        InputError: the file cannot be read, its geometry is not that of `like`, or it is empty.
    """
    voxels = _mask_voxels(path, like)
    if not voxels.any():
        raise InputError(f"{path}: empty lung mask")
    sides = set(np.unique(voxels)) == {0, 1, 2}
    return _image_like(voxels if sides else voxels != 0, like)


def _mask_voxels(path: Path, like: sitk.Image) -> np.ndarray:
    path = Path(path)
    check_access(path)
    if path.is_dir():
        raise InputError(f"{path}: a folder, where a mask file was expected")
    mask = _read_volume(path)
    if not same_grid(grid_of(mask), grid_of(like)):
        raise InputError(f"{path}: the mask's geometry differs from the CT's")
    values = sitk.GetArrayViewFromImage(mask)
    if not np.isfinite(values).all():
        raise InputError(f"{path}: the mask holds NaN or infinite voxels")
    least, most = float(values.min()), float(values.max())
    if least < 0 or most > MOST_LABEL or (values.dtype.kind == "f" and (values != np.round(values)).any()):
        raise InputError(
            f"{path}: no mask: it holds values from {least:g} to {most:g}, not labels from 0 to {MOST_LABEL}"
        )
    return np.array(values)


def _image_like(voxels: np.ndarray, like: sitk.Image) -> sitk.Image:
    result = sitk.GetImageFromArray(voxels.astype(np.uint8))
    result.CopyInformation(like)
    return result


def is_volume(path: Path) -> bool:
    """Whether the name is that of a volume in a file format other than DICOM."""
    return path.name.lower().endswith(_SUFFIXES)


def _is_dicom_file(path: Path) -> bool:
    try:
        return is_dicom(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


def _read_volume(path: Path) -> sitk.Image:
    """Read a 3D scalar image in a file format other than DICOM."""
    if not is_volume(path):
        raise InputError(f"{path}: not a DICOM, NIfTI, NRRD or MetaImage file")
    if path.name.lower().endswith((".nii", ".nii.gz")):
        check_nifti(path)
    else:
        check_compressed(path)
    try:
        with quiet():
            header = sitk.ImageFileReader()
            header.SetFileName(str(path))
            header.ReadImageInformation()
            check_header(path, header)
            image = header.Execute()
    except RuntimeError as error:
        text = str(error).replace(str(path), "").lower()
        known = (cause for word, cause in _CAUSES.items() if word in text)
        cause = next(known, "damaged, truncated or not what its name says")
        raise InputError(f"{path}: {cause}") from error
    if image.GetDimension() == 4:
        image = image[..., 0]
    return image


def check_header(path: Path, header: sitk.ImageFileReader) -> None:
    """Refuse with an InputError what a volume's header says is no single CT or mask."""
    size = header.GetSize()
    values = header.GetNumberOfComponents()
    if values != 1:
        raise InputError(f"{path}: {values} values a voxel (color, vector or overlapping segments), not one CT or mask")
    if len(size) > 3 and max(size[3:]) > 1:
        raise InputError(f"{path}: a 4D image (several volumes), not one CT")
    if len(size) < 3:
        raise InputError(f"{path}: a 2D image, not a volume")
    if min(size[:3]) == 1:
        raise InputError(f"{path}: a single slice, not a volume")
    stored = _stored_spacing(path) if path.suffix in (".mha", ".mhd", ".nrrd", ".nhdr") else []
    if not all(np.isfinite(step) and step > 0 for step in [*header.GetSpacing()[:3], *stored]):
        raise InputError(f"{path}: zero or negative spacing")
    if not np.isfinite([*header.GetOrigin(), *header.GetDirection()]).all():
        raise InputError(f"{path}: the position or orientation is not a number")


def _stored_spacing(path: Path) -> list[float]:
    """The spacing as the text header says it: ITK drops its sign."""
    with path.open("rb") as stream:
        line = re.search(rb"^(?:ElementSpacing *=|spacings:)([-+.\deE ]+)$", stream.read(4096), re.MULTILINE)
    return [_number(word) for word in line[1].split()] if line else []


def _number(word: bytes) -> float:
    try:
        return float(word)
    except ValueError:
        return math.nan


def _in_hounsfield_range(image: sitk.Image) -> sitk.Image:
    """Clip padding to air; whole numbers become int16 where they fit, all else float32."""
    voxels = sitk.GetArrayViewFromImage(image)
    whole = np.issubdtype(voxels.dtype, np.integer) and int(voxels.max()) <= np.iinfo(np.int16).max
    result = sitk.GetImageFromArray(np.maximum(voxels, int(AIR_HU)).astype(np.int16 if whole else np.float32))
    result.CopyInformation(image)
    return result
