"""The grid that masks are found on: 2 mm cubes along the patient's axes (LPS), whatever the CT's direction.

Arrays on it are [k, j, i] with k rising to the head, j to the back and i to the patient's left.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import SimpleITK as sitk

SPACING_MM = 2.0
AIR_HU = -1024.0
DENSEST_HU = 1000.0

FloatArray = np.ndarray[tuple[int, ...], np.dtype[np.float32]]
BoolArray = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


def from_ct(ct: sitk.Image) -> sitk.Image:
    """Resample a CT to the working grid: bins averaged against aliasing, then one linear interpolation.

    The axes are put in LPS order first, so that flipped or permuted copies of a CT give the same voxels. HU are
    clipped to [-1024, 1000], which also makes air of padding (-3024 or so). Places outside the CT repeat its edge.

    Args:
        ct: CT in HU.

    Returns:
        float32 image with identity direction that covers all of `ct`.
    """
    clamped = sitk.Clamp(sitk.DICOMOrient(ct, "LPS"), ct.GetPixelID(), AIR_HU, DENSEST_HU)
    bins = [
        min(size, max(1, int(SPACING_MM / spacing + 0.25)))
        for spacing, size in zip(clamped.GetSpacing(), clamped.GetSize(), strict=True)
    ]
    averaged = sitk.Cast(sitk.BinShrink(clamped, bins), sitk.sitkFloat32)
    lower, upper = _bounds_mm(clamped)
    size = np.maximum(1, np.ceil((upper - lower) / SPACING_MM - 1e-4)).astype(int)
    origin = (lower + upper) / 2 - (size - 1) / 2 * SPACING_MM
    resample = sitk.ResampleImageFilter()
    resample.SetSize([int(n) for n in size])
    resample.SetOutputOrigin([float(x) for x in origin])
    resample.SetOutputSpacing([SPACING_MM] * 3)
    resample.SetOutputDirection(np.eye(3).ravel().tolist())
    resample.SetUseNearestNeighborExtrapolator(True)
    return resample.Execute(averaged)


def to_ct(mask: BoolArray, grid: sitk.Image, ct: sitk.Image) -> sitk.Image:
    """Bring a mask back to the CT grid: linear interpolation of 0 and 1, cut at one half (see `cut_on_ct`)."""
    return cut_on_ct(mask.astype(np.float32), 0.5, grid, ct)


def cut_on_ct(level: FloatArray, least: float, grid: sitk.Image, ct: sitk.Image) -> sitk.Image:
    """Mark where a level, interpolated to the CT grid, reaches `least`: the edge lies between the working voxels.

    Args:
        level: [k, j, i] on `grid`.
        least: The least level inside.
        grid: The working grid.
        ct: Any image with the geometry wanted.

    Returns:
        uint8 image of 0 and 1 with the geometry of `ct`.
    """
    result = sitk.Image(ct.GetSize(), sitk.sitkUInt8)
    result.CopyInformation(ct)
    mask = level >= least
    if not mask.any():
        return result
    soft = sitk.GetImageFromArray(level)
    soft.CopyInformation(grid)
    start, size = _region(mask, grid, ct)
    resample = sitk.ResampleImageFilter()
    resample.SetSize(size)
    resample.SetOutputOrigin(ct.TransformIndexToPhysicalPoint(start))
    resample.SetOutputSpacing(ct.GetSpacing())
    resample.SetOutputDirection(ct.GetDirection())
    resample.SetUseNearestNeighborExtrapolator(True)
    part = sitk.GreaterEqual(resample.Execute(soft), least)
    return sitk.Paste(result, part, size, [0, 0, 0], start)


def array(image: sitk.Image) -> FloatArray:
    """Return an image's voxels as a float32 array [k, j, i]."""
    return sitk.GetArrayFromImage(image).astype(np.float32, copy=False)


def _bounds_mm(image: sitk.Image) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest LPS coordinate (mm) of the image's box, voxel halves included."""
    ends = [(-0.5, size - 0.5) for size in image.GetSize()]
    corners = np.array([image.TransformContinuousIndexToPhysicalPoint(corner) for corner in product(*ends)])
    return corners.min(0), corners.max(0)


def _region(mask: BoolArray, grid: sitk.Image, ct: sitk.Image) -> tuple[list[int], list[int]]:
    """Start and size (i, j, k) of the CT's part that holds the mask, with a working voxel to spare."""
    where = [np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis))) for axis in (2, 1, 0)]
    ends = [(float(w[0]) - 1, float(w[-1]) + 1) for w in where]
    points = [grid.TransformContinuousIndexToPhysicalPoint(corner) for corner in product(*ends)]
    indices = np.array([ct.TransformPhysicalPointToContinuousIndex(point) for point in points])
    limit = np.array(ct.GetSize()) - 1
    start = np.clip(np.floor(indices.min(0)), 0, limit).astype(int)
    stop = np.clip(np.ceil(indices.max(0)), 0, limit).astype(int)
    return [int(n) for n in start], [int(n) for n in stop - start + 1]
