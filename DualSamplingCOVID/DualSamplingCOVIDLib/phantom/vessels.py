"""Branching trees that fill a lung, and tubes drawn with true partial volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .fields import Floats, Grid

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Tree:
    """A rooted tree: node positions (N, 3) in mm, each node's parent (the root's is itself), radii (N,) in mm.

    `radius[n]` is that of the branch from `parent[n]` to n; `leaf` marks the ends.
    """

    position: Points
    parent: NDArray[np.int64]
    radius: NDArray[np.float64]
    leaf: NDArray[np.bool_]

    def children(self, least: float, most: float = np.inf) -> NDArray[np.int64]:
        """Return the nodes, without the root, whose branch radius in mm lies in [least, most)."""
        return 1 + np.nonzero((self.radius[1:] >= least) & (self.radius[1:] < most))[0]


def grow_tree(root: Points, targets: Points, tip_mm: float, rng: np.random.Generator) -> Tree:
    """Connect the targets (N, 3) greedily, nearest to the root first: short links, but also short paths.

    Radii follow Murray's law (the parent's cube is the sum of its children's) from tips of `tip_mm`.
    """
    order = np.argsort(np.linalg.norm(targets - root, axis=1))
    position = np.vstack([root[None], targets[order]])
    count = len(position)
    parent, path = np.zeros(count, np.int64), np.zeros(count)
    for node in range(1, count):
        link = np.linalg.norm(position[:node] - position[node], axis=1)
        parent[node] = np.argmin(link + 0.55 * (path[:node] + link))
        path[node] = path[parent[node]] + link[parent[node]]
    cubes = np.zeros(count)
    leaf = np.ones(count, bool)
    leaf[parent[1:]] = False
    cubes[leaf] = (tip_mm * rng.uniform(0.8, 1.25, int(leaf.sum()))) ** 3
    for node in range(count - 1, 0, -1):
        cubes[parent[node]] += cubes[node]
    return Tree(position, parent, np.cbrt(cubes), leaf)


def draw_branches(grid: Grid, tree: Tree, nodes: NDArray[np.int64], scale: float = 1.0) -> Floats:
    """Draw the branches that end in `nodes`, with radii times `scale`, as volume shares [k, j, i] in 0..1."""
    return draw_tubes(grid, tree.position[tree.parent[nodes]], tree.position[nodes], scale * tree.radius[nodes])


def draw_tubes(grid: Grid, start: Points, end: Points, radius: NDArray[np.float64]) -> Floats:
    """Draw straight tubes (positions (N, 3) in mm, radii (N,) in mm) as volume shares [k, j, i] in 0..1.

    Each tube is filled with points that carry its volume and are shared out among the eight nearest
    voxels, so a vessel thinner than a voxel gets its partial volume.
    """
    step = 0.45 * min(grid.spacing)
    length = np.linalg.norm(end - start, axis=1)
    along = np.maximum(np.ceil(length / step), 1).astype(np.int64)
    across = np.clip(np.ceil(2.5 * (radius / step) ** 2), 1, 400).astype(np.int64)
    tube = np.repeat(np.arange(len(radius)), along * across)
    serial = np.arange(len(tube)) - np.repeat(np.cumsum(along * across) - along * across, along * across)
    share = ((serial // across[tube]) + 0.5) / along[tube]
    spiral = serial % across[tube]
    direction = (end - start) / np.maximum(length, 1e-6)[:, None]
    first = np.cross(direction, np.where(np.abs(direction[:, 2:]) < 0.9, [[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]]))
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(direction, first)
    reach = radius[tube] * np.sqrt((spiral + 0.5) / across[tube]) * (across[tube] > 1)
    turn = 2.39996 * spiral + 0.7 * share * along[tube]
    position = start[tube] + share[:, None] * (end - start)[tube]
    position += (reach * np.cos(turn))[:, None] * first[tube] + (reach * np.sin(turn))[:, None] * second[tube]
    volume = (np.pi * radius**2 * length / (along * across))[tube] / np.prod(grid.spacing)
    return np.minimum(_splat(grid, position, volume), 1)


def _splat(grid: Grid, position: Points, weight: NDArray[np.float64]) -> Floats:
    """Share the weights out among the eight voxels around each position (mm)."""
    origin = np.array([grid.x[0], grid.y[0], grid.z[0]])
    index = (position - origin) / np.array(grid.spacing)
    size = np.array(grid.shape[::-1])
    keep = np.all((index >= 0) & (index < size - 1), axis=1)
    index, weight = index[keep], weight[keep]
    low = index.astype(np.int64)
    part = index - low
    flat = low[:, 0] + size[0] * (low[:, 1] + size[1] * low[:, 2])
    image = np.zeros(int(size.prod()), np.float32)
    for corner in np.ndindex(2, 2, 2):
        share = weight * np.prod(np.where(corner, part, 1 - part), axis=1)
        offset = corner[0] + size[0] * (corner[1] + size[1] * corner[2])
        image += np.bincount(flat + offset, share, minlength=len(image)).astype(np.float32)
    return image.reshape(grid.shape)
