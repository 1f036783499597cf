"""Community-acquired pneumonia: lobar and patchy consolidation, and the patterns that follow the airways."""

from __future__ import annotations

import numpy as np

from ..variety import Variety
from .airborne import bronchiectasis, cavity, nodules, tree_in_bud
from .covid import faint_patch
from .kinds import LesionKind
from .lungs import Lesion, LungVoxels
from .shapes import patch, wedge

AIRBORNE = {
    LesionKind.NODULES: nodules,
    LesionKind.TREE_IN_BUD: tree_in_bud,
    LesionKind.BRONCHIECTASIS: bronchiectasis,
    LesionKind.CAVITY: cavity,
}

MOST = {
    LesionKind.NODULES: 8e4,
    LesionKind.TREE_IN_BUD: 3e4,
    LesionKind.BRONCHIECTASIS: 1.5e5,
    LesionKind.CAVITY: 2.5e5,
}
"""Largest volume in mm3 of a pattern in one lobe; beyond it there is bronchopneumonia."""

SMALL, LARGE = (0.27, 0.22, 0.21, 0.17, 0.07, 0.06), (0.46, 0.24, 0.07, 0.06, 0.08, 0.09)
"""Probabilities of lobar disease, bronchopneumonia, nodules, tree-in-bud, bronchiectasis and cavity, by extent."""

OTHER_SIDE, GLASS = (0.06, 0.30), (0.0, 0.35)
"""Probabilities of disease in both lungs, and of a lobe of ground glass: without and with `Variety.overlap`."""


def cap_lesions(lungs: LungVoxels, ratio: float, variety: Variety, kind: LesionKind | None) -> list[Lesion]:
    """Draw the lesions: one main pattern in one to three lobes, often a second one and faint patches with it."""
    rng = lungs.rng
    lobes = [lobe for lobe in _lobes(rng, OTHER_SIDE[variety.overlap]) if np.any(lungs.lobe == lobe)] or [
        int(lungs.lobe.max())
    ]
    volume = ratio * lungs.volume
    shares = 0.2 + rng.dirichlet(np.full(len(lobes), 2.0))
    shares /= shares.sum()
    main = _pattern(rng, ratio, variety)
    lesions = []
    for lobe, share in zip(lobes, shares, strict=True):
        second = kind is None and rng.random() < 0.55
        part = rng.uniform(0.1, 0.4) if second else 0.0
        lesions += _one(lungs, lobe, (1 - part) * share * volume, kind or main, variety, kind)
        if second:
            lesions += _one(lungs, lobe, part * share * volume, _pattern(rng, ratio, variety), variety, None)
        if variety.faint and variety.overlap and kind is None:
            lesions += _satellites(lungs, lobe, share * volume)
    return lesions


def _one(
    lungs: LungVoxels,
    lobe: int,
    volume: float,
    pattern: LesionKind | str,
    variety: Variety,
    kind: LesionKind | None,
) -> list[Lesion]:
    """Draw one pattern of this volume (mm3) in one lobe."""
    if pattern == "patches" or (kind in (1, 2) and lungs.rng.random() < 0.5):
        return _bronchopneumonia(lungs, lobe, volume, kind)
    if pattern in AIRBORNE:
        inside = (lungs.lobe == lobe) * np.float32(1)
        if pattern == LesionKind.CAVITY:
            size = np.float32(np.cbrt(volume / 4.19))
            inside *= 0.02 + np.exp(-((lungs.chest.depth[lungs.chest.lungs] / size - 1) ** 2) * 2)
        own = volume if kind is not None else min(volume, MOST[LesionKind(pattern)])
        lesions = [AIRBORNE[LesionKind(pattern)](lungs, lungs.choose(inside, 1)[0], lobe, own)]
        return lesions + (_bronchopneumonia(lungs, lobe, volume - own, None) if own < volume else [])
    return [_lobar(lungs, lobe, volume, GLASS[variety.overlap], kind)]


def _pattern(rng: np.random.Generator, ratio: float, variety: Variety) -> LesionKind | str:
    """Draw the pattern: "lobe", "patches" or a kind that follows the airways."""
    weights = np.array(SMALL if ratio < 0.01 else LARGE)
    if not variety.lesion_kinds:
        weights[2:] = 0
    names: list[LesionKind | str] = ["lobe", "patches", *AIRBORNE]
    return names[int(rng.choice(len(names), p=weights / weights.sum()))]


