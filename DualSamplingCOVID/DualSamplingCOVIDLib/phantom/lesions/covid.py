"""COVID-19: where its lesions lie, how many there are and what they look like."""

from __future__ import annotations

import numpy as np

from ..fields import Floats
from ..variety import Variety
from .kinds import LesionKind
from .lungs import Lesion, LungVoxels
from .shapes import band, patch

ANYWHERE = 0.5
"""How many people's lesions lie anywhere where the variety lets them."""


def covid_lesions(lungs: LungVoxels, ratio: float, variety: Variety, kind: LesionKind | None) -> list[Lesion]:
    """Draw ground glass under the pleura, mostly multifocal, low and at the back; part of it paved or consolidated."""
    rng = lungs.rng
    right, left = _counts(ratio, rng, variety)
    weight = _preference(lungs)
    if variety.anywhere and rng.random() < ANYWHERE:
        weight = np.ones_like(weight)
    centres = np.concatenate(
        [lungs.choose(weight * (lungs.position[:, 0] * side > 0), n) for side, n in ((-1, right), (1, left))]
    )
    count = len(centres)
    faint = rng.random(count) < (0.4 if variety.faint and kind in (None, LesionKind.GROUND_GLASS) else 0.0)
    if count > 3:
        faint[[0, right - 1 if left == 0 else right]] = False  # each diseased side has a lesion that carries volume
    most = np.cbrt(0.5 * ratio * lungs.volume / 4.19)
    sizes = np.where(faint, np.minimum(rng.uniform(3.0, 9.0, count), most), rng.lognormal(0, 0.4, count))
    volume = max(ratio * lungs.volume - 4.19 * float(np.sum(sizes[faint] ** 3)), 0.3 * ratio * lungs.volume)
    sizes[~faint] *= np.cbrt(volume / (4.19 * max(float(np.sum(sizes[~faint] ** 3)), 1e-6)))
    mood = _Mood(rng, variety, kind)
    return [
        faint_patch(lungs, centre, float(size)) if weak else mood.lesion(lungs, centre, float(size))
        for centre, size, weak in zip(centres, sizes, faint, strict=True)
    ]


def faint_patch(lungs: LungVoxels, centre: Floats, size_mm: float) -> Lesion:
    """A small lesion of little more than the label's threshold, blurred all through."""
    rng = lungs.rng
    near, level = patch(lungs, centre, size_mm, rng.uniform(0, 1))
    rise, soft = rng.uniform(95, 210), size_mm * rng.uniform(0.4, 1.0)
    return Lesion(LesionKind.GROUND_GLASS, near, level, size_mm, rise, soft)


class _Mood:
    """What the lesions of one person have in common: how dense, how blurred and of what kind they mostly are."""

    def __init__(self, rng: np.random.Generator, variety: Variety, kind: LesionKind | None):
        self.kind = kind
        self.rise = rng.uniform(160, 430)
        self.soft = float(np.exp(rng.uniform(np.log(1.5), np.log(14))))
        glass, consolidated = (2.0, 0.7) if variety.overlap else (3.0, 0.25)
        shares = rng.dirichlet((glass, 0.9 if variety.lesion_kinds else 1e-3, consolidated))
        self.shares = shares
        self.scarce = rng.uniform(-0.6, 0.8) if rng.random() < 0.2 else rng.uniform(0.8, 3.0)
        self.core = rng.choice(["none", "halo", "reversed"], p=[0.75, 0.17, 0.08])

    def lesion(self, lungs: LungVoxels, centre: Floats, size: float) -> Lesion:
        """Make one lesion of about this radius (mm)."""
        rng = lungs.rng
        drawn = self.kind or LesionKind(int(rng.choice([1, 2, 3], p=self.shares)))
        near, level, unit = self._shape(lungs, centre, size)
        dense, scarce = (9.0, 9.0), 9.0
        if drawn == LesionKind.CONSOLIDATION:
            dense = (-1.0, 9.0)
        elif self.kind is None:
            scarce = self.scarce
            dense = {"none": (9.0, 9.0), "halo": (0.45, 9.0), "reversed": (-1.0, 0.3)}[self.core]
        return Lesion(
            drawn,
            near,
            level,
            unit,
            float(np.clip(self.rise * rng.lognormal(0, 0.25), 120, 450)),
            min(self.soft * float(rng.lognormal(0, 0.4)), 0.8 * unit),
            rng.uniform(0.7, 1.6),
            dense,
            scarce,
            bool(rng.random() < 0.5),
        )

    @staticmethod
    def _shape(lungs: LungVoxels, centre: Floats, size: float) -> tuple[np.ndarray, Floats, float]:
        """Draw a patch, or a band under the pleura; return voxels, level and the unit of the level in mm."""
        rng = lungs.rng
        if size > 7 and rng.random() < 0.22:
            thick = min(rng.uniform(4.0, 9.0), 0.6 * size)
            return *band(lungs, centre, 1.5 * size, thick), thick
        return *patch(lungs, centre, size, rng.choice([0.0, rng.uniform(0.5, 1.6)])), size


def _preference(lungs: LungVoxels) -> Floats:
    """Return how likely (N,) a lesion sits at each voxel: low, at the back, and under the pleura."""
    plan, (_, y, z) = lungs.chest.plan, lungs.position.T
    low = np.exp(-(((z / plan.height) / 0.42) ** 2)) + 0.12
    back = 0.35 + 1 / (1 + np.exp(-(y - 0.1 * plan.half_depth) / 18))
    central = np.float32(np.exp(lungs.rng.uniform(np.log(0.02), np.log(0.3))))
    return np.asarray(low * back * (np.exp(-(((lungs.costal - 7) / 7) ** 2)) + central), np.float32)


def _counts(ratio: float, rng: np.random.Generator, variety: Variety) -> tuple[int, int]:
    """Draw the number of lesions in the right and the left lung: small disease can be one-sided, even one lesion."""
    count = int(np.clip(rng.poisson(3 + 60 * ratio**0.55), 2, 34))
    if variety.overlap and rng.random() < 0.22 * np.exp(-ratio / 0.015):
        count = 1 if rng.random() < 0.65 else count
        return (count, 0) if rng.random() < 0.55 else (0, count)
    right = int(np.clip(rng.binomial(count, rng.uniform(0.28, 0.75)), 1, count - 1))
    return right, count - right
