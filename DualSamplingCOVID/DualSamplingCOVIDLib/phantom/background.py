"""Real chests without disease as backgrounds: made lesions in lungs that a person brings."""

from __future__ import annotations

import dataclasses

import numpy as np
import SimpleITK as sitk

from .anatomy import BodyPlan, Chest, Masks, divide_lobes, draw_body
from .fields import Floats, Grid
from .tissue import Healthy
from .trees import grow_lung_trees


def chest_of(hu: Floats, right: Masks, left: Masks, spacing_mm: float, rng: np.random.Generator) -> Chest:
    """Describe the lungs of a real CT as if they had been drawn, so that lesions find their places in them.

    Args:
        hu: CT [k, j, i] in HU along the patient's axes (LPS).
        right: right lung [k, j, i].
        left: left lung [k, j, i].
        spacing_mm: of the voxels, the same along all axes.
        rng: draws what the CT does not tell, such as the course of the fissures.

    Raises:
        ValueError: there are no lungs.
    """
    lungs = right | left
    if not (right.any() and left.any()):
        raise ValueError("a background needs both lungs")
    k, j, i = (np.flatnonzero(lungs.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3))
    plan = _plan(spacing_mm * len(k), spacing_mm * len(j) / 2, spacing_mm * len(i) / 2, rng)
    z, y, x = (
        (spacing_mm * (np.arange(size) - origin)).astype(np.float32)
        for size, origin in zip(hu.shape, (k[0], (j[0] + j[-1]) / 2, (i[0] + i[-1]) / 2), strict=True)
    )
    grid = Grid(x, y, z)
    body = plan.body_axes(grid)
    depth = _depth(lungs, spacing_mm)
    chest_wall = _depth(_hull(lungs), spacing_mm)
    costal = np.minimum(depth, chest_wall)
    lobe, fissure = divide_lobes(plan, right, left, *body, rng)
    heart = np.full(hu.shape, -1.0, np.float32)
    return Chest(plan, grid, body, body, depth, costal, chest_wall, heart, depth, right, left, lobe, fissure)


def healthy_of(hu: Floats, chest: Chest, rng: np.random.Generator) -> Healthy:
    """Return the CT as the healthy chest that lesions are painted on, with trees that only tell where they may lie."""
    trees = grow_lung_trees(chest, rng)
    lumen = np.clip((-880 - hu) / 60, 0, 1).astype(np.float32) * (trees.lumen > 0.2)
    return Healthy(hu.astype(np.float32), lumen, trees.arteries, trees.airways)


def _plan(height: float, half_depth: float, half_width: float, rng: np.random.Generator) -> BodyPlan:
    """An upright body of these lungs' size in mm."""
    return dataclasses.replace(
        draw_body(1.0, 20.0, rng),
        height=height,
        half_depth=half_depth,
        half_width=half_width,
        pose_deg=(0.0, 0.0, 0.0),
        scoliosis=(0.0, 0.0),
        kyphosis=0.0,
    )


def _depth(mask: Masks, spacing_mm: float) -> Floats:
    """Distance in mm to the mask's surface, positive inside."""
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    signed = sitk.SignedMaurerDistanceMap(image, insideIsPositive=True, squaredDistance=False, useImageSpacing=False)
    return np.asarray(sitk.GetArrayFromImage(signed) * np.float32(spacing_mm), np.float32)


def _hull(lungs: Masks) -> Masks:
    """What lies between the lungs in each row counts as inside: the chest wall is what remains outside."""
    along = np.logical_or.accumulate
    return np.asarray(along(lungs, axis=2) & along(lungs[:, :, ::-1], axis=2)[:, :, ::-1])
