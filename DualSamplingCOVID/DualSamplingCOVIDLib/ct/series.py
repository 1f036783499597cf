"""Which DICOM files are CT slices, and of which series: what headers tell, no pixel is read."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .access import check_name
from .quiet import quiet

_TAGS = [
    "SOPClassUID", "ImageType", "Modality", "SeriesDescription", "BodyPartExamined", "PatientID", "PatientName",
    "ContrastBolusAgent", "SliceThickness", "SpacingBetweenSlices", "SeriesInstanceUID", "InstanceNumber",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SamplesPerPixel", "NumberOfFrames", "Rows",
    "Columns", "BitsAllocated", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
]  # fmt: skip
_CT_CLASSES = {f"1.2.840.10008.5.1.4.1.1.{number}" for number in ("2", "2.1", "2.2")}
"""CT images: single slices, enhanced, and enhanced as converted from single slices."""
_UNCOMPRESSED = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"}
_CHEST_WORDS = ("CHEST", "THOR", "LUNG")


class NotAVolume(InputError):
    """A picture beside the CT (screen capture, dose report): refused only where there is nothing else."""


@dataclass(frozen=True)
class PassedOver:
    """Files of one series that make no volume, and why."""

    uid: str
    files: int
    cause: NotAVolume


@dataclass(frozen=True)
class Slice:
    """One slice's place: `position` is the first voxel's centre, LPS mm; `spacing` is (along i, along j), mm."""

    file: Path
    frame: int
    number: int
    position: tuple[float, ...]
    orientation: tuple[float, ...]
    spacing: tuple[float, float]
    rescale: tuple[float, float] | None


@dataclass(frozen=True)
class Series:
    """Slices of one series that share orientation and `size` (columns, rows): one file's, where it is multi-frame."""

    uid: str
    patient: str
    size: tuple[int, int]
    body_part: str
    frames: int
    slices: tuple[Slice, ...]
    thickness_mm: float | None
    spacing_tag_mm: float | None
    contrast_slices: int

    @property
    def rank(self) -> tuple[int, int, str]:
        """Sorts the chest first, an unknown body part next; then the most slices; then the UID, to be repeatable."""
        chest = any(word in self.body_part for word in _CHEST_WORDS)
        return 2 if chest else int(not self.body_part), len(self.slices), self.uid


def is_dicom(file: Path) -> bool:
    """Whether the file carries DICOM's magic word, or at least its suffix."""
    with file.open("rb") as stream:
        stream.seek(128)
        return stream.read(4) == b"DICM" or file.suffix.lower() in (".dcm", ".ima")


def files_of(path: Path) -> list[Path]:
    """Return the files that may be slices: one, or all of a folder and its subfolders in the order of their names.

    Raises:
        InputError: the folder is empty or cannot be read.
    """
    if path.is_file():
        return [path]

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename}: cannot be read: {error.strerror}")

    files = [Path(folder) / name for folder, _, names in os.walk(path, onerror=refuse) for name in names]
    try:
        files = sorted(file for file in files if not file.name.startswith(".") and file.is_file())
    except OSError as error:
        refuse(error)
    for file in files:
        check_name(file)
    if not files:
        raise InputError(f"{path}: the folder is empty")
    return files


def group(files: Iterable[Path]) -> tuple[list[Series], list[PassedOver]]:
    """Read the headers of the CT slices among `files`, grouped to `Series`; and what makes no volume.

    Raises:
        InputError: a file is damaged or cannot be read.
    """
    import pydicom

    groups: dict[tuple[Any, ...], list[Any]] = {}
    found: list[Series] = []
    passed_over: list[PassedOver] = []
    with quiet():
        for file in files:
            try:
                if not is_dicom(file):
                    continue
                header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=_TAGS, force=True)
                _check_whole(file, header)
                if header.get("Modality") != "CT" or "LOCALIZER" in (header.get("ImageType") or []):
                    continue
                header.filename = file
                _check_pixels(file, header)
                groups.setdefault(_series_key(file, header), []).append(header)
            except OSError as error:
                raise InputError(f"{file}: cannot be read: {error.strerror or 'damaged'}") from error
            except NotAVolume as error:
                passed_over.append(PassedOver(str(header.get("SeriesInstanceUID")), 1, error))
            except InputError:
                raise
            except Exception as error:
                raise InputError(f"{file}: damaged DICOM header") from error
        for headers in groups.values():
            try:
                found.append(_series(headers))
            except NotAVolume as error:
                passed_over.append(PassedOver(str(headers[0].get("SeriesInstanceUID")), len(headers), error))
            except (ValueError, TypeError, AttributeError, IndexError) as error:
                raise InputError(f"{headers[0].filename}: damaged DICOM header") from error
    return found, passed_over


