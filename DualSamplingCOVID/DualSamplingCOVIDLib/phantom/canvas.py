"""Painting small things into a large image: only the voxels near them are touched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .anatomy import Chest
from .fields import Floats, Grid, blend, coverage

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Window:
    """A box of voxels: its slices in [k, j, i], its own grid, and its voxels' body coordinates in mm."""

    box: tuple[slice, slice, slice]
    grid: Grid
    x: Floats
    y: Floats
    z: Floats

    @property
    def empty(self) -> bool:
        """Whether the box lies outside the image (or touches it with a single layer)."""
        return min(self.x.shape) < 2


def window(chest: Chest, low: Any, high: Any) -> Window:
    """Return the voxels that may lie between the body positions `low` and `high` (x, y, z in mm)."""
    box = chest.plan.box(chest.grid, low, high)
    grid = chest.grid.part(box)
    return Window(box, grid, *(axis[box] for axis in chest.body))


def paint_ellipsoid(
    hu: Floats, chest: Chest, centre: Any, radii: Any, value: float, within: Floats | None = None
) -> None:
    """Paint `value` HU into an ellipsoid (body mm); `within` [k, j, i] limits it in shares of 0..1."""
    reach = np.asarray(radii, float) + 4
    view = window(chest, np.asarray(centre) - reach, np.asarray(centre) + reach)
    if view.empty:
        return
    inside = ellipsoid(view, centre, radii)
    _paint(hu, view, coverage(inside * np.float32(min(radii)), chest.grid.spacing[0]), value, within)


def ellipsoid(view: Window, centre: Any, radii: Any) -> Floats:
    """Return 1 at the ellipsoid's centre, 0 on its surface and less outside, for the window's voxels."""
    dx, dy, dz = (
        (axis - np.float32(c)) * np.float32(1 / r)
        for axis, c, r in zip((view.x, view.y, view.z), centre, radii, strict=True)
    )
    return np.asarray(1 - np.sqrt(dx * dx + dy * dy + dz * dz), np.float32)


def paint_path(
    hu: Floats,
    chest: Chest,
    points: Any,
    radii: Any,
    value: float,
    within: Floats | None = None,
) -> None:
    """Paint a round tube of `value` HU through the body positions (N, 3), with a radius (mm) at each."""
    points = np.asarray(points, float)
    radii = np.broadcast_to(np.asarray(radii, float), len(points))
    for start, end, first, last in zip(points[:-1], points[1:], radii[:-1], radii[1:], strict=True):
        reach = max(first, last) + 4
        view = window(chest, np.minimum(start, end) - reach, np.maximum(start, end) + reach)
        if view.empty:
            continue
        inside = _capsule(view, start, end, float(first), float(last))
        share = coverage(inside, min(chest.grid.spacing[0], 2.0))
        # a tube thinner than a voxel fills no voxel
        share *= np.float32(min(1.0, (2 * max(first, last) / chest.grid.spacing[0]) ** 2))
        _paint(hu, view, share, value, within)


def _capsule(view: Window, start: NDArray[np.float64], end: NDArray[np.float64], first: float, last: float) -> Floats:
    """Distance in mm below the surface of a round tube whose radius goes from `first` to `last`."""
    axis = end - start
    length2 = max(float(axis @ axis), 1e-6)
    offset = [c - np.float32(s) for c, s in zip((view.x, view.y, view.z), start, strict=True)]
    along = sum((o * np.float32(a / length2) for o, a in zip(offset, axis, strict=True)), np.float32(0))
    along = np.clip(along, 0, 1)
    square = sum(((o - along * np.float32(a)) ** 2 for o, a in zip(offset, axis, strict=True)), np.float32(0))
    return np.asarray(np.float32(first) + along * np.float32(last - first) - np.sqrt(square), np.float32)


def _paint(hu: Floats, view: Window, share: Floats, value: float, within: Floats | None) -> None:
    if within is not None:
        share = share * within[view.box]
    blend(hu[view.box], value, share)
