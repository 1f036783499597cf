"""CT from DICOM: which series, in which order and on which grid; pixels come from GDCM, in HU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from ..diagnosis import Finding
from ..errors import InputError
from .grid import Grid
from .quality import AIR_HU, IRREGULAR_PERCENT, TILT_DEGREES, SliceFacts, check_slices, check_volume
from .quiet import quiet
from .series import Series, Slice, files_of, group

_SAME_POSITION_MM = 0.01


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
    chosen, findings = _chosen(path, series)
    image, facts = _volume(path, chosen)
    return image, (*findings, *check_volume(image, facts, str(path)))


def dicom_grid(path: Path) -> Grid:
    """Return the grid that `read_dicom` would put the CT on, from the headers alone.

    Raises:
        InputError: as `read_dicom`, but for what the pixels would show.
    """
    return _plan(path, _chosen(path, None)[0]).grid


def _chosen(path: Path, series: str | None) -> tuple[Series, tuple[Finding, ...]]:
    """Return the series to read, and what is to be said of the others."""
    found, passed_over = group(files_of(path))
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
    return best, findings


@dataclass(frozen=True)
class _Plan:
    """How a volume is made of slices: in their order, at `heights` (mm) along the normal, then on `grid`.

    `shifts` (along i, along j; pixels; [n, 2]) undo a gantry tilt; None where there is none. `is_uneven` says that the
    slices have to be interpolated.
    """

    slices: tuple[Slice, ...]
    heights: np.ndarray
    shifts: np.ndarray | None
    is_uneven: bool
    facts: SliceFacts
    grid: Grid


def _plan(path: Path, series: Series) -> _Plan:
    """Sort the slices along their normal and find the uniform upright grid for them."""
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
    spacing = slices[0].spacing
    shifts = (local[:, :2] - local[0, :2]) / spacing if facts.tilt_degrees > TILT_DEGREES else None
    is_uneven = facts.missing > 0 or facts.irregularity > IRREGULAR_PERCENT
    corner, more = (np.zeros(2, int), np.zeros(2, int)) if shifts is None else _canvas(shifts)
    start = local[0] + np.array([*(corner * spacing), 0.0])
    count = _count(heights, step) if is_uneven else len(slices)
    grid = Grid(
        size=(series.size[0] + int(more[0]), series.size[1] + int(more[1]), count),
        spacing=(*spacing, step),
        origin=tuple(float(value) for value in start @ frame_axes),
        axes=tuple(float(value) for value in frame_axes.T.ravel()),
    )
    return _Plan(tuple(slices), heights, shifts, is_uneven, facts, grid)


def _volume(path: Path, series: Series) -> tuple[sitk.Image, SliceFacts]:
    """Read the slices and put them on a uniform upright grid."""
    plan = _plan(path, series)
    voxels = _voxels(path, series, plan.slices)
    if plan.shifts is not None:
        voxels = _upright(voxels, plan.shifts)
    if plan.is_uneven:
        voxels = _uniform(voxels, plan.heights, plan.grid.spacing[2])
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(plan.grid.spacing)
    image.SetOrigin(plan.grid.origin)
    image.SetDirection(plan.grid.axes)
    return image, plan.facts


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


def _voxels(path: Path, series: Series, slices: Sequence[Slice]) -> np.ndarray:
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


def _canvas(shifts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first pixel of a canvas that holds all moved slices, and by how many it is larger (along i, j)."""
    first = np.floor(shifts.min(axis=0)).astype(int)
    return first, np.ceil(shifts.max(axis=0)).astype(int) - first


def _upright(voxels: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Undo a gantry tilt: move every slice [k,j,i] by its shift (along i, j; pixels) on a canvas padded with air."""
    first, more = _canvas(shifts)
    canvas = np.pad(voxels, ((0, 0), (0, int(more[1])), (0, int(more[0]))), constant_values=int(AIR_HU))
    for index, shift in enumerate(shifts - first):
        canvas[index] = ndimage.shift(canvas[index], shift[::-1], order=1, mode="constant", cval=AIR_HU)
    return canvas


def _count(heights: np.ndarray, step: float) -> int:
    """Return how many slices every `step` mm reach from the lowest of `heights` (mm, rising) to the highest."""
    return int(np.rint((heights[-1] - heights[0]) / step)) + 1


def _uniform(voxels: np.ndarray, heights: np.ndarray, step: float) -> np.ndarray:
    """Interpolate slices [k,j,i] at `heights` (mm, rising) linearly to every `step` mm from the first."""
    count = _count(heights, step)
    places = np.interp(heights[0] + step * np.arange(count), heights, np.arange(len(heights)))
    result = np.empty((count, *voxels.shape[1:]), dtype=voxels.dtype)
    for index, place in enumerate(places):
        below = min(int(place), len(heights) - 2)
        share = place - below
        blend = (1 - share) * voxels[below] + share * voxels[below + 1]
        result[index] = np.rint(blend) if np.issubdtype(voxels.dtype, np.integer) else blend
    return result
