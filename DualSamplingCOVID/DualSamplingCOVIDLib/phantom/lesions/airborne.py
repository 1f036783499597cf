"""Lesions that follow the airways: nodules, tree-in-bud, bronchiectasis; and the cavity."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ..fields import Floats
from ..vessels import Tree
from .kinds import LesionKind
from .lungs import Indices, Lesion, LungVoxels
from .shapes import patch

Points = NDArray[np.float64]


def nodules(lungs: LungVoxels, centre: Floats, lobe: int, volume: float) -> Lesion:
    """A cluster of centrilobular nodules of 3 to 9 mm, volume in mm3; a few large ones instead, now and then."""
    rng = lungs.rng
    mean = rng.uniform(4.0, 9.0) if rng.random() < 0.15 else rng.uniform(1.8, 3.6)
    mean = max(mean, 0.55 * min(lungs.chest.grid.spacing))
    tips = _beside(lungs, lobe, centre, 0.0, 1.2)
    count = int(np.clip(volume / (4.19 * 1.1 * mean**3), 1, len(tips)))
    mean = max(mean, 0.8 * float(np.cbrt(volume / (4.19 * count))))
    spots = tips[:count] + rng.normal(0, 1.5, (count, 3))
    near, level = _near_points(lungs, spots, mean * rng.uniform(0.6, 1.45, count), lobe)
    faint = rng.random() < 0.35
    return Lesion(
        LesionKind.NODULES,
        near,
        level,
        mean,
        rng.uniform(150, 330) if faint else rng.uniform(350, 750),
        mean * rng.uniform(0.25, 0.8),
        rough=0.65,
        dense=(9.0, 9.0) if faint else (0.35, 9.0),
    )


def tree_in_bud(lungs: LungVoxels, centre: Floats, lobe: int, volume: float) -> Lesion:
    """Plugged small airways with buds: twigs of 1.5-3 mm thickness in Y shapes at the ends of the bronchi."""
    rng = lungs.rng
    voxel = min(lungs.chest.grid.spacing)
    thick = max(rng.uniform(0.9, 1.5), 0.5 * voxel)
    tips = _beside(lungs, lobe, centre, 0.0, 0.8)
    # each tip carries some four twigs of 5 mm with a bud at the end
    count = int(np.clip(volume / (2.8 * (3.1 * thick**2 * 5 + 8 * thick**3)), 2, len(tips)))
    stems = np.repeat(tips[:count], 4, axis=0)
    heading = rng.standard_normal(stems.shape) + 0.8 * np.repeat(rng.standard_normal((count, 3)), 4, axis=0)
    heading /= np.linalg.norm(heading, axis=1, keepdims=True)
    ends = stems + heading * rng.uniform(3.5, 8.0, (len(stems), 1))
    twigs, _ = along(stems, ends, np.full(len(stems), thick))
    spots = np.vstack([twigs, ends])
    radii = np.concatenate([np.full(len(twigs), thick), thick * rng.uniform(1.2, 1.9, len(ends))])
    near, level = _near_points(lungs, spots, radii, lobe)
    rise = rng.uniform(400, 750)
    return Lesion(LesionKind.TREE_IN_BUD, near, level, thick, rise, 0.35 * thick, rough=0.25, dense=(0.2, 9.0))


def bronchiectasis(lungs: LungVoxels, centre: Floats, lobe: int, volume: float) -> Lesion:
    """Widened, thick-walled bronchi of a segment in a sleeve of opacity."""
    rng = lungs.rng
    tree = _airways(lungs, lobe)
    nodes = tree.children(0.85, 2.8)
    middle = 0.5 * (tree.position[nodes] + tree.position[tree.parent[nodes]])
    nodes = nodes[np.argsort(np.linalg.norm(middle - centre, axis=1))]
    start, end = tree.position[tree.parent[nodes]], tree.position[nodes]
    lumen = np.clip(tree.radius[nodes] * rng.uniform(1.5, 2.3), max(1.8, 0.8 * min(lungs.chest.grid.spacing)), 5.5)
    wall = lumen + rng.uniform(1.4, 2.4)
    cuff = wall + rng.uniform(2.0, 5.0)
    length = np.linalg.norm(end - start, axis=1)
    count = int(np.clip(np.searchsorted(np.cumsum(3.14 * cuff**2 * length * 0.75), volume), 1, len(nodes)))
    chosen = tuple(part[:count] for part in (start, end, lumen, wall))
    spots, reach = along(chosen[0], chosen[1], cuff[:count])
    near, level = _near_points(lungs, spots, reach, lobe)
    return Lesion(
        LesionKind.BRONCHIECTASIS,
        near,
        level,
        float(np.mean(cuff)),
        rng.uniform(180, 480),
        rng.uniform(1.5, 4.0),
        rough=0.6,
        scarce=rng.uniform(0.3, 1.6),
        bronchi=chosen,
    )


def cavity(lungs: LungVoxels, centre: Floats, lobe: int, volume: float) -> Lesion:
    """A consolidated ball with air inside, sometimes over a fluid level, in a rim of ground glass."""
    rng = lungs.rng
    size = float(np.cbrt(volume / 4.19))
    near, level = patch(lungs, centre, size, 0.0)
    level = level + np.float32(1.2) * (lungs.lobe[near] != lobe)
    wall = max(rng.uniform(3.0, 9.0), rng.uniform(0.18, 0.4) * size, 1.3 * max(lungs.chest.grid.spacing))
    soft = rng.uniform(1.0, 4.0)
    fluid = float(centre[1]) + rng.uniform(0.0, 0.5) * size if rng.random() < 0.3 else np.inf
    return Lesion(
        LesionKind.CAVITY,
        near,
        level,
        size,
        rng.uniform(200, 400),
        soft,
        rough=0.35,
        dense=(-1.0, 9.0),
        wall_mm=min(wall, 0.55 * size),
        fluid_y=fluid,
    )


def along(start: Points, end: Points, radius: NDArray[np.float64]) -> tuple[Points, NDArray[np.float64]]:
    """Return points every 1.5 mm along straight branches (m, 3), and the branch's radius at each."""
    steps = np.maximum(np.ceil(np.linalg.norm(end - start, axis=1) / 1.5), 1).astype(np.int64)
    branch = np.repeat(np.arange(len(steps)), steps)
    serial = np.arange(len(branch)) - np.repeat(np.cumsum(steps) - steps, steps)
    share = ((serial + 0.5) / steps[branch])[:, None]
    return start[branch] * (1 - share) + end[branch] * share, radius[branch]


