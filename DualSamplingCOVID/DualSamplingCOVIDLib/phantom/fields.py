"""Sampling grids and smooth random fields: what every part of the phantom is drawn on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Grid:
    """Voxel centres in LPS mm: x rises to the patient's left, y to the back, z to the head; arrays are [k, j, i]."""

    x: Floats
    y: Floats
    z: Floats

    @classmethod
    def between(
        cls, low: tuple[float, float, float], high: tuple[float, float, float], spacing: tuple[float, float, float]
    ) -> Grid:
        """Fill the box from `low` to `high` (x, y, z in mm) with voxels of `spacing` mm."""
        axes = [
            (start + step * np.arange(max(int((stop - start) / step), 2))).astype(np.float32)
            for start, stop, step in zip(low, high, spacing, strict=True)
        ]
        return cls(*axes)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Array shape (k, j, i)."""
        return len(self.z), len(self.y), len(self.x)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size (x, y, z) in mm."""
        return tuple(float(axis[1] - axis[0]) for axis in (self.x, self.y, self.z))  # type: ignore[return-value]

    @property
    def axes(self) -> tuple[Floats, Floats, Floats]:
        """x, y and z in mm, shaped to broadcast to [k, j, i]."""
        return self.x[None, None, :], self.y[None, :, None], self.z[:, None, None]

    def part(self, box: tuple[slice, slice, slice]) -> Grid:
        """Return the grid of the voxels in these slices [k, j, i]."""
        return Grid(self.x[box[2]], self.y[box[1]], self.z[box[0]])

    def points(self, mask: NDArray[np.bool_]) -> Floats:
        """Return the positions (x, y, z) in mm of the mask's voxels, shape (N, 3)."""
        k, j, i = np.nonzero(mask)
        return np.stack([self.x[i], self.y[j], self.z[k]], axis=1)


def smooth_field(grid: Grid, scale_mm: float, rng: np.random.Generator) -> Floats:
    """Draw a random field [k, j, i] of about unit variance whose bumps are about `scale_mm` mm wide.

    Cubic B-splines on random coefficients, applied axis by axis.
    """
    bases = [_spline_basis(axis, scale_mm) for axis in (grid.z, grid.y, grid.x)]
    field = rng.standard_normal([basis.shape[1] for basis in bases], dtype=np.float32)
    for basis in bases[::-1]:
        field = np.moveaxis(np.tensordot(basis, field, axes=(1, field.ndim - 1)), 0, 0)
    # a B-spline of independent unit coefficients has variance (sum of squared weights) ** 3, about 0.11
    return np.ascontiguousarray(field / np.float32(0.33))


def _spline_basis(axis: Floats, scale_mm: float) -> Floats:
    """Return the cubic B-spline weights of every position on the axis, shape (positions, nodes)."""
    position = (axis - axis[0]) / scale_mm
    nodes = np.arange(-1, int(position[-1]) + 3)
    distance = np.abs(position[:, None] - nodes[None, :])
    near, far = 2 / 3 - distance**2 + distance**3 / 2, np.clip(2 - distance, 0, None) ** 3 / 6
    return np.where(distance < 1, near, far).astype(np.float32)


def coverage(signed_mm: Floats, voxel_mm: float) -> Floats:
    """Turn a signed distance (mm, positive inside) into the share of the voxel that lies inside, 0..1."""
    return np.clip(signed_mm * np.float32(1 / voxel_mm) + np.float32(0.5), 0, 1)


def blend(image: Floats, value: float | Floats, share: Floats) -> None:
    """Mix `value` (HU) into the image in place, in proportion to `share` (0..1)."""
    image += (value - image) * share


def capsule(
    voxels: tuple[Floats, Floats, Floats],
    start: NDArray[np.float64],
    end: NDArray[np.float64],
    first: float,
    last: float,
) -> Floats:
    """Return how far (mm) voxels (x, y, z) lie below the surface of a tube whose radius goes from `first` to `last`."""
    axis = end - start
    length2 = max(float(axis @ axis), 1e-6)
    offset = [c - np.float32(s) for c, s in zip(voxels, start, strict=True)]
    along = sum((o * np.float32(a / length2) for o, a in zip(offset, axis, strict=True)), np.float32(0))
    along = np.clip(along, 0, 1)
    square = sum(((o - along * np.float32(a)) ** 2 for o, a in zip(offset, axis, strict=True)), np.float32(0))
    return np.asarray(np.float32(first) + along * np.float32(last - first) - np.sqrt(square), np.float32)
