"""Copies of a CT change what they say they change and nothing else; masks come back to where they were."""

from __future__ import annotations

import math

import numpy as np
import pytest
import SimpleITK as sitk

from DualSamplingCOVIDLib.diagnosis import CutOffs, Segmentation, SegmenterCard
from DualSamplingCOVIDLib.evaluation.robustness import (
    COPIES,
    CROP_MARGIN_MM,
    back_on,
    carried_labels,
    compare_on_original,
    compare_on_slabs,
    cropped,
    noisy,
    oblique,
    shifted,
    steadiness,
    thick_slices,
)
from DualSamplingCOVIDLib.evaluation.segmentation import axial, dice, slice_figures

CARD = SegmenterCard("by hand", "1", CutOffs(), 0.0)
SPACING = (1.5, 1.5, 2.0)
LUNGS = np.s_[4:28, 20:60, 16:64]
INFECTION = np.s_[8:16, 40:56, 20:40]
LABELLED = np.isin(np.arange(32), np.arange(8, 16))


def image(voxels: np.ndarray) -> sitk.Image:
    result = sitk.GetImageFromArray(voxels)
    result.SetSpacing(SPACING)
    result.SetOrigin((-60.0, 30.0, -400.0))
    return result


def block(part: tuple[slice, ...]) -> sitk.Image:
    voxels = np.zeros((32, 80, 80), np.uint8)
    voxels[part] = 1
    return image(voxels)


@pytest.fixture
def ct() -> sitk.Image:
    """A CT of 48 x 40 x 24 voxels of lung in tissue, and an infection in it."""
    hu = np.full((32, 80, 80), 40, np.int16)
    hu[LUNGS], hu[INFECTION] = -860, -500
    return image(hu)


@pytest.fixture
def truth() -> Segmentation:
    return Segmentation(block(LUNGS), block(np.s_[:0, :0, :0]), block(INFECTION), CARD)


