"""Infection by density inside the lungs, on the working grid (no training).

Ground glass is denser than -700 HU, and so are vessels. What tells them apart here is thickness (an opening by a
ball) and the vessels' bright stem, which leads to the mediastinum: that tree, with its blurred edge, is left out
unless it is too thick to be a vessel.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .morphology import box, connected, depth, grown, larger_than, opened
from .working_grid import BoolArray, FloatArray

INFECTED_HU = -700.0
LUNG_HU = -850.0
VESSEL_HU = -300.0
VESSEL_EDGE_MM = 3.0
WIDEST_VESSEL_MM = 18.0
THINNEST_MM = 8.0
PLEURA_MM = 2.5
LEAST_ML = 0.5


def find(hu: FloatArray, right: BoolArray, left: BoolArray) -> BoolArray:
    """Find ground glass and consolidation.

    Args:
        hu: CT [k, j, i] in HU on the working grid.
        right: Right lung [k, j, i].
        left: Left lung [k, j, i].

    Returns:
        Mask [k, j, i] inside the lungs.
    """
    lungs = right | left
    found = np.zeros(hu.shape, bool)
    if not lungs.any():
        return found
    part = box(lungs, margin=2)
    hu, lungs = hu[part], lungs[part]
    smooth = ndimage.gaussian_filter(np.where(lungs, hu, np.float32(LUNG_HU)), 1.0)
    dense = (smooth > INFECTED_HU) & lungs
    stems = vessels(hu, right[part], left[part])
    thick = opened(dense & (depth(lungs) > PLEURA_MM), THINNEST_MM / 2)
    cores = larger_than(thick & ~stems, LEAST_ML / 4)
    cores = opened(cores, 2.0)
    found[part] = larger_than(grown(cores, THINNEST_MM / 2) & dense & ~stems, LEAST_ML)
    return found


def vessels(hu: FloatArray, right: BoolArray, left: BoolArray) -> BoolArray:
    """The bright tree that grows into the lungs from the mediastinum, with its blurred edge.

    Args:
        hu: CT [k, j, i] in HU.
        right: Right lung [k, j, i].
        left: Left lung [k, j, i].
    """
    lungs = right | left
    bright = hu > VESSEL_HU
    before = np.logical_or.accumulate(right, axis=2)
    after = np.logical_or.accumulate(left[:, :, ::-1], axis=2)[:, :, ::-1]
    mediastinum = before & after & bright & ~lungs
    tree = connected((bright & lungs) | mediastinum, mediastinum) & lungs
    return grown(tree & ~opened(tree, WIDEST_VESSEL_MM / 2), VESSEL_EDGE_MM)
