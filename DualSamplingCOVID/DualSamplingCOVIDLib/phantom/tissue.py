"""A chest without disease in HU: body, mediastinum, abdomen, bones, surroundings, and lungs with their trees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .abdomen import paint_abdomen
from .anatomy import Chest
from .body import paint_arms, paint_body, paint_bones, paint_breasts
from .fields import Floats, blend, coverage
from .mediastinum import draw_blood, paint_mediastinum
from .parenchyma import blur_motion, paint_parenchyma
from .surroundings import paint_covers, paint_devices, paint_table
from .trees import grow_lung_trees
from .variety import FULL, Variety
from .vessels import Tree


@dataclass(frozen=True)
class Healthy:
    """A healthy chest: HU [k, j, i] before the scanner, the airway lumen (shares), and the trees (right, left)."""

    hu: Floats
    lumen: Floats
    arteries: tuple[Tree, Tree]
    airways: tuple[Tree, Tree]


def paint_healthy(chest: Chest, rng: np.random.Generator, variety: Variety = FULL) -> Healthy:
    """Paint one person's chest without disease, with as much variety as is asked for."""
    # every part draws from its own stream, so that leaving one out leaves the others as they are
    streams = rng.spawn(8)
    blood = draw_blood(streams[0], contrast=variety.surroundings)
    hu = _paint_outside(chest, blood, streams, variety)
    share = coverage(chest.depth, 0.7 * min(chest.grid.spacing)) * chest.lungs
    blend(hu, paint_parenchyma(chest, streams[5], distractors=variety.distractors), share)
    trees = grow_lung_trees(chest, streams[6])
    if variety.vessels:
        blend(hu, blood, trees.vessels)
    blend(hu, -20.0, trees.wall)
    blend(hu, -960.0, trees.lumen)
    if variety.distractors and streams[7].random() < 0.35:
        blur_motion(hu, chest, streams[7])
    return Healthy(hu, trees.lumen, trees.arteries, trees.airways)


def _paint_outside(chest: Chest, blood: float, streams: list[np.random.Generator], variety: Variety) -> Floats:
    """Everything but the lungs."""
    hu, skin = paint_body(chest, streams[1])
    around = streams[2]
    if variety.surroundings:
        if around.random() < 0.4:
            paint_breasts(hu, chest, skin, around)
        paint_arms(hu, chest, skin, around)
    paint_mediastinum(hu, chest, blood, streams[3])
    paint_abdomen(hu, chest, blood, streams[4], gas=variety.surroundings)
    paint_bones(hu, chest, np.random.default_rng(streams[1].integers(2**32)))
    if variety.surroundings:
        paint_covers(hu, chest, skin, around)
        paint_devices(hu, chest, skin, around)
    paint_table(hu, chest, around, varied=variety.surroundings)
    return hu
