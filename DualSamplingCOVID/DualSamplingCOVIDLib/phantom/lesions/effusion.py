"""Pleural effusion: fluid that lies in the dependent pleural space and displaces lung. Neither lung nor infection."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ...cohort import NORMAL
from ...diagnosis import CAP, COVID
from ..anatomy import Chest
from ..fields import Floats, blend, coverage, smooth_field
from ..tissue import Healthy

FREQUENCY = {NORMAL: 0.03, COVID: 0.10, CAP: 0.22}
"""Probability of an effusion by label."""


def pour_effusion(chest: Chest, healthy: Healthy, label: str, rng: np.random.Generator) -> tuple[Chest, Healthy]:
    """Return chest and tissue with an effusion on one or both sides, or as they are: most people have none."""
    if rng.random() >= FREQUENCY[label]:
        return chest, healthy
    first = rng.random() < 0.5
    both = rng.random() < 0.3
    sides = np.array([first or both, not first or both])
    return _poured(chest, healthy, sides, rng)


def _poured(
    chest: Chest, healthy: Healthy, sides: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[Chest, Healthy]:
    """Fill the dependent pleural space of the sides (right, left)."""
    surface = np.minimum(chest.costal - _thickness(chest, rng), 60)
    hu = healthy.hu.copy()
    kept = []
    for lung, wet in ((chest.right, sides[0]), (chest.left, sides[1])):
        rest = _largest(lung & (surface > 0)) if wet else lung
        # never drown a lung: a quarter of it at most
        kept.append(rest if rest.sum() > 0.75 * lung.sum() else lung)
        fluid = lung & ~kept[-1]
        if fluid.any():
            share = np.maximum(coverage(-surface, min(chest.grid.spacing)) * lung, fluid)
            squeezed = np.exp(-np.clip(surface, 0, None) / np.float32(rng.uniform(1.5, 5))) * kept[-1]
            blend(hu, 30.0, 0.8 * squeezed * (chest.costal - surface > 3))
            blend(hu, float(rng.uniform(2, 25)), share)
    right, left = kept
    dry = right | left
    lobe = np.where(dry, chest.lobe, 0).astype(np.uint8)
    depth = np.where(dry, np.minimum(chest.depth, np.maximum(surface, 0)), np.minimum(chest.depth, 0))
    return (
        dataclasses.replace(chest, right=right, left=left, lobe=lobe, depth=depth),
        dataclasses.replace(healthy, hu=hu, lumen=healthy.lumen * dry),
    )


def _thickness(chest: Chest, rng: np.random.Generator) -> Floats:
    """Return how thick (mm) the layer of fluid is at each voxel: a crescent at the back, thickest at the base."""
    plan, (_, y, z) = chest.plan, chest.warped
    most, top = rng.uniform(8, 45), rng.uniform(0.25, 0.75) * plan.height
    back = np.clip((y - np.float32(rng.uniform(-0.1, 0.35) * plan.half_depth)) / (0.6 * plan.half_depth), 0, 1)
    low = np.clip(1.2 * (1 - z / np.float32(top)), 0, 1)
    return np.asarray(most * back * low + 1.0 * smooth_field(chest.grid, 25.0, rng) * (back * low > 0), np.float32)


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Keep the largest connected part."""
    parts, count = ndimage.label(mask)
    return mask if count < 2 else np.asarray(parts == 1 + np.argmax(np.bincount(parts.ravel())[1:]))
