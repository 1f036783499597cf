"""Shapes of opacities: patches, bands under the pleura, and wedges that stop at the fissures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..fields import Floats
from .lungs import Indices, LungVoxels

REACH = 2.3
"""How far a lesion is followed, in units of its size: enough for the edge to move outwards when volume is missing."""


def patch(lungs: LungVoxels, centre: Floats, size_mm: float, flat: float) -> tuple[Indices, Floats]:
    """An ellipsoid of about this radius; `flat` > 0 shortens it under the pleura."""
    rng = lungs.rng
    stretch = rng.uniform(0.75, 1.4, 3).astype(np.float32)
    near = lungs.around(centre, REACH * size_mm * 1.4)
    offset = (lungs.position[near] - centre) / stretch
    inward = (lungs.costal[near] - depth_at(lungs, centre)) * np.float32(flat)
    return near, np.sqrt(np.sum(offset**2, axis=1) + inward**2) / np.float32(size_mm)


def band(lungs: LungVoxels, centre: Floats, size_mm: float, thick_mm: float) -> tuple[Indices, Floats]:
    """A band along the chest wall: `size_mm` is half its length, `thick_mm` half its thickness; units of thickness."""
    near = lungs.around(centre, REACH * size_mm)
    along = np.sqrt(np.sum((lungs.position[near] - centre) ** 2, axis=1)) / np.float32(size_mm)
    across = np.abs(lungs.costal[near] - depth_at(lungs, centre)) / np.float32(thick_mm)
    return near, np.sqrt(along**2 + across**2)


def wedge(lungs: LungVoxels, centre: Floats, size_mm: float, lobe: int) -> tuple[Indices, Floats]:
    """A wedge of the lobe that narrows from the pleura to the hilum and stops at the fissures."""
    rng = lungs.rng
    near = lungs.around(centre, REACH * size_mm * 1.25)
    plan = lungs.chest.plan
    axis = plan.place(plan.hilum(-1 if lobe <= 3 else 1)[None])[0] - centre
    axis /= max(float(np.linalg.norm(axis)), 1.0)
    offset = lungs.position[near] - centre
    along = offset @ axis.astype(np.float32)
    across = np.sqrt(np.maximum(np.sum(offset**2, axis=1) - along**2, 0))
    narrowing = np.clip(1 + along / np.float32(3 * size_mm), 0.5, 2.5)
    reach = np.sqrt((across * narrowing) ** 2 + (along / 1.25) ** 2) / np.float32(size_mm * rng.uniform(0.85, 1.15))
    return near, reach + np.float32(1.2) * (lungs.lobe[near] != lobe)


def depth_at(lungs: LungVoxels, centre: Floats) -> np.float32:
    """Depth in mm under the chest wall at a position (x, y, z) in mm: that of the nearest lung voxel."""
    near = lungs.around(centre, 1.01 * max(lungs.chest.grid.spacing))
    nearest = near[np.argmin(np.sum((lungs.position[near] - centre) ** 2, axis=1))]
    return np.float32(lungs.costal[nearest])


def lobules(lungs: LungVoxels, pitch_mm: float, warp: Floats) -> Floats:
    """Draw one normal number for each secondary lobule and list it over the voxels (N,).

    Lobules are bricks of about `pitch_mm`, turned at random and bent by `warp` (N,) of unit variance.
    """
    rng = lungs.rng
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0].astype(np.float32)
    u, v, w = (lungs.position @ (turn / np.float32(pitch_mm)) + np.float32(0.22) * warp[:, None]).T
    k = np.floor(w).astype(np.int64)
    j = np.floor(v + 0.5 * (k % 2)).astype(np.int64)
    i = np.floor(u + 0.5 * (j % 2)).astype(np.int64)
    table = rng.standard_normal(1021).astype(np.float32)
    return table[(i * 73 + j * 179 + k * 283) % 1021]


def septa(position: Floats, pitch_mm: float, thick_mm: float, voxel_mm: float, rng: np.random.Generator) -> Floats:
    """Return the share (n,) of septa in voxels at these positions (n, 3): walls of cells about `pitch_mm` wide."""
    from scipy.spatial import cKDTree

    low, high = position.min(0) - pitch_mm, position.max(0) + pitch_mm
    lattice = np.stack(np.meshgrid(*(np.arange(a, b, pitch_mm) for a, b in zip(low, high, strict=True))), -1)
    seeds = lattice.reshape(-1, 3) + rng.uniform(-0.45, 0.45, (lattice.size // 3, 3)) * pitch_mm
    distance, which = cKDTree(seeds).query(position, k=2)
    apart: NDArray[np.float64] = np.linalg.norm(seeds[which[:, 0]] - seeds[which[:, 1]], axis=1)
    wall = (distance[:, 1] ** 2 - distance[:, 0] ** 2) / (2 * np.maximum(apart, 1e-3))
    blurred = max(thick_mm, voxel_mm)
    return np.asarray(np.clip(1.2 - wall / (0.75 * blurred), 0, 1) * min(1.0, thick_mm / voxel_mm), np.float32)
