"""Disease: COVID-like and CAP-like lesions that fill a wanted share of the lungs.

Every pattern is a level field over the lungs' voxels, lowest at the lesions' centres. The infection is the lowest
part of it that holds the wanted volume, so the ratio is met exactly and no search is needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ..diagnosis import COVID
from .anatomy import Chest
from .fields import Floats, smooth_field
from .tissue import Healthy

EDGE_HU = 75.0
"""Rise over the parenchyma at which infection is labelled."""


@dataclass(frozen=True)
class _Lungs:
    """The lungs' voxels as lists: position (N, 3) in mm, depth in mm, lobe; and how to draw random fields on them."""

    chest: Chest
    position: Floats
    costal: Floats
    lobe: NDArray[np.uint8]
    rng: np.random.Generator

    def noise(self, scale_mm: float) -> Floats:
        """Draw a smooth random field, listed over the lungs' voxels."""
        return smooth_field(self.chest.grid, scale_mm, self.rng)[self.chest.lungs]

    @property
    def volume(self) -> float:
        """Lung volume in mm3."""
        return len(self.position) * float(np.prod(self.chest.grid.spacing))


@dataclass(frozen=True)
class _Pattern:
    """A level field (N,), and the rise in HU (N,) that full disease has there; `soft` is the edge in field units."""

    level: Floats
    rise: Floats
    soft: float
    bronchograms: bool


