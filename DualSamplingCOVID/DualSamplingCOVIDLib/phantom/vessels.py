"""Branching trees that fill a lung, and tubes drawn with true partial volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from .fields import Floats, Grid

Points = NDArray[np.float64]

STRAIGHTENED = 5
"""How often a branching point is drawn between its neighbours."""


@dataclass(frozen=True)
class Stem:
    """A wide branch as every hilum has them: its points (T, 3) in mm and its radius, as shares of the root's, where it
    begins and ends. It leaves from the end of the stem `origin` of the list before it, from the root where None.
    """

    points: Points
    radius: tuple[float, float]
    origin: int | None = None


@dataclass(frozen=True)
class Tree:
    """A rooted tree: node positions (N, 3) in mm, each node's parent (the root's is itself), radii (N,) in mm.

    `radius[n]` is that of the branch from `parent[n]` to n; `leaf` marks the ends;
    `bow` (N, 3) is how far in mm its middle lies beside the straight line.
    """

    position: Points
    parent: NDArray[np.int64]
    radius: NDArray[np.float64]
    leaf: NDArray[np.bool_]
    bow: Points

    def children(self, least: float, most: float = np.inf) -> NDArray[np.int64]:
        """Return the nodes, without the root, whose branch radius in mm lies in [least, most)."""
        return 1 + np.nonzero((self.radius[1:] >= least) & (self.radius[1:] < most))[0]


def grow_tree(
    root: Points, stems: list[Stem], targets: Points, twigs: Points, root_mm: float, rng: np.random.Generator
) -> Tree:
    """Connect the targets (N, 3) greedily, nearest to the root first: short links, but also short paths.

    The `stems` are there before anything branches off, and no narrower than they say. The `twigs` (M, 3) sprout from
    the nearest branches at last. Then branching points are drawn to where their flow goes straight on. Radii follow
    Murray's law, with an exponent between 2.35 and 2.8, from a root of `root_mm` mm.
    """
    order = np.argsort(np.linalg.norm(targets - root, axis=1))
    position = np.vstack([root[None], *(stem.points for stem in stems), targets[order]])
    count = len(position)
    parent, path = np.zeros(count, np.int64), np.zeros(count)
    columns = np.ascontiguousarray(position.T)
    chains: list[NDArray[np.int64]] = []
    first = 1
    for stem in stems:
        chain = np.arange(first, first + len(stem.points))
        origin = 0 if stem.origin is None else int(chains[stem.origin][-1])
        parent[chain] = np.concatenate([[origin], chain[:-1]])
        # half as long as they are, so that branches leave the stem where they are near
        path[chain] = path[origin] + 0.5 * np.cumsum(np.linalg.norm(position[chain] - position[parent[chain]], axis=1))
        chains.append(chain)
        first += len(chain)
    for node in range(first, count):
        offset = columns[:, :node] - columns[:, node : node + 1]
        link = np.sqrt(np.einsum("ij,ij->j", offset, offset))
        parent[node] = np.argmin(1.55 * link + 0.55 * path[:node])
        path[node] = path[parent[node]] + link[parent[node]]
    for part in np.array_split(twigs, 3):
        position, parent, path = _sprout(position, parent, path, part)
    share = _leaves_below(parent, rng)
    position = _straightened(position, parent, share, first)
    exponent = rng.uniform(2.35, 2.8)
    radius = root_mm * (share / share[0]) ** (1 / exponent)
    for stem, chain in zip(stems, chains, strict=True):
        radius[chain] = np.maximum(radius[chain], root_mm * np.linspace(*stem.radius, len(chain)))
    leaf = np.ones(len(parent), bool)
    leaf[parent[1:]] = False
    length = np.linalg.norm(position - position[parent], axis=1, keepdims=True)
    return Tree(position, parent, radius, leaf, 0.07 * length * rng.standard_normal(position.shape))


def _straightened(position: Points, parent: NDArray[np.int64], share: NDArray[np.float64], first: int) -> Points:
    """Draw each branching point from `first` on between where it comes from and where most of its flow goes on to."""
    position = position.copy()
    nodes = np.arange(1, len(parent))
    flow = share[nodes] ** 2
    through = np.bincount(parent[nodes], flow, len(parent))
    inner = np.nonzero(through)[0]
    inner = inner[inner >= first]
    for _ in range(STRAIGHTENED):
        ahead = np.stack(
            [np.bincount(parent[nodes], flow * position[nodes, axis], len(parent)) for axis in range(3)], 1
        )
        between = (position[parent[inner]] + ahead[inner] / through[inner, None]) / 2
        position[inner] = (position[inner] + between) / 2
    return position


def _sprout(
    position: Points, parent: NDArray[np.int64], path: NDArray[np.float64], twigs: Points
) -> tuple[Points, NDArray[np.int64], NDArray[np.float64]]:
    """Add each twig (M, 3) to the one of the six nearest nodes that gives the shortest link and path."""
    link, which = cKDTree(position).query(twigs, k=min(6, len(position)))
    choice = np.argmin(1.55 * link + 0.55 * path[which], axis=1)
    row = np.arange(len(twigs))
    chosen = which[row, choice]
    length = path[chosen] + link[row, choice]
    return np.vstack([position, twigs]), np.concatenate([parent, chosen]), np.concatenate([path, length])


def _leaves_below(parent: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Count the ends that hang on each node, with ends of unequal weight; parents come before their children."""
    weight = np.zeros(len(parent))
    weight[np.setdiff1d(np.arange(len(parent)), parent[1:])] = 1
    total = (weight * rng.uniform(0.5, 1.8, len(parent))).tolist()
    up = parent.tolist()
    for node in range(len(total) - 1, 0, -1):
        total[up[node]] += total[node]
    return np.array(total)


def draw_branches(
    grid: Grid, tree: Tree, nodes: NDArray[np.int64], scale: float = 1.0, wider_mm: float = 0.0
) -> Floats:
    """Draw the branches that end in `nodes` as volume shares [k, j, i] in 0..1; slightly curved.

    Their radii are `scale` times the tree's, and `wider_mm` more.
    """
    start, end = tree.position[tree.parent[nodes]], tree.position[nodes]
    middle = (start + end) / 2 + tree.bow[nodes]
    radius = scale * tree.radius[nodes] + wider_mm
    return draw_tubes(grid, np.vstack([start, middle]), np.vstack([middle, end]), np.concatenate([radius, radius]))


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