def _airways(lungs: LungVoxels, lobe: int) -> Tree:
    """The airways of the lobe's side."""
    return lungs.healthy.airways[0 if lobe <= 3 else 1]


def _beside(lungs: LungVoxels, lobe: int, centre: Floats, least: float, most: float) -> Points:
    """Return nodes (n, 3) of airways of such radii (mm), nearest to the centre first, roughly."""
    tree = _airways(lungs, lobe)
    nodes = tree.position[tree.children(least, most)]
    order = np.argsort(np.linalg.norm(nodes - centre, axis=1) + lungs.rng.normal(0, 6, len(nodes)))
    return nodes[order]


def _near_points(lungs: LungVoxels, spots: Points, radii: NDArray[np.float64], lobe: int) -> tuple[Indices, Floats]:
    """Return the voxels near the points, and their distance in units of the nearest one's radius."""
    reach = 3.0 * float(radii.max()) + max(lungs.chest.grid.spacing)
    near = lungs.between(spots.min(0) - reach, spots.max(0) + reach)
    distance, which = cKDTree(spots).query(lungs.position[near], distance_upper_bound=reach)
    found = np.isfinite(distance)
    near, level = near[found], distance[found] / radii[which[found]]
    return near, (level + 1.2 * (lungs.lobe[near] != lobe)).astype(np.float32)
