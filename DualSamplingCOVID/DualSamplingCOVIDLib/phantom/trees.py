"""The lungs' arteries, veins and bronchi."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from .anatomy import BodyPlan, Chest, Masks
from .fields import Floats, Grid
from .vessels import Points, Stem, Tree, draw_branches, grow_tree

Course = tuple[float, float, float]
"""Where a wide branch ends, (outward, to the back, up) in mm from where it begins, in an average body."""


class Plan(NamedTuple):
    """The wide branches of one kind: trunks from the hilum, and what leaves from a trunk's end (None: the hilum)."""

    trunks: tuple[Course, ...]
    branches: tuple[tuple[int | None, Course], ...]


_LOWER, _UPPER = 0, 1
ARTERIES = Plan(
    trunks=((16.0, 22.0, -58.0), (14.0, -6.0, 24.0), (24.0, -22.0, -8.0)),
    branches=(
        (None, (12.0, 36.0, -12.0)),
        (_LOWER, (30.0, 2.0, -38.0)),
        (_LOWER, (10.0, 28.0, -42.0)),
        (_LOWER, (0.0, -18.0, -44.0)),
        (_LOWER, (26.0, 32.0, -22.0)),
        (_UPPER, (16.0, -24.0, 26.0)),
        (_UPPER, (18.0, 18.0, 30.0)),
        (_UPPER, (4.0, 0.0, 46.0)),
    ),
)
VEINS = Plan(
    trunks=((30.0, 24.0, -12.0), (16.0, -16.0, 34.0)),
    branches=(
        (_LOWER, (22.0, 20.0, -34.0)),
        (_LOWER, (26.0, -6.0, -40.0)),
        (_LOWER, (28.0, 24.0, -8.0)),
        (_UPPER, (20.0, -16.0, 16.0)),
        (_UPPER, (6.0, 6.0, 38.0)),
    ),
)
TRUNK, BRANCH = (0.8, 0.4), (0.45, 0.2)
"""Radius where they begin and end, as shares of the root's: they give off branches, but stay wide."""
LACKING = 0.2
"""How many of the branches a person lacks."""
NEAR_MM = 4.0
"""A branch that is farther than this from the lung has left it."""


@dataclass(frozen=True)
class LungTrees:
    """Both sides' arteries and bronchi (right, left), and volume shares [k, j, i] of vessels, walls and lumen."""

    arteries: tuple[Tree, Tree]
    airways: tuple[Tree, Tree]
    vessels: Floats
    wall: Floats
    lumen: Floats


def grow_lung_trees(chest: Chest, rng: np.random.Generator) -> LungTrees:
    """Grow arteries with their bronchi, and veins, from the hila to within a few mm of the pleura."""
    grid, plan = chest.grid, chest.plan
    vessels = np.zeros(grid.shape, np.float32)
    wall, lumen = vessels.copy(), vessels.copy()
    calibre = plan.half_depth / 94 * rng.uniform(0.75, 1.3)
    # the lower veins run level into the atrium, in some people as wide as a finger
    venous = calibre * rng.uniform(1.0, 1.5)
    arteries, airways = [], []
    for side, lung in ((-1, chest.right), (1, chest.left)):
        deep, wide = (_room(grid, lung & (chest.depth > least)) for least in (5.0, 1.5))
        hilum = plan.hilum(side)
        in_lung = cKDTree(_room(grid, lung))
        root, stems = _stems(plan, hilum, ARTERIES, side, in_lung, rng)
        artery = grow_tree(root, stems, _spread(deep, 700, rng), _spread(wide, 2400, rng), 7.6 * calibre, rng)
        # the veins come from the left atrium: lower, and in front
        root, stems = _stems(plan, hilum - [side * 6.0, 4.0, 20.0], VEINS, side, in_lung, rng)
        vein = grow_tree(root, stems, _spread(deep, 500, rng), _spread(wide, 1700, rng), 6.8 * venous, rng)
        box = _round_lung(grid, lung)
        part = grid.part(box)
        for tree in (artery, vein):
            vessels[box] += draw_branches(part, tree, tree.children(0.0))
        airway = artery.children(float(rng.uniform(0.9, 1.3)))
        shifted = artery.position + [1.9 * side, 2.2, 0.6] * artery.radius[:, None]
        beside = dataclasses.replace(artery, position=shifted)
        width = rng.uniform(0.75, 1.0)
        wall[box] += draw_branches(part, beside, airway, width, float(rng.uniform(0.5, 1.0)))
        lumen[box] += draw_branches(part, beside, airway, width)
        arteries.append(artery)
        airways.append(beside)
    shares = (np.minimum(share, 1) for share in (vessels, wall, lumen))
    return LungTrees((arteries[0], arteries[1]), (airways[0], airways[1]), *shares)


def _stems(
    body: BodyPlan, hilum: Points, plan: Plan, side: int, in_lung: cKDTree, rng: np.random.Generator
) -> tuple[Points, list[Stem]]:
    """Return the root at the hilum and the wide branches in the patient's space; those of trunks end in the lung."""
    ends: list[Points] = []
    stems: list[Stem] = []

    def course(start: Points, target: Course, outward_mm: float) -> Points:
        end = np.array([side * target[0], *target[1:]]) * body.height / 228 * rng.uniform(0.6, 1.25, 3)
        end += rng.normal(0, 4, 3)
        share = np.linspace(0, 1, max(int(np.linalg.norm(end) / 7), 2) + 1)[1:, None]
        bend = np.array([side * outward_mm, 0.0, 0.0]) * np.sin(np.pi * share)
        ends.append(start + end)
        return body.place(start + share * end + bend + rng.normal(0, 0.8, (len(share), 3)))

    for target in plan.trunks:
        # outwards first, then along: it runs in the lung, beside the mediastinum
        stems.append(Stem(course(hilum, target, rng.uniform(5, 14)), TRUNK))
    for origin, target in plan.branches:
        points = course(hilum if origin is None else ends[origin], target, 0.0)
        outside = np.nonzero(in_lung.query(points)[0] > NEAR_MM)[0]
        points = points[: outside[0]] if len(outside) else points
        if len(points) and rng.random() > LACKING:
            stems.append(Stem(points, BRANCH, origin))
    return body.place(hilum[None])[0], stems


def _room(grid: Grid, mask: Masks) -> Points:
    """Return the positions (N, 3) in mm of the mask's voxels."""
    return grid.points(mask).astype(np.float64)


def _round_lung(grid: Grid, lung: Masks) -> tuple[slice, slice, slice]:
    """Return the slices [k, j, i] of the lung with some 16 mm round it for its hilum."""
    slices = []
    for axis, step in zip(range(3), grid.spacing[::-1], strict=True):
        other = tuple(a for a in range(3) if a != axis)
        used = np.nonzero(lung.any(other))[0]
        margin = int(16 / step) + 1
        slices.append(slice(max(int(used[0]) - margin, 0), int(used[-1]) + margin + 1))
    return slices[0], slices[1], slices[2]


def _spread(room: Points, count: int, rng: np.random.Generator) -> Points:
    """Choose `count` of the positions (N, 3) at random, moved by up to a voxel so that no grid shows."""
    chosen = room[rng.integers(0, len(room), count)]
    return chosen + rng.uniform(-1, 1, chosen.shape)
