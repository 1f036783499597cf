"""CT and masks -> the network's grid in one interpolation, and the exact way back (paper, section IV-B).

The network grid's axes are the patient's (L, P, S) whatever the CT's direction, so flips and axis permutations of
one CT give one network input. Arrays are [k, j, i]; points, spacings and origins are (x, y, z) in LPS mm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.sparse import csr_array

from .errors import InputError

WINDOW_HU = (-1350.0, 150.0)
"""What becomes 0 and 1 in the network's input (paper, section IV-B)."""

_ALIGNED = 1e-4
"""Direction cosines this close to the patient's axes count as parallel: less than 0.05 mm over a whole CT."""

_ROUNDING = 1e-9
"""Overlaps below this share of a cell are rounding, not anatomy."""

Array = NDArray[np.float32]


@dataclass(frozen=True)
class GridSpec:
    """Size and spacing of a network's input; the defaults are the paper's, 138 x 256 x 256 voxels of [k, j, i]."""

    shape_kji: tuple[int, int, int] = (138, 256, 256)
    spacing_xyz: tuple[float, float, float] = (1.4336, 1.4336, 2.5)

    def __post_init__(self) -> None:
        if len(self.shape_kji) != 3 or any(int(n) != n or n < 1 for n in self.shape_kji):
            raise ValueError(f"shape_kji must be three positive whole numbers, got {self.shape_kji}")
        if len(self.spacing_xyz) != 3 or not all(0 < s < math.inf for s in self.spacing_xyz):
            raise ValueError(f"spacing_xyz must be three positive lengths in mm, got {self.spacing_xyz}")

    def coarser(self, factor: int) -> GridSpec:
        """Return a grid over the same field of view with `factor` times fewer voxels along each axis."""
        k, j, i = (n // factor for n in self.shape_kji)
        x, y, z = (s * factor for s in self.spacing_xyz)
        return GridSpec((k, j, i), (x, y, z))


@dataclass(frozen=True)
class NetworkGrid:
    """Where one CT's network input lies: LPS axes, `origin_xyz` the centre of voxel (0, 0, 0).

    `scale` is the common factor (1 or more) by which the spec's spacing grew so that no lung is cut.
    """

    shape_kji: tuple[int, int, int]
    spacing_xyz: tuple[float, float, float]
    origin_xyz: tuple[float, float, float]
    scale: float

    def every(self, step: int) -> NetworkGrid:
        """Return the lattice of every `step`-th voxel from the first to the last one or just beyond it."""
        k, j, i = (-(-(n - 1) // step) + 1 for n in self.shape_kji)
        x, y, z = (s * step for s in self.spacing_xyz)
        return NetworkGrid((k, j, i), (x, y, z), self.origin_xyz, self.scale)

    def to_image(self, array: NDArray[np.generic]) -> sitk.Image:
        """Return `array` [k, j, i] as an image with this grid's geometry; ValueError where the shape differs."""
        if array.shape != self.shape_kji:
            raise ValueError(f"array has shape {array.shape}, the network grid {self.shape_kji}")
        image = sitk.GetImageFromArray(np.ascontiguousarray(array))
        image.SetSpacing(self.spacing_xyz)
        image.SetOrigin(self.origin_xyz)
        return image


@dataclass(frozen=True)
class NetworkInput:
    """What a network sees of one CT, float32 [k, j, i] on `grid`.

    `image` is the windowed CT in [0, 1], exactly 0 outside the lungs; `infection` is the share of each cell's volume
    that is infected (the target M of Eq. 3), or None where no mask was given; `lungs` is the share that is lung.
    """

    image: Array
    infection: Array | None
    lungs: Array
    grid: NetworkGrid


def network_grid(lungs: sitk.Image, spec: GridSpec) -> NetworkGrid:
    """Return the LPS grid centred on the bounding box of the lungs (nonzero voxels, faces included).

    The spacing is the spec's unless the lungs would be cut; then all three spacings grow by the one factor that just
    holds them.

    Raises:
        InputError: the mask is empty.
    """
    lower, upper = _physical_bounds(lungs)
    size_xyz = np.array(spec.shape_kji[::-1])
    scale = max(1.0, float(np.max((upper - lower) / (size_xyz * np.array(spec.spacing_xyz)))))
    spacing = scale * np.array(spec.spacing_xyz)
    origin = (lower + upper) / 2 - spacing * (size_xyz - 1) / 2
    return NetworkGrid(spec.shape_kji, _xyz(spacing), _xyz(origin), scale)


def prepare(ct: sitk.Image, lungs: sitk.Image, spec: GridSpec, infection: sitk.Image | None = None) -> NetworkInput:
    """Window, mask and resample one CT for the network: one interpolation from the native grid.

    The CT is clipped to the window and masked BEFORE it is resampled, so neither padding such as -3024 HU nor the
    chest wall leaks in; each cell is the exact average of the trilinear interpolant over the cell (anti-aliased), at
    most the cell's share of lung. Masks are area averages: volume is kept, and a single voxel stays above 0.

    Args:
        ct: HU, any orientation.
        lungs: mask on the CT's grid, infection included; nonzero is lung.
        spec: the network's grid.
        infection: mask on the CT's grid; what lies outside the lungs is left out.

    Raises:
        InputError: the lungs mask is empty.
        ValueError: a mask does not have the CT's geometry.
    """
    for name, mask in (("lungs", lungs), ("infection", infection)):
        if mask is not None and not _same_geometry(mask, ct):
            raise ValueError(f"the {name} mask does not have the CT's geometry")
    grid = network_grid(lungs, spec)
    region = _index_region(lungs)
    lungs = _canonical(lungs, region)
    inside = sitk.GetArrayViewFromImage(lungs) != 0
    low, high = WINDOW_HU
    hounsfield = sitk.GetArrayFromImage(_canonical(ct, region)).astype(np.float32, copy=False)
    windowed = (np.clip(hounsfield, low, high) - np.float32(low)) / np.float32(high - low)
    windowed[~inside] = 0.0

    resample = _aligned if _is_aligned(lungs) else _oblique
    share = resample(inside.astype(np.float32), lungs, grid, smooth=False)
    image = np.minimum(resample(windowed, lungs, grid, smooth=True), share)
    target = None
    if infection is not None:
        infected = (sitk.GetArrayFromImage(_canonical(infection, region)) != 0) & inside
        target = resample(infected.astype(np.float32), lungs, grid, smooth=not _is_aligned(lungs))
        target = np.clip(target, 0.0, 1.0)
    return NetworkInput(np.clip(image, 0.0, 1.0), target, np.clip(share, 0.0, 1.0), grid)


def _aligned(values: Array, frame: sitk.Image, grid: NetworkGrid, smooth: bool) -> Array:
    """Average `values` on the axes-parallel `frame` over the cells of `grid`, one axis after the other, exactly.

    `smooth` averages the linear interpolant of the voxel centres, otherwise the voxels as boxes.
    """
    shares = [_shares(axis, frame, grid, smooth) for axis in range(3)]
    (x, x_cells), (y, y_cells), (z, z_cells) = shares
    planes = (csr_array(z) @ values.reshape(len(values), -1)).reshape(len(z), *values.shape[1:])
    rows = csr_array(y)
    cells = np.stack([rows @ plane for plane in planes]) @ x.T
    result = np.zeros(grid.shape_kji, np.float32)
    result[z_cells, y_cells, x_cells] = cells
    return result


def _shares(axis: int, frame: sitk.Image, grid: NetworkGrid, smooth: bool) -> tuple[Array, slice]:
    """Return the weights [cell, voxel] of one axis (0 is x) for the cells that any voxel reaches, and those cells."""
    spacing, cell = frame.GetSpacing()[axis], grid.spacing_xyz[axis]
    centres = frame.GetOrigin()[axis] + spacing * np.arange(frame.GetSize()[axis])
    edges = grid.origin_xyz[axis] + cell * (np.arange(grid.shape_kji[2 - axis] + 1) - 0.5)
    distance = (edges[:, None] - centres[None, :]) / spacing
    if smooth:
        t = np.clip(distance, -1.0, 1.0)
        reached = 0.5 + t - np.sign(t) * t**2 / 2
    else:
        reached = np.clip(distance + 0.5, 0.0, 1.0)
    weights = np.diff(reached, axis=0) * spacing / cell
    weights[weights < _ROUNDING] = 0.0
    used = np.flatnonzero(weights.any(axis=1))
    cells = slice(int(used[0]), int(used[-1]) + 1)
    return weights[cells].astype(np.float32), cells


def _oblique(values: Array, frame: sitk.Image, grid: NetworkGrid, smooth: bool) -> Array:
    """Do what `_aligned` does for a frame at an angle: average a lattice of points at least as fine as the voxels."""
    padded = sitk.GetImageFromArray(np.pad(values, 1))
    padded.SetSpacing(frame.GetSpacing())
    padded.SetDirection(frame.GetDirection())
    padded.SetOrigin(frame.TransformIndexToPhysicalPoint((-1, -1, -1)))
    parts = [max(1, math.ceil(c / s - 0.1)) for c, s in zip(grid.spacing_xyz, frame.GetSpacing(), strict=True)]
    first, last = _reached_cells(padded, grid)
    count = last - first
    lattice = sitk.ResampleImageFilter()
    spacing = np.array(grid.spacing_xyz) / parts
    lattice.SetSize([int(n) for n in count * parts])
    lattice.SetOutputSpacing(_xyz(spacing))
    lattice.SetOutputOrigin(_xyz(np.array(grid.origin_xyz) + np.array(grid.spacing_xyz) * (first - 0.5) + spacing / 2))
    lattice.SetInterpolator(sitk.sitkLinear if smooth else sitk.sitkNearestNeighbor)
    points = sitk.GetArrayFromImage(lattice.Execute(padded))
    blocks = points.reshape(count[2], parts[2], count[1], parts[1], count[0], parts[0])
    result = np.zeros(grid.shape_kji, np.float32)
    (i, j, k), (i_end, j_end, k_end) = first, last
    result[k:k_end, j:j_end, i:i_end] = blocks.mean(axis=(1, 3, 5))
    return result


def _reached_cells(image: sitk.Image, grid: NetworkGrid) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first and one past the last cell (x, y, z) of the grid that the image's extent reaches."""
    corners = [
        image.TransformContinuousIndexToPhysicalPoint(
            [
                n - 0.5 if far else -0.5
                for n, far in zip(image.GetSize(), ((corner & 1), (corner & 2), (corner & 4)), strict=True)
            ]
        )
        for corner in range(8)
    ]
    cells = (np.array(corners) - grid.origin_xyz) / grid.spacing_xyz + 0.5
    size = np.array(grid.shape_kji[::-1])
    first = np.clip(np.floor(cells.min(axis=0)), 0, size - 1).astype(np.int64)
    last = np.clip(np.ceil(cells.max(axis=0)), first + 1, size).astype(np.int64)
    return first, last


def _physical_bounds(lungs: sitk.Image) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lower and upper corner (x, y, z) in mm of the box around all nonzero voxels, faces included."""
    inside = sitk.GetArrayViewFromImage(lungs) != 0
    k, j = np.nonzero(inside.any(axis=2))
    if not len(k):
        raise InputError("no lungs were found: the lungs mask is empty")
    rows = inside[k, j]
    first, last = rows.argmax(axis=1), rows.shape[1] - 1 - rows[:, ::-1].argmax(axis=1)
    index = np.stack([np.concatenate([first, last]), np.tile(j, 2), np.tile(k, 2)])
    steps = np.array(lungs.GetDirection()).reshape(3, 3) * lungs.GetSpacing()
    points = steps @ index + np.array(lungs.GetOrigin())[:, None]
    reach = np.abs(steps).sum(axis=1) / 2
    return points.min(axis=1) - reach, points.max(axis=1) + reach


def _index_region(lungs: sitk.Image) -> tuple[slice, slice, slice]:
    """Return the (x, y, z) index slices of the box around the nonzero voxels."""
    inside = sitk.GetArrayViewFromImage(lungs) != 0
    plane = inside.any(axis=0)
    found = [np.flatnonzero(used) for used in (plane.any(axis=0), plane.any(axis=1), inside.any(axis=(1, 2)))]
    x, y, z = (slice(int(used[0]), int(used[-1]) + 1) for used in found)
    return x, y, z


def _canonical(image: sitk.Image, region: tuple[slice, slice, slice]) -> sitk.Image:
    """Return the region with its axes in the order and sense nearest to L, P, S: no value is changed."""
    return sitk.DICOMOrient(image[region], "LPS")


def _is_aligned(image: sitk.Image) -> bool:
    return bool(np.allclose(image.GetDirection(), np.eye(3).ravel(), rtol=0, atol=_ALIGNED))


def _same_geometry(mask: sitk.Image, ct: sitk.Image) -> bool:
    return mask.GetSize() == ct.GetSize() and all(
        np.allclose(a, b, rtol=0, atol=1e-3)
        for a, b in (
            (mask.GetOrigin(), ct.GetOrigin()),
            (mask.GetSpacing(), ct.GetSpacing()),
            (mask.GetDirection(), ct.GetDirection()),
        )
    )


def _xyz(values: NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in values)
    return x, y, z