def infect(
    chest: Chest, healthy: Healthy, label: str, ratio: float, rng: np.random.Generator
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the chest's HU with this disease, and the infection mask; it fills `ratio` of the lungs' voxels."""
    mask = chest.lungs
    lungs = _Lungs(chest, chest.grid.points(mask), chest.costal[mask], chest.lobe[mask], rng)
    pattern = _covid(lungs, ratio) if label == COVID else _cap(lungs, healthy, ratio)
    wanted = int(np.clip(round(ratio * len(lungs.position)), 1, len(lungs.position) - 1))
    edge = np.partition(pattern.level, wanted - 1)[wanted - 1]
    infected = pattern.level <= edge
    inward = np.clip((edge - pattern.level) / np.float32(pattern.soft), 0, 1)
    outward = np.clip((edge - pattern.level) / np.float32(0.4 * min(pattern.soft, 0.45)), -1, 0)
    rise = np.where(
        infected,
        EDGE_HU + np.clip(pattern.rise - EDGE_HU, 0, None) * inward * (2 - inward),
        EDGE_HU * (1 + outward) ** 2,
    )
    hu = healthy.hu.copy()
    before = hu[mask]
    solid = np.maximum(before, np.minimum(before + rise, 45 + 0.04 * rise))
    if pattern.bronchograms:
        open_airway = np.clip(1.4 * healthy.lumen[mask], 0, 1)
        solid = np.where(infected, solid + (-940 - solid) * open_airway, solid)
    hu[mask] = solid
    infection = np.zeros(mask.shape, bool)
    infection[mask] = infected
    return hu, infection


def _choose(weight: Floats, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw `count` voxels with probability in proportion to the weights (N,)."""
    total = np.cumsum(weight, dtype=np.float64)
    return np.searchsorted(total, rng.uniform(0, total[-1], count)).clip(0, len(weight) - 1)


def _covid(lungs: _Lungs, ratio: float) -> _Pattern:
    """Ground glass under the pleura, mostly multifocal in both lungs, low and at the back, part of it consolidated."""
    rng, plan = lungs.rng, lungs.chest.plan
    _, y, z = lungs.position.T
    low = np.exp(-(((z / plan.height) / 0.42) ** 2)) + 0.12
    back = 0.35 + 1 / (1 + np.exp(-(y - 0.1 * plan.half_depth) / 18))
    peripheral = np.exp(-(((lungs.costal - 7) / 7) ** 2)) + np.float32(np.exp(rng.uniform(np.log(0.02), np.log(0.3))))
    right, left = _covid_counts(ratio, rng)
    count = right + left
    sizes = rng.lognormal(0, 0.45, count)
    sizes *= np.cbrt(ratio * lungs.volume / (4.19 * np.sum(sizes**3)))
    weight = low * back * peripheral
    centres = np.concatenate(
        [_choose(weight * (lungs.position[:, 0] * side > 0), amount, rng) for side, amount in ((-1, right), (1, left))]
    )
    level = np.full(len(z), 9.0, np.float32)
    for centre, size in zip(centres, sizes, strict=True):
        offset = lungs.position - lungs.position[centre]
        stretch = rng.uniform(0.75, 1.4, 3).astype(np.float32)
        # flat against the pleura: moving inward counts more than moving along it
        inward = (lungs.costal - lungs.costal[centre]) * np.float32(rng.uniform(0.5, 1.0))
        level = np.minimum(level, np.sqrt(np.sum((offset / stretch) ** 2, axis=1) + inward**2) / np.float32(size))
    level += 0.26 * lungs.noise(13.0) + 0.10 * lungs.noise(5.5) + 0.2 * np.clip((lungs.costal - 18) / 20, 0, 2)
    glass = np.float32(rng.uniform(170, 400)) * (1 + 0.25 * lungs.noise(9.0) + 0.18 * lungs.noise(3.5))
    # one in five is mostly consolidated
    scarce = rng.uniform(-1.2, 0.0) if rng.random() < 0.2 else rng.uniform(0.4, 2.2)
    dense = np.clip(1.6 * (lungs.noise(16.0) - scarce), 0, 1)
    reticular = np.clip(1 - np.abs(lungs.noise(5.0)) * 4, 0, 1) * rng.uniform(0, 150)
    return _Pattern(level, glass + reticular + 480 * dense, 0.45, bool(rng.random() < 0.3))


def _covid_counts(ratio: float, rng: np.random.Generator) -> tuple[int, int]:
    """Draw the number of lesions in the right and the left lung: small disease can be one-sided, even one lesion."""
    count = int(np.clip(rng.poisson(2 + 55 * ratio**0.55), 2, 26))
    if rng.random() < 0.22 * np.exp(-ratio / 0.015):
        count = 1 if rng.random() < 0.65 else count
        return (count, 0) if rng.random() < 0.55 else (0, count)
    right = int(np.clip(rng.binomial(count, rng.uniform(0.25, 0.8)), 1, count - 1))
    return right, count - right


def _cap(lungs: _Lungs, healthy: Healthy, ratio: float) -> _Pattern:
    """Consolidation of a lobe or segment, or clustered centrilobular nodules, two times in three on one side."""
    nodular = lungs.rng.random() < (0.5 if ratio < 0.01 else 0.3 if ratio < 0.05 else 0.1)
    lobes = _cap_lobes(lungs)
    return _nodules(lungs, healthy, lobes, ratio) if nodular else _consolidation(lungs, lobes, ratio)


def _cap_lobes(lungs: _Lungs) -> list[int]:
    """Choose the diseased lobes: one, or two or three on one or both sides."""
    rng = lungs.rng
    first = int(rng.choice([1, 2, 3, 4, 5], p=[0.2, 0.18, 0.26, 0.14, 0.22]))
    same_side = [lobe for lobe in ((1, 2, 3) if first <= 3 else (4, 5)) if lobe != first]
    other_side = [4, 5] if first <= 3 else [1, 2, 3]
    lobes = [first]
    if rng.random() < 0.18:
        lobes.append(int(rng.choice(same_side)))
    if rng.random() < 0.30:
        lobes.append(int(rng.choice(other_side)))
    return lobes


def _consolidation(lungs: _Lungs, lobes: list[int], ratio: float) -> _Pattern:
    """Dense wedges that stop at the fissures, with air bronchograms and a ground-glass rim, narrow or wide."""
    rng = lungs.rng
    level = np.full(len(lungs.lobe), 9.0, np.float32)
    size = np.cbrt(ratio * lungs.volume / (4.19 * 0.6 * len(lobes)))
    for lobe in lobes:
        inside = lungs.lobe == lobe
        if not inside.any():
            continue
        centre = lungs.position[_choose(inside * np.exp(-(((lungs.costal - 5) / 10) ** 2)) + 1e-9 * inside, 1, rng)[0]]
        axis = lungs.chest.plan.hilum(-1 if lobe <= 3 else 1) - centre
        axis /= max(float(np.linalg.norm(axis)), 1.0)
        offset = lungs.position - centre
        along = offset @ axis.astype(np.float32)
        across = np.sqrt(np.maximum(np.sum(offset**2, axis=1) - along**2, 0))
        # a wedge: it narrows from the pleura to the hilum
        narrowing = np.clip(1 + along / np.float32(3 * size), 0.5, 2.5)
        reach = np.sqrt((across * narrowing) ** 2 + (along / 1.25) ** 2) / np.float32(size * rng.uniform(0.8, 1.2))
        level = np.minimum(level, reach + 1.2 * ~inside)
    level += 0.16 * lungs.noise(9.0) + 0.10 * lungs.noise(4.5)
    soft = rng.uniform(0.55, 1.0) if rng.random() < 0.4 else rng.uniform(0.2, 0.35)
    rise = np.float32(rng.uniform(620, 900)) * (1 + 0.10 * lungs.noise(7.0))
    return _Pattern(level, rise - np.float32(rng.uniform(0, 250)) * np.clip(lungs.noise(12.0), 0, 1), soft, True)


def _nodules(lungs: _Lungs, healthy: Healthy, lobes: list[int], ratio: float) -> _Pattern:
    """Clusters of ill-defined centrilobular nodules along the small arteries, that merge where they are many."""
    rng = lungs.rng
    level = np.full(len(lungs.lobe), 9.0, np.float32)
    nodule = rng.uniform(2.6, 4.2)
    wanted = int(np.clip(ratio * lungs.volume / (4.19 * nodule**3) / len(lobes), 4, 400))
    for lobe in lobes:
        inside = lungs.lobe == lobe
        if not inside.any():
            continue
        centre = lungs.position[_choose(inside.astype(np.float32), 1, rng)[0]]
        tree = healthy.arteries[0 if lobe <= 3 else 1]
        small = tree.position[tree.radius < 1.2]
        order = np.argsort(np.linalg.norm(small - centre, axis=1) + rng.normal(0, 6, len(small)))
        chosen = small[order[:wanted]]
        extent = 12 + np.linalg.norm(chosen - centre, axis=1).max()
        away = np.sqrt(np.sum((lungs.position - centre) ** 2, axis=1))
        near = np.nonzero(inside & (away < extent))[0]
        distance, which = cKDTree(chosen).query(lungs.position[near], k=min(3, len(chosen)))
        radius = nodule * rng.uniform(0.6, 1.4, len(chosen))
        level[near] = (distance / radius[which]).min(1) + 0.3 * away[near] / extent
    level += 0.22 * lungs.noise(4.0) + 0.10 * lungs.noise(9.0)
    rise = np.float32(rng.uniform(330, 720)) * (1 + 0.15 * lungs.noise(8.0))
    return _Pattern(level, rise, rng.uniform(0.45, 0.9), bool(rng.random() < 0.6))
