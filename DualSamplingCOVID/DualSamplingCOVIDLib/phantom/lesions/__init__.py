"""Disease: lesions of COVID-19 and of community-acquired pneumonia that fill a wanted share of the lungs.

Every lesion is a level on the lungs' voxels, lowest at its heart. The infection is the lowest part of all levels that
holds the wanted volume, so the ratio is met exactly and no search is needed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...diagnosis import COVID
from ..anatomy import Chest
from ..fields import Floats
from ..tissue import Healthy
from ..variety import FULL, Variety
from .cap import AIRBORNE, cap_lesions
from .covid import covid_lesions
from .effusion import pour_effusion
from .kinds import LesionKind
from .lungs import LungVoxels
from .paint import Noises, kinds_of, paint_lesions, spread

__all__ = ["LesionKind", "infect", "pour_effusion"]


def infect(
    chest: Chest,
    healthy: Healthy,
    label: str,
    ratio: float,
    rng: np.random.Generator,
    variety: Variety = FULL,
    kind: LesionKind | None = None,
) -> tuple[Floats, NDArray[np.uint8]]:
    """Return the chest's HU with this disease, and the kind of lesion at every voxel (0: not infected), [k, j, i].

    Args:
        chest: the anatomy; its lungs hold the lesions.
        healthy: the tissue to paint on; not changed.
        label: "COVID-19" or "CAP".
        ratio: infected share of the lungs' voxels, in (0, 1); met exactly but for rounding.
        rng: decides everything else.
        variety: which lesions there may be.
        kind: the only kind there is, or None for the mix of the disease.
    """
    lungs = LungVoxels.of(chest, healthy, rng)
    wanted = int(np.clip(round(ratio * len(lungs.position)), 1, len(lungs.position) - 1))
    plan = covid_lesions if label == COVID and kind not in AIRBORNE else cap_lesions
    lesions = plan(lungs, ratio, variety, kind)
    noises = Noises.draw(lungs)
    extent = spread(lungs, lesions, noises, wanted)
    hu = paint_lesions(lungs, lesions, extent, noises, float(rng.uniform(60, 80)))
    kinds = np.zeros(chest.lungs.shape, np.uint8)
    kinds[chest.lungs] = kinds_of(lungs, lesions, extent, noises, forced=kind is not None)
    return hu, kinds
