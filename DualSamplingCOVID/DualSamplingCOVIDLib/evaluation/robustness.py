"""How steady masks are: copies of one CT as other scanners would give them, and what changes from copy to copy."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import ArrayLike, NDArray

from ..diagnosis import Segmentation
from .segmentation import SliceFigures, Voxels, axial, slice_figures

AIR_HU = -1024
OBLIQUE_AXIS = (2.0, -1.0, 2.0)
OBLIQUE_DEGREES = 15.0
NOISE_HU = 30.0
NOISE_SEED = 20
CUT_OFF_PER_MM = 0.35
"""Frequency (cycles a mm) at which a soft kernel has let the noise fall to 1/e."""
CROP_MARGIN_MM = 5.0
SHIFT_HU = 50

Floats = NDArray[np.float64]
Change = Callable[[sitk.Image, sitk.Image], sitk.Image]
"""(CT in HU, lungs on its grid) -> the changed CT."""
Compare = Callable[[sitk.Image, Segmentation, Voxels], SliceFigures]
"""(original CT, masks of the copy, labels of the original's slices [k]) -> the copy's figures."""


@dataclass(frozen=True)
class Copy:
    """One way to change a CT, and how masks found on the result are held against the original's slice labels."""

    name: str
    change: Change
    compare: Compare


@dataclass(frozen=True)
class Steadiness:
    """What a copy gives beside the original: the infection ratio and the slice AUC (NaN without labels).

    `ratio_percent` is the ratio's change in per cent of the original's (NaN where that is 0), `auc_change` the AUC's
    difference.
    """

    ratio: float
    ratio_percent: float
    auc: float
    auc_change: float


def steadiness(
    copy: Copy, original: sitk.Image, on_copy: Segmentation, on_original: Segmentation, labelled: ArrayLike | None
) -> Steadiness:
    """Compare one segmenter's masks of a copy with its masks of the original.

    Args:
        copy: How the copy was made.
        original: CT.
        on_copy: Masks on the copy's grid.
        on_original: Masks on the original's grid.
        labelled: Whether each slice of the original is labelled as infected, bool [k] from the lowest; None where no
            slice is (a normal CT).
    """
    first, ratio = on_original.ratio, on_copy.ratio
    percent = 100 * (ratio / first - 1) if first else math.nan
    if labelled is None:
        return Steadiness(ratio, percent, math.nan, math.nan)
    labels = np.asarray(labelled, dtype=bool)
    before = slice_figures(axial(on_original.lungs), axial(on_original.infection), labels).fraction_auc
    auc = copy.compare(original, on_copy, labels).fraction_auc
    return Steadiness(ratio, percent, auc, auc - before)


def thick_slices(ct: sitk.Image, thickness_mm: float) -> sitk.Image:
    """Average a CT over slabs of this thickness, as thicker slices of the same scan would show it.

    Every slice counts by how much of it lies in the slab; what is left over at the upper end is dropped.

    Args:
        ct: CT in HU; it is put in LPS order.
        thickness_mm: At least the CT's own slice spacing.

    Raises:
        ValueError: thinner slices than the CT's, or thicker than the CT is high.
    """
    ct = sitk.DICOMOrient(ct, "LPS")
    step = ct.GetSpacing()[2]
    weights = _slab_weights(ct.GetSize()[2], step, thickness_mm)
    voxels = sitk.GetArrayViewFromImage(ct).astype(np.float32)
    slabs = np.stack([np.tensordot(row[row > 0], voxels[row > 0], axes=1) for row in weights.astype(np.float32)])
    result = _image(slabs, ct)
    normal = np.array(ct.GetDirection()).reshape(3, 3)[:, 2]
    result.SetOrigin((np.array(ct.GetOrigin()) + (thickness_mm - step) / 2 * normal).tolist())
    result.SetSpacing((*ct.GetSpacing()[:2], float(thickness_mm)))
    result.SetDirection(ct.GetDirection())
    return result


def carried_labels(labelled: ArrayLike, spacing_mm: float, thickness_mm: float) -> Voxels:
    """Carry slice labels [k] over to the slabs of `thick_slices`: labelled are those that are so for at least half."""
    labels = np.asarray(labelled, dtype=np.float64)
    return _slab_weights(len(labels), spacing_mm, thickness_mm) @ labels >= 0.5 - 1e-9


def oblique(ct: sitk.Image) -> sitk.Image:
    """Resample to a grid of the same spacing, turned by 15 degrees about an oblique axis, that holds the whole CT."""
    turn = sitk.VersorTransform(OBLIQUE_AXIS, math.radians(OBLIQUE_DEGREES))
    axes = np.array(turn.GetMatrix()).reshape(3, 3) @ np.array(ct.GetDirection()).reshape(3, 3)
    ends = itertools.product(*((-0.5, count - 0.5) for count in ct.GetSize()))
    corners = np.array([ct.TransformContinuousIndexToPhysicalPoint(end) for end in ends]) @ axes
    low, high = corners.min(axis=0), corners.max(axis=0)
    resample = sitk.ResampleImageFilter()
    size = np.ceil((high - low) / ct.GetSpacing() - 1e-6)
    resample.SetSize([int(n) for n in size])
    resample.SetOutputOrigin((axes @ ((low + high - (size - 1) * ct.GetSpacing()) / 2)).tolist())
    resample.SetOutputSpacing(ct.GetSpacing())
    resample.SetOutputDirection(axes.ravel().tolist())
    resample.SetDefaultPixelValue(AIR_HU)
    return resample.Execute(ct)


def noisy(ct: sitk.Image, sigma_hu: float = NOISE_HU, seed: int = NOISE_SEED) -> sitk.Image:
    """Add noise of this standard deviation with the grain of a reconstructed slice.

    Its power rises with the frequency (the ramp filter of back-projection) and falls off as a soft kernel lets it;
    slices are independent. HU stay at or above -1024, as a scanner stores them.
    """
    rows, columns = ct.GetSize()[1], ct.GetSize()[0]
    along_x, along_y = ct.GetSpacing()[:2]
    frequency = np.hypot(np.fft.fftfreq(rows, along_y)[:, None], np.fft.rfftfreq(columns, along_x)[None, :])
    amplitude = np.sqrt(frequency) * np.exp(-0.5 * (frequency / CUT_OFF_PER_MM) ** 2)
    random = np.random.default_rng(seed)
    noise = np.empty(ct.GetSize()[::-1], np.float32)
    for k in range(len(noise)):
        white = np.fft.rfft2(random.standard_normal((rows, columns)))
        noise[k] = np.fft.irfft2(white * amplitude, (rows, columns))
    noise *= np.float32(sigma_hu / noise.std())
    return _like(sitk.GetArrayViewFromImage(ct) + noise, ct)


def cropped(ct: sitk.Image, lungs: sitk.Image) -> sitk.Image:
    """Cut the CT to a box round the lungs with 5 mm to spare, as a narrow field of view does: chest wall and arms go.

    Raises:
        ValueError: `lungs` is empty or on another grid.
    """
    inside = sitk.GetArrayViewFromImage(lungs) != 0
    if lungs.GetSize() != ct.GetSize() or not inside.any():
        raise ValueError("the lungs must lie on the CT's grid and not be empty")
    start, stop = [], []
    for axis, step, count in zip((2, 1, 0), ct.GetSpacing(), ct.GetSize(), strict=True):
        where = np.flatnonzero(inside.any(axis=tuple(other for other in range(3) if other != axis)))
        margin = math.ceil(CROP_MARGIN_MM / step)
        start.append(max(int(where[0]) - margin, 0))
        stop.append(min(int(where[-1]) + 1 + margin, count))
    return ct[start[0] : stop[0], start[1] : stop[1], start[2] : stop[2]]


def shifted(ct: sitk.Image, by_hu: int) -> sitk.Image:
    """Shift all HU, as a badly calibrated scanner does; nothing falls below -1024."""
    return _like(sitk.GetArrayViewFromImage(ct).astype(np.float32) + np.float32(by_hu), ct)


def back_on(original: sitk.Image, mask: sitk.Image) -> sitk.Image:
    """Bring a copy's mask to the original's grid: linear interpolation of 0 and 1, cut at one half; uint8."""
    soft = sitk.Cast(sitk.NotEqual(mask, 0), sitk.sitkFloat32)
    return sitk.BinaryThreshold(sitk.Resample(soft, original, sitk.Transform(), sitk.sitkLinear, 0.0), 0.5, 2.0)


def compare_on_original(original: sitk.Image, found: Segmentation, labelled: Voxels) -> SliceFigures:
    """Measure a copy's masks on the original's slices."""
    lungs, infection = (axial(back_on(original, mask)) for mask in (found.lungs, found.infection))
    return slice_figures(lungs, infection, labelled)


def compare_on_slabs(original: sitk.Image, found: Segmentation, labelled: Voxels) -> SliceFigures:
    """Measure masks on thicker slices, which take the labels of the slices that they average."""
    spacing = sitk.DICOMOrient(original, "LPS").GetSpacing()[2]
    lungs = found.lungs
    labels = carried_labels(labelled, spacing, lungs.GetSpacing()[2])
    return slice_figures(axial(lungs), axial(found.infection), labels)


def _thick(thickness_mm: float) -> Copy:
    return Copy(f"{thickness_mm:g} mm slices", lambda ct, _: thick_slices(ct, thickness_mm), compare_on_slabs)


COPIES: tuple[Copy, ...] = (
    _thick(3.0),
    _thick(5.0),
    _thick(8.0),
    Copy("oblique grid", lambda ct, _: oblique(ct), compare_on_original),
    Copy(f"noise {NOISE_HU:g} HU", lambda ct, _: noisy(ct), compare_on_original),
    Copy("cropped to the lungs", cropped, compare_on_original),
    Copy(f"HU + {SHIFT_HU}", lambda ct, _: shifted(ct, SHIFT_HU), compare_on_original),
    Copy(f"HU - {SHIFT_HU}", lambda ct, _: shifted(ct, -SHIFT_HU), compare_on_original),
)
"""The copies that a segmenter's steadiness is measured on."""


def _slab_weights(count: int, spacing_mm: float, thickness_mm: float) -> Floats:
    """Return each slice's weight in each slab, [slab, slice]; rows sum to 1.

    Raises:
        ValueError: slabs thinner than the slices, or thicker than all of them.
    """
    if not spacing_mm * (1 - 1e-6) <= thickness_mm <= count * spacing_mm * (1 + 1e-6):
        raise ValueError(f"slabs of {thickness_mm} mm cannot be made of {count} slices of {spacing_mm} mm")
    slabs = int(count * spacing_mm / thickness_mm + 1e-6)
    low = thickness_mm * np.arange(slabs)[:, None]
    start = spacing_mm * np.arange(count)[None, :]
    within = np.minimum(low + thickness_mm, start + spacing_mm) - np.maximum(low, start)
    within = np.clip(within, 0, None)
    return within / within.sum(axis=1, keepdims=True)


def _like(hu: np.ndarray, ct: sitk.Image) -> sitk.Image:
    result = _image(hu, ct)
    result.CopyInformation(ct)
    return result


def _image(hu: np.ndarray, ct: sitk.Image) -> sitk.Image:
    """Wrap HU [k, j, i] as an image of the CT's pixel type, at or above -1024."""
    kind = sitk.GetArrayViewFromImage(ct).dtype
    whole = np.rint(hu) if np.issubdtype(kind, np.integer) else hu
    return sitk.GetImageFromArray(np.maximum(whole, AIR_HU).astype(kind))
