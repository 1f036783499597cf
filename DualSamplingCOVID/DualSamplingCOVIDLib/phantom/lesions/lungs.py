"""The lungs' voxels as lists, and one lesion as a level on some of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..anatomy import Chest
from ..fields import Floats, Grid, smooth_field
from ..tissue import Healthy
from .kinds import LesionKind

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class LungVoxels:
    """The N voxels of both lungs: position (N, 3) in mm (LPS), depth under the chest wall (N,) in mm, lobe (N,)."""

    chest: Chest
    healthy: Healthy
    position: Floats
    costal: Floats
    lobe: NDArray[np.uint8]
    rng: np.random.Generator

    @classmethod
    def of(cls, chest: Chest, healthy: Healthy, rng: np.random.Generator) -> LungVoxels:
        """List the voxels in the order of `chest.lungs.nonzero()`."""
        mask = chest.lungs
        return cls(chest, healthy, chest.grid.points(mask), chest.costal[mask], chest.lobe[mask], rng)

    @property
    def volume(self) -> float:
        """Lung volume in mm3."""
        return len(self.position) * float(np.prod(self.chest.grid.spacing))

    def noise(self, scale_mm: float) -> Floats:
        """Draw a smooth random field (N,) of unit variance whose bumps are about `scale_mm` mm wide."""
        grid, window = cropped(self.chest.grid, self.chest.lungs)
        return smooth_field(grid, scale_mm, self.rng)[self.chest.lungs[window]]

    def between(self, low: NDArray[np.floating], high: NDArray[np.floating]) -> Indices:
        """Return the voxels in the box from `low` to `high` (x, y, z in mm)."""
        # the list follows [k, j, i], so z rises along it
        first, last = np.searchsorted(self.position[:, 2], (low[2], high[2]))
        x, y = self.position[first:last, 0], self.position[first:last, 1]
        return first + np.nonzero((x > low[0]) & (x < high[0]) & (y > low[1]) & (y < high[1]))[0]

    def around(self, centre: NDArray[np.floating], reach_mm: float) -> Indices:
        """Return the voxels in the cube of half side `reach_mm` round a position (x, y, z) in mm."""
        return self.between(centre - reach_mm, centre + reach_mm)

    def choose(self, weight: Floats, count: int) -> Floats:
        """Draw the positions (count, 3) of voxels with probability in proportion to the weights (N,)."""
        total = np.cumsum(weight, dtype=np.float64)
        drawn = np.searchsorted(total, self.rng.uniform(0, total[-1], count))
        return self.position[drawn.clip(0, len(weight) - 1)]


@dataclass(frozen=True)
class Lesion:
    """A lesion as a level (n,) on the lung voxels `near` (n,): 0 in its heart, about 1 at its edge.

    `unit_mm` is the length of one level; `rise` what ground glass adds in HU; `soft_mm` the width of its edge;
    `rough` how much noise shapes it. Consolidated is what lies between the shares `dense` of the way from edge (0)
    to heart (1), and where a field of unit variance exceeds `scarce`. Air fills it deeper than `wall_mm` in front of
    `fluid_y` (mm). `bronchi` are widened branches: starts (m, 3), ends (m, 3), radii of lumen and wall (m,) in mm.
    """

    kind: LesionKind
    near: Indices
    level: Floats
    unit_mm: float
    rise: float
    soft_mm: float
    rough: float = 1.0
    dense: tuple[float, float] = (9.0, 9.0)
    scarce: float = 9.0
    open_airways: bool = False
    wall_mm: float = np.inf
    fluid_y: float = np.inf
    bronchi: tuple[NDArray[np.float64], ...] = ()


def cropped(grid: Grid, mask: NDArray[np.bool_]) -> tuple[Grid, tuple[slice, slice, slice]]:
    """Return the smallest part of the grid (two voxels a side at least) that holds the mask, and where it lies."""
    window = []
    for axis in range(3):
        used = np.nonzero(mask.any(tuple(other for other in range(3) if other != axis)))[0]
        first = max(min(int(used[0]), mask.shape[axis] - 2), 0)
        window.append(slice(first, max(int(used[-1]) + 1, first + 2)))
    k, j, i = window
    return Grid(grid.x[i], grid.y[j], grid.z[k]), (k, j, i)
