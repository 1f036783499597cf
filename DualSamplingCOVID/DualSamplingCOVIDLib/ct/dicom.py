"""CT from DICOM: which series, in which order and on which grid; pixels come from GDCM, in HU."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from ..diagnosis import Finding
from ..errors import InputError
from .access import check_name
from .quality import AIR_HU, IRREGULAR_PERCENT, TILT_DEGREES, SliceFacts, check_slices, check_volume
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
_SAME_POSITION_MM = 0.01


class _NotAVolume(InputError):
    """A picture beside the CT (screen capture, dose report): refused only where there is nothing else."""


@dataclass(frozen=True)
class _PassedOver:
    """Files of one series that make no volume, and why."""

    uid: str
    files: int
    cause: _NotAVolume


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
    """Slices of one series that share size and orientation (one file's, where it is multi-frame)."""

    uid: str
    patient: str
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


def read_dicom(path: Path, series: str | None) -> tuple[sitk.Image, tuple[Finding, ...]]:
    """Read the CT in a DICOM folder (with its subfolders) or file, and apply the checks that need no lungs.

    The grid is uniform and upright: missing or irregular slices are interpolated linearly along the normal, and a
    gantry tilt is undone by shifting the slices in their plane.

    Args:
        path: folder or DICOM file.
        series: Series Instance UID, or None for the chest CT with the most slices.

    Returns:
        The 3D image in HU, LPS mm, and the findings.

    Raises:
        InputError: no CT, several patients, no such series, unusable geometry or pixels.
    """
    found, passed_over = _group(_files(path))
    if not found:
        raise passed_over[0].cause if passed_over else InputError(f"{path}: no DICOM CT slices found")
    chosen = [one for one in found if series in (None, one.uid)]
    if not chosen:
        if wanted := [one for one in passed_over if one.uid == series]:
            raise wanted[0].cause
        known = ", ".join(f"{one.uid} ({len(one.slices)} slices)" for one in found)
        raise InputError(f"{path}: none of its {len(found)} CT series has the UID {series}; it holds {known}")
    if len({one.patient for one in chosen}) > 1:
        raise InputError(f"{path}: CTs of more than one patient in one folder")
    best = max(chosen, key=lambda one: one.rank)
    findings: tuple[Finding, ...] = ()
    if len(chosen) > 1:
        counts = ", ".join(str(len(one.slices)) for one in sorted(chosen, key=lambda one: one.rank, reverse=True))
        findings = (Finding("several-series", f"{len(chosen)} CT series ({counts} slices); the first was used"),)
    longer = max((one.files for one in passed_over if series is None), default=0)
    if longer > 1 and longer >= len(best.slices):
        findings += (
            Finding("unusable-series", f"a CT series of {longer} files was passed over: not all have a place"),
        )
    image, facts = _volume(path, best)
    return image, (*findings, *check_volume(image, facts, str(path)))


def _files(path: Path) -> list[Path]:
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


def _group(files: Iterable[Path]) -> tuple[list[Series], list[_PassedOver]]:
    """Read the headers of the CT slices among `files`, grouped to `Series`; and what makes no volume."""
    import pydicom

    groups: dict[tuple[Any, ...], list[Any]] = {}
    found: list[Series] = []
    passed_over: list[_PassedOver] = []
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
            except _NotAVolume as error:
                passed_over.append(_PassedOver(str(header.get("SeriesInstanceUID")), 1, error))
            except InputError:
                raise
            except Exception as error:
                raise InputError(f"{file}: damaged DICOM header") from error
        for headers in groups.values():
            try:
                found.append(_series(headers))
            except _NotAVolume as error:
                passed_over.append(_PassedOver(str(headers[0].get("SeriesInstanceUID")), len(headers), error))
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
        raise _NotAVolume(f"{file}: color image, not a CT in Hounsfield units")


def _series(headers: list[Any]) -> Series:
    first = headers[0]
    frames = int(first.get("NumberOfFrames") or 1)
    text = " ".join(str(first.get(name) or "") for name in ("BodyPartExamined", "SeriesDescription"))
    slices = [one for header in headers for one in _slices(header, int(header.get("NumberOfFrames") or 1))]
    measures = [_group_item(first, 0, "PixelMeasuresSequence"), *headers]
    return Series(
        uid=str(first.get("SeriesInstanceUID")),
        patient=_patient(first),
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
            raise _NotAVolume(f"{file}: slice without position, orientation or pixel spacing")
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


def _volume(path: Path, series: Series) -> tuple[sitk.Image, SliceFacts]:
    """Sort the slices along their normal, read them and put them on a uniform upright grid."""
    if np.ptp([one.orientation for one in series.slices], axis=0).max() > 0.01:
        raise InputError(f"{path}: the frames differ in orientation")
    row, column = np.array(series.slices[0].orientation).reshape(2, 3)
    if abs(np.linalg.norm(row) - 1) > 0.01 or abs(np.linalg.norm(column) - 1) > 0.01 or abs(row @ column) > 0.01:
        raise InputError(f"{path}: the slices' orientation is not a pair of perpendicular unit vectors")
    row = row / np.linalg.norm(row)
    normal = np.cross(row, column - (row @ column) * row)
    normal = normal / np.linalg.norm(normal)
    frame_axes = np.stack([row, np.cross(normal, row), normal])

    ordered = sorted(series.slices, key=lambda one: (round(float(normal @ one.position), 3), one.number, one.frame))
    along = [float(normal @ one.position) for one in ordered]
    kept = [0]
    for index in range(1, len(ordered)):
        if along[index] - along[kept[-1]] > _SAME_POSITION_MM:
            kept.append(index)
    if len(kept) < 2:
        raise InputError(f"{path}: a single CT slice, not a volume")
    slices = [ordered[index] for index in kept]
    if len({one.spacing for one in slices}) > 1:
        raise InputError(f"{path}: the slices differ in pixel spacing")

    local = np.array([one.position for one in slices]) @ frame_axes.T
    heights = local[:, 2]
    facts, step = _slice_facts(series, local, len(ordered) - len(kept))
    check_slices(facts, str(path))
    voxels = _voxels(path, series, slices)
    spacing = slices[0].spacing
    corner = np.zeros(2)
    if facts.tilt_degrees > TILT_DEGREES:
        voxels, corner = _upright(voxels, (local[:, :2] - local[0, :2]) / spacing)
    if facts.missing or facts.irregularity > IRREGULAR_PERCENT:
        voxels = _uniform(voxels, heights, step)
    start = local[0] + np.array([*(corner * spacing), 0.0])
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing((*spacing, step))
    image.SetOrigin(tuple(float(value) for value in start @ frame_axes))
    image.SetDirection(tuple(float(value) for value in frame_axes.T.ravel()))
    return image, facts


def _slice_facts(series: Series, local: np.ndarray, duplicated: int) -> tuple[SliceFacts, float]:
    """Facts and the spacing (mm) of slices whose positions in their own frame are `local`, sorted, (n, 3) mm."""
    gaps = np.diff(local[:, 2])
    typical = float(np.median(gaps))
    steps = np.maximum(np.rint(gaps / typical), 1)
    step = float(np.mean(gaps[steps == 1]))
    missing = int(steps.sum()) - len(gaps)
    moved = local[-1] - local[0]
    return SliceFacts(
        missing=missing,
        missing_share=100.0 * missing / (missing + len(local)),
        largest_gap_mm=float(gaps.max()),
        irregularity=100.0 * float(np.abs(gaps - steps * step).max()) / step,
        duplicated=duplicated,
        tilt_degrees=float(np.degrees(np.arctan2(np.hypot(moved[0], moved[1]), moved[2]))),
        spacing_error=None if series.spacing_tag_mm is None else 100.0 * abs(abs(series.spacing_tag_mm) / step - 1),
        thickness_mm=series.thickness_mm,
        contrast_slices=series.contrast_slices,
    ), step


def _voxels(path: Path, series: Series, slices: list[Slice]) -> np.ndarray:
    """HU of the slices in their order, [k,j,i]; GDCM applies the rescale slope and intercept."""
    if series.frames > 1 and len({one.rescale for one in slices}) > 1:
        raise InputError(f"{path}: the frames differ in rescale slope or intercept")
    files = [str(one.file) for one in slices]
    try:
        with quiet():
            if series.frames > 1:
                return sitk.GetArrayFromImage(_read(files[:1]))[[one.frame for one in slices]]
            return sitk.GetArrayFromImage(_read(files))
    except RuntimeError as error:
        culprit = next((file for file in files if not _readable(file)), str(path))
        raise InputError(f"{culprit}: the pixels are truncated, damaged or in an unknown compression") from error


def _read(files: list[str]) -> sitk.Image:
    if len(files) == 1:
        return sitk.ReadImage(files[0], imageIO="GDCMImageIO")
    reader = sitk.ImageSeriesReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileNames(files)
    return reader.Execute()


def _readable(file: str) -> bool:
    try:
        with quiet():
            _read([file])
    except RuntimeError:
        return False
    return True


def _upright(voxels: np.ndarray, shifts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Undo a gantry tilt: move every slice by its shift (along i, along j; pixels) on a canvas that holds them all.

    Returns:
        The voxels [k,j,i] padded with air, and the canvas' first pixel (along i, along j; pixels).
    """
    first, last = np.floor(shifts.min(axis=0)).astype(int), np.ceil(shifts.max(axis=0)).astype(int)
    extra = last - first
    canvas = np.pad(voxels, ((0, 0), (0, int(extra[1])), (0, int(extra[0]))), constant_values=int(AIR_HU))
    for index, shift in enumerate(shifts - first):
        canvas[index] = ndimage.shift(canvas[index], shift[::-1], order=1, mode="constant", cval=AIR_HU)
    return canvas, first.astype(float)


def _uniform(voxels: np.ndarray, heights: np.ndarray, step: float) -> np.ndarray:
    """Interpolate slices [k,j,i] at `heights` (mm, rising) linearly to every `step` mm from the first."""
    count = int(np.rint((heights[-1] - heights[0]) / step)) + 1
    places = np.interp(heights[0] + step * np.arange(count), heights, np.arange(len(heights)))
    result = np.empty((count, *voxels.shape[1:]), dtype=voxels.dtype)
    for index, place in enumerate(places):
        below = min(int(place), len(heights) - 2)
        share = place - below
        blend = (1 - share) * voxels[below] + share * voxels[below + 1]
        result[index] = np.rint(blend) if np.issubdtype(voxels.dtype, np.integer) else blend
    return result
