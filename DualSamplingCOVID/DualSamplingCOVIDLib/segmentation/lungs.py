"""The lungs by density and shape, on the working grid (no training).

Arrays are [k, j, i] in HU on 2 mm cubes along LPS: the patient's right lung lies at smaller i.
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from .morphology import VOXEL_ML, box, closed, connected, depth, grown, larger_than, largest, opened
from .working_grid import SPACING_MM, BoolArray, FloatArray

TISSUE_HU = -400.0
LUNG_HU = -450.0
BONE_HU = 200.0
GAS_HU = -945.0
LEAST_GAS_ML = 3.0
LEAST_LUNG_ML = 60.0
LEAST_SHARE = 0.1

_IN_SLICE = ndimage.generate_binary_structure(3, 1) & np.array([False, True, False])[:, None, None]


def find(hu: FloatArray) -> tuple[BoolArray, BoolArray]:
    """Find the right and the left lung, infection and consolidation at the pleura included.

    Args:
        hu: CT [k, j, i] in HU on the working grid.

    Returns:
        Right and left lung, disjoint masks [k, j, i]; both empty where there is no lung.
    """
    right, left = np.zeros(hu.shape, bool), np.zeros(hu.shape, bool)
    body = body_mask(hu)
    air = (hu < LUNG_HU) & body
    if not air.any():
        return right, left
    part = box(air, margin=12)
    hu, air, body = hu[part], air[part], body[part]
    smooth = ndimage.gaussian_filter(hu, 1.0)
    tube = airways(smooth, air)
    air &= ~tube
    parenchyma = larger_than(air & ~_gas(smooth, air), LEAST_LUNG_ML)
    if not parenchyma.any():
        return right, left
    sides = split(hu, parenchyma)
    near_wall = _near_wall(parenchyma) & (hu < BONE_HU)
    filled = [_filled(side, near_wall, tube) for side in sides]
    right[part] = filled[0] & body & ~sides[1]
    left[part] = filled[1] & body & ~right[part]
    return right, left


def body_mask(hu: FloatArray) -> BoolArray:
    """The body with all that it encloses in each axial slice; the table, clothes and the air around are left out.

    Args:
        hu: CT [k, j, i] in HU.
    """
    tissue = opened(hu > TISSUE_HU, 4.0)
    tissue = largest(tissue)
    tissue = grown(tissue, 2.0) & (hu > TISSUE_HU) | tissue
    around, count = ndimage.label(~tissue, structure=_IN_SLICE)
    if not count:
        return tissue
    edge = np.zeros(count + 1, bool)
    for face in (around[:, 0], around[:, -1], around[:, :, 0], around[:, :, -1]):
        edge[np.unique(face)] = True
    edge[0] = False
    return ~edge[around]


def airways(smooth: FloatArray, air: BoolArray) -> BoolArray:
    """Trachea and main bronchi with their wall, or nothing where no trachea is seen.

    Args:
        smooth: CT [k, j, i] in HU, smoothed by one voxel.
        air: Air inside the body [k, j, i].
    """
    seed = _trachea(smooth, air)
    if not seed.any():
        return seed
    length_mm = np.count_nonzero(seed.any(axis=(1, 2))) * SPACING_MM
    for limit in range(-860, -1000, -10):
        tube = connected(air & (smooth < limit), seed & (smooth < limit))
        if 0 < np.count_nonzero(tube) * VOXEL_ML < 15.0 + 0.35 * length_mm:
            return grown(opened(tube, 2.0) | seed, 3.0)
    return grown(seed, 3.0)


def split(hu: FloatArray, parenchyma: BoolArray) -> tuple[BoolArray, BoolArray]:
    """Part the parenchyma in right and left, also where the two touch (the anterior junction).

    The two are shrunk until they part, then regrown over the CT's densities, so that they meet at the denser pleura.

    Args:
        hu: CT [k, j, i] in HU.
        parenchyma: Lung without airways [k, j, i].
    """
    from skimage.segmentation import watershed

    inner = depth(parenchyma)
    least = LEAST_SHARE * np.count_nonzero(parenchyma)
    for shrink_mm in (0.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0, 13.0, 16.0):
        labels, count = ndimage.label(inner > shrink_mm)
        sizes = np.bincount(labels.ravel(), minlength=count + 1)
        sizes[0] = 0
        big = np.argsort(sizes)[::-1][:2]
        if len(big) < 2 or sizes[big[1]] < least:
            least *= 0.85
            continue
        centres = [np.argwhere(labels == n).mean(0)[2] for n in big]
        if abs(centres[0] - centres[1]) * SPACING_MM < 50.0:
            continue
        first, second = big if centres[0] < centres[1] else big[::-1]
        markers = np.where(labels == first, 1, np.where(labels == second, 2, 0)).astype(np.int32)
        sides = watershed(hu, markers, mask=parenchyma)
        return _with_islands(parenchyma, sides == 1, sides == 2)
    return _halves(parenchyma)


def _halves(parenchyma: BoolArray) -> tuple[BoolArray, BoolArray]:
    """Every component to the side of the array's middle where its centre lies (only one lung holds air)."""
    labels, count = ndimage.label(parenchyma)
    centres = np.array(ndimage.center_of_mass(parenchyma, labels, range(1, count + 1)))
    is_right = np.concatenate([[False], centres[:, 2] < parenchyma.shape[2] / 2])
    return parenchyma & is_right[labels], parenchyma & ~is_right[labels]


