"""Where the voxels of a CT or a mask lie, and whether two lie in the same places."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

_SAME_PLACE_MM = 0.05


@dataclass(frozen=True)
class Grid:
    """A volume's voxels: `size` and `spacing` (mm) along i, j, k; `origin` (mm) and `axes`, row-major [3, 3], in LPS.

    A column of `axes` is the direction of i, j or k.
    """

    size: tuple[int, ...]
    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    axes: tuple[float, ...]


def grid_of(image: sitk.Image | sitk.ImageFileReader) -> Grid:
    """Return the grid of an image, or of the one whose header was read; of a 4D one that of its first volume."""
    dimension = len(image.GetSize())
    axes = np.array(image.GetDirection()).reshape(dimension, dimension)[:3, :3]
    return Grid(image.GetSize()[:3], image.GetSpacing()[:3], image.GetOrigin()[:3], tuple(axes.ravel().tolist()))


def same_grid(one: Grid, other: Grid) -> bool:
    """Whether two grids have as many voxels and their corners at the same places."""
    if tuple(one.size) != tuple(other.size):
        return False
    return bool(np.allclose(_corners_mm(one), _corners_mm(other), rtol=0, atol=_SAME_PLACE_MM))


def _corners_mm(grid: Grid) -> np.ndarray:
    """Return the places [8, 3] of the corner voxels' centres."""
    axes = np.array(grid.axes).reshape(3, 3) * grid.spacing
    corners = itertools.product(*((0, count - 1) for count in grid.size))
    return np.array(list(corners)) @ axes.T + grid.origin