def on(ct: sitk.Image, truth: Segmentation) -> Segmentation:
    """Return the true masks at the places of another grid."""
    right, left, infection = (
        sitk.Resample(mask, ct, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
        for mask in (truth.right_lung, truth.left_lung, truth.infection)
    )
    return Segmentation(right, left, infection, CARD)


def aerated(ct: sitk.Image) -> sitk.Image:
    """Return the lungs of these CTs by their density."""
    return sitk.And(ct < -300, ct > -1000)


@pytest.mark.parametrize("thickness_mm", [2.0, 4.0, 8.0, 16.0])
def test_thicker_slices_keep_the_mean_density(thickness_mm: float) -> None:
    hu = image(np.random.default_rng(1).normal(-500, 100, (32, 80, 80)).astype(np.float32))
    thick = thick_slices(hu, thickness_mm)
    assert thick.GetSize() == (80, 80, 64 / thickness_mm)
    assert sitk.GetArrayFromImage(thick).mean() == pytest.approx(sitk.GetArrayFromImage(hu).mean(), abs=0.01)


def test_a_thick_slice_averages_the_slices_that_it_covers() -> None:
    ramp = image(np.broadcast_to(np.arange(32, dtype=np.float32)[:, None, None], (32, 80, 80)).copy())
    found = sitk.GetArrayFromImage(thick_slices(ramp, 3.0))[:, 0, 0]
    # 3 mm out of 2 mm slices: slice 0 and half of slice 1, then the other half and slice 2
    assert found[:2] == pytest.approx([(0 * 2 + 1 * 1) / 3, (1 * 1 + 2 * 2) / 3])
    assert len(found) == 21


def test_a_thick_slice_lies_in_the_middle_of_what_it_averages(ct: sitk.Image) -> None:
    thick = thick_slices(ct, 8.0)
    assert thick.GetOrigin()[2] == pytest.approx((-400 - 400 + 3 * 2) / 2)
    assert thick.GetSpacing() == (1.5, 1.5, 8.0) and thick.GetPixelID() == sitk.sitkInt16
    flipped = sitk.Flip(ct, (False, False, True), False)
    assert np.array_equal(sitk.GetArrayFromImage(thick_slices(flipped, 8.0)), sitk.GetArrayFromImage(thick))


@pytest.mark.parametrize("thickness_mm", [1.0, 65.0])
def test_slices_are_not_thinned_nor_stretched_over_the_end(ct: sitk.Image, thickness_mm: float) -> None:
    with pytest.raises(ValueError, match="cannot be made"):
        thick_slices(ct, thickness_mm)


def test_labels_are_carried_by_position() -> None:
    labelled = [True, False, False, False, True, True, False, True, True]
    np.testing.assert_array_equal(carried_labels(labelled, 2.0, 4.0), [True, False, True, True])
    np.testing.assert_array_equal(carried_labels(labelled, 2.0, 6.0), [False, True, True])


def test_an_oblique_mask_comes_back_to_where_it_was(ct: sitk.Image, truth: Segmentation) -> None:
    turned = oblique(ct)
    cosine = np.trace(np.array(turned.GetDirection()).reshape(3, 3)) / 2 - 0.5
    assert math.degrees(math.acos(cosine)) == pytest.approx(15)
    assert turned.GetSpacing() == SPACING
    ends = ((0, 0, 0), (79, 79, 31), (79, 0, 0), (0, 79, 31))
    corners = [ct.TransformIndexToPhysicalPoint(end) for end in ends]
    inside = [turned.TransformPhysicalPointToContinuousIndex(corner) for corner in corners]
    assert np.all(np.array(inside) >= -0.5) and np.all(np.array(inside) <= np.array(turned.GetSize()) - 0.5)
    assert dice(back_on(ct, aerated(turned)), truth.lungs) > 0.98
    found = on(turned, truth)
    assert dice(back_on(ct, found.infection), truth.infection) > 0.95
    assert compare_on_original(ct, found, LABELLED).fraction_auc > 0.95


@pytest.mark.parametrize("sigma_hu", [10.0, 30.0])
def test_noise_has_the_strength_asked_for_and_a_grain(ct: sitk.Image, sigma_hu: float) -> None:
    flat = image(np.zeros((32, 80, 80), np.float32))
    flat.SetSpacing((0.75, 0.75, 2.0))
    noise = sitk.GetArrayFromImage(noisy(flat, sigma_hu))
    assert noise.std() == pytest.approx(sigma_hu, rel=1e-3) and noise.mean() == pytest.approx(0, abs=0.01)
    neighbours = np.mean(noise[:, :, 1:] * noise[:, :, :-1]) / noise.var()
    slices = np.mean(noise[1:] * noise[:-1]) / noise.var()
    assert 0.3 < neighbours < 0.9 and abs(slices) < 0.02
    coarse = noise.reshape(32, 4, 20, 4, 20).mean((2, 4)).std()
    assert coarse < 0.9 * sigma_hu / 20  # white noise would keep a twentieth, smoothed white noise more
    assert np.array_equal(sitk.GetArrayFromImage(noisy(ct)), sitk.GetArrayFromImage(noisy(ct)))


def test_cropping_keeps_the_lungs_and_5_mm_round_them(ct: sitk.Image, truth: Segmentation) -> None:
    box = cropped(ct, truth.lungs)
    assert box.GetSize() == (48 + 2 * 4, 40 + 2 * 4, 24 + 2 * 3)
    np.testing.assert_allclose(box.GetOrigin(), ct.TransformIndexToPhysicalPoint((16 - 4, 20 - 4, 4 - 3)))
    assert min(4 * SPACING[1], 3 * SPACING[2]) >= CROP_MARGIN_MM
    assert np.count_nonzero(sitk.GetArrayFromImage(box) < -300) == 48 * 40 * 24
    assert dice(back_on(ct, aerated(box)), truth.lungs) == 1.0
    with pytest.raises(ValueError, match="not be empty"):
        cropped(ct, truth.lungs * 0)


@pytest.mark.parametrize("by_hu", [50, -50])
def test_the_shift_is_exact_and_nothing_leaves_the_range(ct: sitk.Image, by_hu: int) -> None:
    ct[0, 0, 0] = -1010
    before, after = (sitk.GetArrayFromImage(one).astype(int) for one in (ct, shifted(ct, by_hu)))
    assert np.all((after - before)[1:] == by_hu)
    assert after[0, 0, 0] == (-960 if by_hu > 0 else -1024)
    assert shifted(ct, by_hu).GetPixelID() == sitk.sitkInt16


@pytest.mark.parametrize("copy", COPIES, ids=lambda copy: copy.name)
def test_every_copy_of_an_easy_ct_gives_its_slice_labels(copy, ct: sitk.Image, truth: Segmentation) -> None:
    changed = copy.change(ct, truth.lungs)
    found = steadiness(copy, ct, on(changed, truth), truth, LABELLED)
    assert found.auc == pytest.approx(1.0, abs=0.05) and found.auc_change == found.auc - 1
    assert abs(found.ratio_percent) < 25


def test_change_is_in_per_cent_of_the_original(ct: sitk.Image, truth: Segmentation) -> None:
    copy = COPIES[-1]
    half = Segmentation(truth.lungs, truth.left_lung, block(np.s_[8:12, 40:56, 20:40]), CARD)
    found = steadiness(copy, ct, half, truth, LABELLED)
    assert found.ratio_percent == pytest.approx(-50) and found.ratio == pytest.approx(truth.ratio / 2)
    # four of eight labelled slices still stand out, the others tie with 16 without a label
    assert found.auc == pytest.approx(0.75) and found.auc_change == pytest.approx(-0.25)
    unlabelled = steadiness(copy, ct, half, truth, None)
    assert math.isnan(unlabelled.auc) and unlabelled.ratio_percent == found.ratio_percent


def test_no_ratio_changes_from_nothing(ct: sitk.Image, truth: Segmentation) -> None:
    clean = Segmentation(truth.lungs, truth.left_lung, truth.infection * 0, CARD)
    assert math.isnan(steadiness(COPIES[-1], ct, truth, clean, None).ratio_percent)


def test_thick_slices_are_held_against_their_own_labels(ct: sitk.Image, truth: Segmentation) -> None:
    found = on(thick_slices(ct, 4.0), truth)
    labels = carried_labels(LABELLED, 2.0, 4.0)
    expected = slice_figures(axial(found.lungs), axial(found.infection), labels)
    assert compare_on_slabs(ct, found, LABELLED) == expected and expected.fraction_auc == 1.0
