"""Infection by density inside the lungs, on the working grid (no training).

Ground glass is denser than -690 HU, and so are vessels. What tells them apart is size: of a ball-like neighbourhood
(a Gaussian of 4 mm) infection fills most, a vessel little. Deep in the chest the bright stems of the vessels are wide
and crowded, so their own share is taken off there, and more is asked of a place before it counts. Shares are of soft
memberships, not of yes or no, so that blur, noise and the direction of the grid move them little. For the same reason
the answer is a level to be cut at zero on the CT's own grid: a mask of 2 mm cubes, interpolated, loses what is thin
and keeps other parts of it at every other position of the cubes.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .morphology import box, connected, depth, grown, larger_than
from .working_grid import SPACING_MM, BoolArray, FloatArray

BLUR_MM = 1.5
AROUND_MM = 4.0
DENSE_HU, DENSE_WIDTH_HU = -690.0, 60.0
EDGE_HU, EDGE_WIDTH_HU = -720.0, 200.0
BRIGHT_HU, BRIGHT_WIDTH_HU = -350.0, 200.0
BRIGHT_WEIGHT = 1.5
HILAR_SHARE = 0.1
HILUM_MM = (20.0, 40.0)
CORE_SHARE = 0.65
SHARE = 0.52
PLEURA_MM = 2.5
LEAST_ML = 0.5
REACH_MM = 2.0


def find(hu: FloatArray, right: BoolArray, left: BoolArray) -> FloatArray:
    """Find ground glass and consolidation.

    Args:
        hu: CT [k, j, i] in HU on the working grid.
        right: Right lung [k, j, i].
        left: Left lung [k, j, i].

    Returns:
        Level [k, j, i], above zero inside; a little beyond the lungs too, so that theirs is the edge there.
    """
    lungs = right | left
    level = np.full(hu.shape, -1.0, np.float32)
    if not lungs.any():
        return level
    part = box(lungs, margin=4)
    lungs = lungs[part]
    smooth = _within(hu[part], lungs, BLUR_MM)
    dense = _ramp(smooth, DENSE_HU, DENSE_WIDTH_HU)
    central = centrality(lungs)
    stems = _ramp(smooth, BRIGHT_HU, BRIGHT_WIDTH_HU) * central
    share = _within(dense - BRIGHT_WEIGHT * stems, lungs, AROUND_MM) - HILAR_SHARE * central
    above = np.minimum(share - np.float32(SHARE), (smooth - np.float32(EDGE_HU)) / np.float32(EDGE_WIDTH_HU))
    candidates = lungs & (above > 0)
    cores = candidates & (share > CORE_SHARE) & (depth(lungs) > PLEURA_MM)
    kept = larger_than(connected(candidates, larger_than(cores, LEAST_ML / 4)), LEAST_ML)
    level[part] = np.where(grown(kept, REACH_MM) & ~(candidates & ~kept), above, -np.abs(above))
    return level


def centrality(lungs: BoolArray) -> FloatArray:
    """From 0 near the chest wall to 1 in the depth of the chest, where the hila are.

    Args:
        lungs: Both lungs [k, j, i].
    """
    chest = np.logical_or.accumulate(lungs, axis=2) & np.logical_or.accumulate(lungs[:, :, ::-1], axis=2)[:, :, ::-1]
    near, far = HILUM_MM
    inner = depth(np.pad(chest, 1))[1:-1, 1:-1, 1:-1]
    return _ramp(inner, (near + far) / 2, far - near)


def _within(values: FloatArray, lungs: BoolArray, sigma_mm: float) -> FloatArray:
    """Gaussian mean over the lungs alone, so that the chest wall does not shine in."""
    sigma = sigma_mm / SPACING_MM
    weight = ndimage.gaussian_filter(lungs.astype(np.float32), sigma, truncate=3.0)
    return ndimage.gaussian_filter(np.where(lungs, values, np.float32(0)), sigma, truncate=3.0) / np.maximum(
        weight, np.float32(1e-3)
    )


def _ramp(values: FloatArray, middle: float, width: float) -> FloatArray:
    """From 0 to 1 over `width` around `middle`."""
    return np.clip((values - np.float32(middle)) / np.float32(width) + np.float32(0.5), 0, 1)
