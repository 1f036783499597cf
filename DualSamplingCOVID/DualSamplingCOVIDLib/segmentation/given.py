"""Masks that a person gives, in place of a segmenter's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from ..diagnosis import Segmentation, SegmenterCard
from ..errors import InputError
from ..progress import Progress, silent
from .protocol import Segmenter

LEAST_SHARE = 0.1
APART = 1 / 3
"""Two lungs' middles lie at least so far apart, as a share of the mask's width; two parts of one lung do not."""
WITH_GIVEN_LUNGS = " with given lungs"


def finder(card: SegmenterCard) -> tuple[str, str]:
    """Return name and version of who finds the infection, to which cut-offs and limit belong (section 6 of the method).

    Given lungs change nothing of that.
    """
    return card.name.removesuffix(WITH_GIVEN_LUNGS), card.version


class GivenMasks:
    """Another segmenter whose lungs, infection or both are replaced by given masks (nonzero = inside).

    Lungs of the values 1 and 2 are right and left as given; of one value, they are parted by place.
    Infection is always cut to the lungs.
    """

    def __init__(self, other: Segmenter, lungs: sitk.Image | None = None, infection: sitk.Image | None = None) -> None:
        """Wrap `other`, which is only asked for what is not given.

        Args:
            other: Segmenter for the rest, and for the card.
            lungs: Both lungs on any grid, or None.
            infection: Infection on any grid, or None.
        """
        self._other = other
        self._lungs = lungs
        self._infection = infection

    @property
    def card(self) -> SegmenterCard:
        """The other's card, its name telling which masks were given; what a person marked has no detection limit."""
        given = [n for n, mask in (("lungs", self._lungs), ("infection", self._infection)) if mask is not None]
        card = self._other.card
        if self._infection is not None:
            card = replace(card, detection_limit=0.0)
        if len(given) == 2:
            return replace(card, name="given masks", version="")
        if self._lungs is not None:
            return replace(card, name=card.name + WITH_GIVEN_LUNGS)
        return replace(card, name=f"{card.name} with given infection") if given else card

    def segment(self, ct: sitk.Image, progress: Progress = silent) -> Segmentation:
        """Segment a CT (see `Segmenter.segment`).

        Raises:
            InputError: the given masks do not meet the CT or the lungs, or right and left are exchanged.
        """
        sides = None if self._lungs is None else _sides(self._lungs, ct)
        infection = None if self._infection is None else _on_grid(self._infection, ct)
        if sides is None or infection is None:
            found = self._other.segment(ct, progress)
            sides = (found.right_lung, found.left_lung) if sides is None else sides
            infection = found.infection if infection is None else infection
        right, left = sides
        inside = sitk.And(infection, sitk.Or(right, left))
        if self._infection is not None and _any(infection) and not _any(inside):
            raise InputError("the given infection lies outside the lungs: is it of another scan?")
        return Segmentation(right, left, inside, self.card)


def _sides(lungs: sitk.Image, ct: sitk.Image) -> tuple[sitk.Image, sitk.Image]:
    """Right and left lung on the CT grid, by the mask's own values where it has two of them."""
    whole = _on_grid(lungs, ct)
    if not _any(whole):
        raise InputError("the given lung mask is empty on this CT: is it of another scan?")
    if int(sitk.GetArrayViewFromImage(lungs).max()) < 2:
        return split_by_geometry(whole)
    right = _on_grid(sitk.Equal(lungs, 1), ct)
    left = sitk.And(whole, sitk.Equal(right, 0))
    if exchanged(right, left):
        raise InputError("the given lung mask has 1 on the patient's left and 2 on the right: 1 is the right lung")
    return right, left


def exchanged(right: sitk.Image, left: sitk.Image) -> bool:
    """Whether the right lung's middle lies to the left of the left one's; an empty mask lies nowhere."""
    return _any(right) and _any(left) and _middle_mm(right) > _middle_mm(left)


def split_by_geometry(lungs: sitk.Image) -> tuple[sitk.Image, sitk.Image]:
    """Part a mask of both lungs in right and left by place alone.

    The two lungs' cores (what is left after shrinking until they part) claim every voxel that is nearer to them. A
    mask without two cores that lies to one side of the image's middle is one lung.

    Args:
        lungs: uint8 mask of 0 and 1, of any direction.

    Returns:
        Right and left lung, uint8 masks of 0 and 1 with the geometry of `lungs`.
    """
    voxels = sitk.GetArrayViewFromImage(lungs) > 0
    to_left = np.array(lungs.GetDirection()).reshape(3, 3)[0] * lungs.GetSpacing()
    k, j, i = (np.arange(n) for n in voxels.shape)
    x = (k * to_left[2])[:, None, None] + (j * to_left[1])[None, :, None] + (i * to_left[0])[None, None, :]
    sampling = lungs.GetSpacing()[::-1]
    inner = ndimage.distance_transform_edt(np.pad(voxels, 1), sampling=sampling)[1:-1, 1:-1, 1:-1]
    inside = x[voxels]
    if not len(inside):
        return lungs, lungs
    is_right = x < _border(inside, float(x.mean()))
    for shrink_mm in (0.0, 2.0, 4.0, 6.0, 9.0, 12.0, 16.0):
        labels, count = ndimage.label(inner > shrink_mm)
        sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
        if count < 2 or np.sort(sizes)[-2] < LEAST_SHARE * sizes.sum():
            continue
        first, second = (int(n) + 1 for n in np.argsort(sizes)[::-1][:2])
        middles = [float(x[labels == n].mean()) for n in (first, second)]
        if abs(middles[0] - middles[1]) < APART * np.ptp(inside):
            continue
        right, left = (first, second) if middles[0] < middles[1] else (second, first)
        to_right, to_left_mm = (ndimage.distance_transform_edt(labels != n, sampling=sampling) for n in (right, left))
        is_right = to_right <= to_left_mm
        break
    return _as_image(voxels & is_right, lungs), _as_image(voxels & ~is_right, lungs)


def _border(inside: np.ndarray, middle: float) -> float:
    """Where (mm to the left) right ends and left begins, of voxels at `inside`: their median where they lie on both
    sides of the image's `middle`, else that, so that one lung stays whole."""
    return float(np.median(inside)) if LEAST_SHARE < float((inside < middle).mean()) < 1 - LEAST_SHARE else middle


def _any(mask: sitk.Image) -> bool:
    return bool(sitk.GetArrayViewFromImage(mask).any())


def _middle_mm(mask: sitk.Image) -> float:
    """How far to the patient's left (mm) the middle of a mask lies."""
    middle = [float(n.mean()) for n in np.nonzero(sitk.GetArrayViewFromImage(mask))][::-1]
    return float(mask.TransformContinuousIndexToPhysicalPoint(middle)[0])


def _on_grid(mask: sitk.Image, ct: sitk.Image) -> sitk.Image:
    """The mask's nonzero voxels on the CT grid: unchanged where the grids agree, else linear cut at one half."""
    soft = sitk.Cast(sitk.NotEqual(mask, 0), sitk.sitkFloat32)
    return sitk.BinaryThreshold(sitk.Resample(soft, ct, sitk.Transform(), sitk.sitkLinear, 0.0), 0.5, 2.0)


def _as_image(voxels: np.ndarray, like: sitk.Image) -> sitk.Image:
    image = sitk.GetImageFromArray(voxels.astype(np.uint8))
    image.CopyInformation(like)
    return image