def _with_islands(parenchyma: BoolArray, right: BoolArray, left: BoolArray) -> tuple[BoolArray, BoolArray]:
    """Give the components that neither side reached to the nearer one."""
    islands = parenchyma & ~right & ~left
    if not islands.any():
        return right, left
    nearer_right = ndimage.distance_transform_edt(~right) <= ndimage.distance_transform_edt(~left)
    return right | islands & nearer_right, left | islands & ~nearer_right


def _gas(smooth: FloatArray, air: BoolArray) -> BoolArray:
    """Gas of stomach and bowel: wide places as thin as air, where lung would have vessels."""
    wide = opened(air & (smooth < GAS_HU), 5.0)
    return grown(larger_than(wide, LEAST_GAS_ML), 5.0) & air


def _trachea(smooth: FloatArray, air: BoolArray) -> BoolArray:
    """The tallest stack of small round pieces of air in the upper middle of the chest."""
    labels, count = ndimage.label(air & (smooth < -700.0), structure=_IN_SLICE)
    area = np.bincount(labels.ravel(), minlength=count + 1) * SPACING_MM**2
    keep = (area > 40.0) & (area < 900.0)
    keep[0] = False
    for n, where in enumerate(ndimage.find_objects(labels), start=1):
        if keep[n] and where is not None:
            height, width = (s.stop - s.start for s in where[1:])
            round_enough = area[n] > 0.5 * height * width * SPACING_MM**2
            keep[n] = round_enough and max(height, width) < 2.5 * min(height, width)
    stacks, count = ndimage.label(keep[labels])
    centre = np.argwhere(air).mean(0)
    best, best_length = 0, 10.0
    for n, where in enumerate(ndimage.find_objects(stacks), start=1):
        length = (where[0].stop - where[0].start) * SPACING_MM
        middle = [(s.start + s.stop) / 2 for s in where]
        off_mm = abs(middle[2] - centre[2]) * SPACING_MM
        if length > best_length and off_mm < 45.0 and middle[0] > centre[0]:
            best, best_length = n, length
    return stacks == best if best else np.zeros(air.shape, bool)


def _filled(side: BoolArray, near_wall: BoolArray, tube: BoolArray) -> BoolArray:
    """A lung with its vessels, infection and the consolidation between it and the chest wall."""
    filled = np.zeros_like(side)
    if not side.any():
        return filled
    part = box(side, margin=1)
    side, near_wall, tube = side[part], near_wall[part], tube[part]
    whole = closed(side, 6.0)
    consolidated = opened(closed(side, 16.0) & near_wall & ~whole, 4.0)
    outside, _ = ndimage.label(np.pad(~(whole | consolidated), 1, constant_values=True))
    around = outside == outside[0, 0, 0]
    filled[part] = ~around[1:-1, 1:-1, 1:-1] & (~tube | side)
    return filled


def _near_wall(parenchyma: BoolArray) -> BoolArray:
    """Places within 30 mm of the chest wall: the outside of the convex hull of both lungs in each axial slice."""
    from skimage.morphology import convex_hull_image

    hull = np.zeros(parenchyma.shape, bool)
    deep = hull.copy()
    ball = sitk.sitkBall
    for k in np.flatnonzero(parenchyma.any(axis=(1, 2))):
        hull[k] = convex_hull_image(parenchyma[k])
        flat = sitk.GetImageFromArray(hull[k].astype(np.uint8))
        deep[k] = sitk.GetArrayViewFromImage(sitk.BinaryErode(flat, [15, 15], ball, 0, 1, False)) > 0
    return hull & ~deep