def _lobes(rng: np.random.Generator, other_side: float) -> list[int]:
    """Choose the diseased lobes: one, or two or three on one or both sides."""
    first = int(rng.choice([1, 2, 3, 4, 5], p=[0.2, 0.18, 0.26, 0.14, 0.22]))
    same_side = [lobe for lobe in ((1, 2, 3) if first <= 3 else (4, 5)) if lobe != first]
    opposite = [4, 5] if first <= 3 else [1, 2, 3]
    lobes = [first]
    if rng.random() < 0.18:
        lobes.append(int(rng.choice(same_side)))
    if rng.random() < other_side:
        lobes.append(int(rng.choice(opposite)))
    return lobes


def _lobar(lungs: LungVoxels, lobe: int, volume: float, glass: float, kind: LesionKind | None) -> Lesion:
    """Consolidation of a segment or lobe that touches pleura, fissure or mediastinum."""
    rng = lungs.rng
    size = float(np.cbrt(volume / (4.19 * 0.6)))
    under = np.minimum(lungs.costal, lungs.chest.depth[lungs.chest.lungs]) if rng.random() < 0.5 else lungs.costal
    inside = (lungs.lobe == lobe) * (np.exp(-(((under - 5) / 10) ** 2)) + np.float32(1e-9))
    near, level = wedge(lungs, lungs.choose(inside, 1)[0], size, lobe)
    wide = rng.random() < 0.35
    soft = size * rng.uniform(0.3, 0.7) if wide else rng.uniform(1.0, 5.0)
    scarce = rng.uniform(-2.2, -0.6) if kind is None and rng.random() < glass else -9.0
    drawn = kind or (LesionKind.GROUND_GLASS if scarce > -9 else LesionKind.CONSOLIDATION)
    if drawn == LesionKind.CONSOLIDATION:
        dense = (-1.0, 9.0) if kind is not None or not wide else (rng.uniform(0.0, 0.3), 9.0)
    else:
        dense, scarce = (9.0, 9.0), scarce if kind is None else 9.0
    return Lesion(
        drawn,
        near,
        level,
        size,
        rng.uniform(180, 420),
        min(soft, 0.6 * size),
        rng.uniform(0.5, 1.0),
        dense,
        scarce if drawn != LesionKind.CONSOLIDATION else 9.0,
        bool(rng.random() < 0.8),
    )


def _bronchopneumonia(lungs: LungVoxels, lobe: int, volume: float, kind: LesionKind | None) -> list[Lesion]:
    """Several patches round the small airways of a lobe, dense in the middle, that flow together."""
    rng = lungs.rng
    count = int(np.clip(rng.poisson(2 + volume / 15000), 2, 14))
    heart = lungs.choose((lungs.lobe == lobe) * np.float32(1), 1)[0]
    away = np.sum((lungs.position - heart) ** 2, axis=1)
    spread = np.float32(max(1.7 * np.cbrt(volume / 4.19), 22.0))
    centres = lungs.choose((lungs.lobe == lobe) * (np.exp(-away / spread**2) + np.float32(1e-9)), count)
    sizes = rng.lognormal(0, 0.4, count)
    sizes *= np.cbrt(1.3 * volume / (4.19 * np.sum(sizes**3)))
    soft, rise = float(np.exp(rng.uniform(np.log(1.5), np.log(8)))), rng.uniform(180, 420)
    start = float(rng.choice([-1.0, rng.uniform(0.15, 0.6)]))
    lesions = []
    for centre, size in zip(centres, sizes, strict=True):
        near, level = patch(lungs, centre, float(size), 0.0)
        level = level + np.float32(1.2) * (lungs.lobe[near] != lobe)
        dense = (9.0, 9.0) if kind in (1, 2) else (start, 9.0)
        drawn = kind or LesionKind.CONSOLIDATION
        lesions.append(
            Lesion(drawn, near, level, float(size), rise, min(soft, 0.7 * float(size)), 1.2, dense, open_airways=True)
        )
    return lesions


def _satellites(lungs: LungVoxels, lobe: int, volume: float) -> list[Lesion]:
    """Small faint patches in the same lobe, so that about four lesions in ten are such."""
    rng = lungs.rng
    count = int(rng.choice([0, 1, 2, 3], p=[0.4, 0.25, 0.2, 0.15]))
    most = float(np.cbrt(0.15 * volume / 4.19))
    centres = lungs.choose((lungs.lobe == lobe) * np.float32(1), count)
    return [faint_patch(lungs, centre, min(rng.uniform(3.0, 9.0), most)) for centre in centres]
