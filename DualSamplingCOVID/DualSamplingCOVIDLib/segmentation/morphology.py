"""Morphology on working-grid masks [k, j, i]: balls in mm by exact distance maps, cubes of 3 voxels by shifts."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from .working_grid import SPACING_MM, BoolArray, FloatArray

VOXEL_ML = SPACING_MM**3 / 1000.0


def distance(mask: BoolArray) -> FloatArray:
    """Distance (mm) of each voxel to the nearest one of the mask (not empty)."""
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    outside = sitk.SignedMaurerDistanceMap(image, insideIsPositive=False, squaredDistance=False, useImageSpacing=False)
    return np.maximum(sitk.GetArrayViewFromImage(outside), np.float32(0)) * np.float32(SPACING_MM)


def depth(mask: BoolArray) -> FloatArray:
    """Distance (mm) of each voxel inside the mask to the nearest one outside."""
    return distance(~mask) if not mask.all() else np.full(mask.shape, np.inf, np.float32)


def grown(mask: BoolArray, radius_mm: float) -> BoolArray:
    """Dilate by a ball."""
    if not mask.any():
        return mask
    around = box(mask, margin=int(radius_mm / SPACING_MM) + 2)
    grown = np.zeros_like(mask)
    grown[around] = distance(mask[around]) <= radius_mm
    return grown


def opened(mask: BoolArray, radius_mm: float) -> BoolArray:
    """Open by a ball."""
    return grown(depth(mask) > radius_mm, radius_mm)


def closed(mask: BoolArray, radius_mm: float) -> BoolArray:
    """Close by a ball; beyond the array counts as outside, so the mask never runs along its faces."""
    margin = int(radius_mm / SPACING_MM) + 2
    padded = np.pad(mask, margin)
    closed = depth(grown(padded, radius_mm)) > radius_mm
    return closed[margin:-margin, margin:-margin, margin:-margin] | mask


def with_neighbours(mask: BoolArray) -> BoolArray:
    """The mask and the voxels that share a face with it."""
    wider = mask.copy()
    for axis in range(mask.ndim):
        _widen(mask, wider, axis)
    return wider


def grown_by_cube(mask: BoolArray) -> BoolArray:
    """Dilate by a cube of 3 x 3 x 3 voxels."""
    for axis in range(mask.ndim):
        wider = mask.copy()
        _widen(mask, wider, axis)
        mask = wider
    return mask


def opened_by_cube(mask: BoolArray) -> BoolArray:
    """Open by a cube of 3 x 3 x 3 voxels; beyond the array counts as inside."""
    return grown_by_cube(~grown_by_cube(~mask))


def _widen(mask: BoolArray, wider: BoolArray, axis: int) -> None:
    """Add to `wider` the neighbours of the mask along an axis."""
    mask, wider = np.moveaxis(mask, axis, 0), np.moveaxis(wider, axis, 0)
    wider[1:] |= mask[:-1]
    wider[:-1] |= mask[1:]


def filled(mask: BoolArray) -> BoolArray:
    """Fill the holes that no path of face neighbours leads out of."""
    whole = sitk.BinaryFillhole(sitk.GetImageFromArray(mask.astype(np.uint8)))
    return np.asarray(sitk.GetArrayViewFromImage(whole) > 0)


def largest(mask: BoolArray) -> BoolArray:
    """The largest component."""
    labels, count = ndimage.label(mask)
    if not count:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return labels == int(sizes.argmax())


def connected(mask: BoolArray, seed: BoolArray, least_ml: float = 0.0) -> BoolArray:
    """The components of the mask that hold a seed voxel, of at least this volume (ml)."""
    labels, count = ndimage.label(mask)
    keep = np.zeros(count + 1, bool)
    keep[labels[seed]] = True
    if least_ml:
        keep &= np.bincount(labels.ravel(), minlength=count + 1) * VOXEL_ML >= least_ml
    keep[0] = False
    return keep[labels]


def box(mask: BoolArray, margin: int) -> tuple[slice, slice, slice]:
    """The mask's bounding box with a margin (voxels), inside the array."""
    found = ndimage.find_objects(mask.astype(np.uint8))[0]
    k, j, i = (slice(max(0, s.start - margin), min(n, s.stop + margin)) for s, n in zip(found, mask.shape, strict=True))
    return k, j, i


def larger_than(mask: BoolArray, least_ml: float) -> BoolArray:
    """The components of at least this volume (ml)."""
    labels, count = ndimage.label(mask)
    keep = np.bincount(labels.ravel(), minlength=count + 1) * VOXEL_ML >= least_ml
    keep[0] = False
    return keep[labels]