def _series_key(file: Path, header: Any) -> tuple[Any, ...]:
    direction = tuple(round(float(value), 2) for value in header.get("ImageOrientationPatient") or ())
    whole = str(file) if int(header.get("NumberOfFrames") or 1) > 1 else ""
    size = header.get("Rows"), header.get("Columns")
    return str(header.get("SeriesInstanceUID")), _patient(header), size, direction, whole


def _patient(header: Any) -> str:
    return str(header.get("PatientID") or header.get("PatientName") or "")


def _check_whole(file: Path, header: Any) -> None:
    """Refuse a file cut short: it would pass for something else and leave a gap, or ask for memory in vain."""
    kind = header.get("SOPClassUID") or header.file_meta.get("MediaStorageSOPClassUID")
    if not kind or (kind in _CT_CLASSES and "Columns" not in header):
        raise InputError(f"{file}: damaged or truncated DICOM file")
    if kind in _CT_CLASSES and header.file_meta.get("TransferSyntaxUID") in _UNCOMPRESSED:
        counts = (header.get(name) or 0 for name in ("Rows", "Columns", "BitsAllocated"))
        if file.stat().st_size < math.prod(counts) // 8 * int(header.get("NumberOfFrames") or 1):
            raise InputError(f"{file}: the pixels are truncated")


def _check_pixels(file: Path, header: Any) -> None:
    if int(header.get("SamplesPerPixel") or 1) != 1:
        raise NotAVolume(f"{file}: color image, not a CT in Hounsfield units")


def _series(headers: list[Any]) -> Series:
    first = headers[0]
    frames = int(first.get("NumberOfFrames") or 1)
    text = " ".join(str(first.get(name) or "") for name in ("BodyPartExamined", "SeriesDescription"))
    slices = [one for header in headers for one in _slices(header, int(header.get("NumberOfFrames") or 1))]
    measures = [_group_item(first, 0, "PixelMeasuresSequence"), *headers]
    return Series(
        uid=str(first.get("SeriesInstanceUID")),
        patient=_patient(first),
        size=(int(first.get("Columns")), int(first.get("Rows"))),
        body_part=text.strip().upper(),
        frames=frames,
        slices=tuple(slices),
        thickness_mm=_number(measures, "SliceThickness"),
        spacing_tag_mm=_number(measures, "SpacingBetweenSlices"),
        contrast_slices=frames * sum(bool(header.get("ContrastBolusAgent")) for header in headers),
    )


def _number(items: Iterable[Any], name: str) -> float | None:
    for item in items:
        value = item.get(name) if item is not None else None
        if value not in (None, ""):
            return float(value)
    return None


def _group_item(header: Any, frame: int, name: str) -> Any:
    """One functional group's item, the frame's own before the shared one; None where absent."""
    frames, shared = header.get("PerFrameFunctionalGroupsSequence"), header.get("SharedFunctionalGroupsSequence")
    for groups in (frames[frame] if frames else None, shared[0] if shared else None):
        if groups is not None and groups.get(name):
            return groups.get(name)[0]
    return None


def _slices(header: Any, frames: int) -> Iterator[Slice]:
    file = Path(header.filename)
    for frame in range(frames):
        in_groups = frames > 1 or "PerFrameFunctionalGroupsSequence" in header
        place = _group_item(header, frame, "PlanePositionSequence") if in_groups else header
        plane = _group_item(header, frame, "PlaneOrientationSequence") if in_groups else header
        measures = _group_item(header, frame, "PixelMeasuresSequence") if in_groups else header
        values = _group_item(header, frame, "PixelValueTransformationSequence") if in_groups else None
        position: Any = (place.get("ImagePositionPatient") if place is not None else None) or ()
        orientation: Any = (plane.get("ImageOrientationPatient") if plane is not None else None) or ()
        spacing: Any = (measures.get("PixelSpacing") if measures is not None else None) or ()
        if (len(position), len(orientation), len(spacing)) != (3, 6, 2):
            raise NotAVolume(f"{file}: slice without position, orientation or pixel spacing")
        if not np.isfinite([float(value) for value in (*position, *orientation, *spacing)]).all():
            raise InputError(f"{file}: a position, orientation or pixel spacing is not a number")
        if min(float(value) for value in spacing) <= 0:
            raise InputError(f"{file}: the pixel spacing is zero or negative")
        yield Slice(
            file=file,
            frame=frame,
            number=int(header.get("InstanceNumber") or 0),
            position=tuple(float(value) for value in position),
            orientation=tuple(float(value) for value in orientation),
            spacing=(float(spacing[1]), float(spacing[0])),
            rescale=None if values is None else (float(values.RescaleSlope), float(values.RescaleIntercept)),
        )
