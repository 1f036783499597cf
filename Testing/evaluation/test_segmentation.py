"""Figures of masks small enough to count by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import SimpleITK as sitk

from DualSamplingCOVIDLib.diagnosis import CutOffs, Segmentation, SegmenterCard
from DualSamplingCOVIDLib.evaluation.segmentation import (
    CaseFigures,
    Overlap,
    averaged_dice,
    axial,
    by_kind,
    calibrated_cut_offs,
    case_figures,
    dice,
    false_infection,
    infected_fraction,
    infection_dice,
    kind_sensitivity,
    labelled_slices,
    lower_marks,
    lower_share,
    overlap,
    share_below,
    slice_figures,
)

CARD = SegmenterCard("by hand", "1", CutOffs(), 0.0)
NAMES = {1: "ground glass", 4: "nodules"}


def image(voxels: np.ndarray, spacing: tuple[float, float, float] = (10.0, 10.0, 10.0)) -> sitk.Image:
    """Wrap voxels [k, j, i]; 10 mm cubes are 1 ml each."""
    result = sitk.GetImageFromArray(np.asarray(voxels).astype(np.uint8))
    result.SetSpacing(spacing)
    return result


def column(*counts: int) -> np.ndarray:
    """Return a mask [k, 1, 10] with so many voxels in each slice, from i = 0 on."""
    return np.arange(10)[None, None, :] < np.array(counts)[:, None, None]


def segmentation(right: np.ndarray, left: np.ndarray, infection: np.ndarray) -> Segmentation:
    return Segmentation(image(right), image(left), image(infection), CARD)


def test_dice_and_sensitivity_come_from_volumes() -> None:
    found, truth = column(4, 0), column(6, 2)
    assert overlap(image(found), image(truth)) == Overlap(both=4, found=4, truth=8)
    assert dice(image(found), image(truth)) == pytest.approx(8 / 12)
    assert overlap(image(found), image(truth)).sensitivity == 0.5
    assert overlap(image(found, (1, 1, 2)), image(truth, (1, 1, 2))).truth == pytest.approx(0.016)


def test_masks_without_volume_have_no_figures() -> None:
    empty = image(column(0))
    assert math.isnan(dice(empty, empty)) and math.isnan(overlap(empty, empty).sensitivity)
    with pytest.raises(ValueError, match="one grid"):
        dice(empty, image(column(0, 0)))


def test_the_infected_fraction_is_of_the_lung_in_each_slice() -> None:
    found = infected_fraction(column(0, 4, 10), column(2, 1, 5))
    np.testing.assert_array_equal(found, [np.nan, 0.25, 0.5])


def test_slice_auc_counts_pairs_of_lung_bearing_slices() -> None:
    lungs, infection = column(0, 10, 4, 8, 2, 0), column(0, 1, 1, 0, 1, 0)
    labelled = [True, False, True, False, True, False]
    found = slice_figures(lungs, infection, labelled)
    # fractions .1 .25 0 .5, labels no yes no yes: all four pairs in order; areas 10 4 8 2: none
    assert found.fraction_auc == 1.0 and found.area_auc == 0.0
    # the labelled slice without lung counts as missed, the other one without lung not at all
    assert found.labelled_found == pytest.approx(2 / 3) and found.others_found == 0.5
    tied = slice_figures(lungs, column(0, 5, 1, 4, 1, 0), labelled)
    # fractions .5 .25 .5 .5, labels no yes no yes: .25 < .5 twice, .5 = .5 twice
    assert tied.fraction_auc == pytest.approx((0 + 0 + 0.5 + 0.5) / 4)


def test_labels_must_be_one_a_slice() -> None:
    with pytest.raises(ValueError, match="one for each of the 2 slices"):
        slice_figures(column(1, 1), column(0, 0), [True])
    np.testing.assert_array_equal(labelled_slices([0, 2], 4), [True, False, True, False])


def test_slices_are_counted_from_the_feet_however_they_are_stored() -> None:
    lungs = column(1, 2, 3)
    stored = sitk.Flip(image(lungs), (False, False, True), False)
    assert stored.GetDirection()[8] == -1
    np.testing.assert_array_equal(axial(stored), lungs)


def test_the_lower_part_is_of_the_height_of_the_lungs() -> None:
    lungs, infection = column(0, 10, 10, 10, 10, 0), column(0, 4, 2, 1, 1, 0)
    assert share_below(lungs, infection, 1 / 2) == pytest.approx(6 / 8)
    # a third of four slices: the lowest and a third of the next
    assert share_below(lungs, infection, 1 / 3) == pytest.approx((4 + 2 / 3) / 8)
    assert math.isnan(share_below(lungs, column(0, 0, 0, 0, 0, 0), 0.5))


def test_labelled_lower_lobes_are_asked_side_by_side() -> None:
    right, left = column(4, 4, 4), column(8, 8, 8) & ~column(4, 4, 4)
    infection = column(2, 6, 6)  # right 2, 4, 4; left 0, 2, 2
    lobes = {"RLL": [0, 1], "RUL": [2], "LLL": [2], "LUL": []}
    found = lower_share(segmentation(right, left, infection), lobes)
    assert found.labelled_lower == pytest.approx((2 + 4 + 2) / 14)
    assert found.lower_half == pytest.approx((2 + 3) / 14)
    assert lower_marks(lobes) == pytest.approx(3 / 4)
    assert math.isnan(lower_marks({}))


def test_each_kind_has_its_own_sensitivity() -> None:
    kinds = np.zeros((2, 1, 10), np.uint8)
    kinds[0, 0, :4], kinds[1, 0, :5] = 1, 4
    found = by_kind(image(column(3, 1)), image(kinds), NAMES)
    assert found["ground glass"].sensitivity == 0.75 and found["nodules"].sensitivity == 0.2
    kinds[0, 0, 9] = 2
    with pytest.raises(ValueError, match="no name"):
        by_kind(image(column(3, 1)), image(kinds), NAMES)


def test_a_case_tells_infection_from_lungs() -> None:
    found = segmentation(column(8, 8), column(0, 0), column(2, 0))
    kinds = column(4, 0).astype(np.uint8)
    case = case_figures(found, image(column(10, 10)), image(column(4, 0)), image(kinds), NAMES)
    assert case.lungs == Overlap(16, 16, 20) and case.infection == Overlap(2, 2, 4)
    assert case.true_ratio == pytest.approx(4 / 20) and case.found_ratio == pytest.approx(2 / 16)
    assert case.kinds == {"ground glass": Overlap(2, 2, 4)}
    cut = case_figures(found, image(column(10, 10)), image(column(10, 0)))
    assert cut.infection_in_lungs.sensitivity == 0.8 and cut.kinds == {}


def test_pooled_volumes_and_single_cases_are_averaged_apart() -> None:
    large, small, normal = Overlap(90, 100, 100), Overlap(0, 0, 10), Overlap(0, 5, 0)
    found = averaged_dice([large, small, normal])
    assert found.pooled == pytest.approx(180 / 210)
    assert found.mean == pytest.approx((0.9 + 0) / 2)
    assert found.cases == 2


def case_of(true_ratio: float, found_ratio: float, infection: Overlap, **kinds: Overlap) -> CaseFigures:
    return CaseFigures(Overlap(), infection, Overlap(), kinds, true_ratio, found_ratio)


def test_small_infections_are_told_by_their_true_ratio() -> None:
    cases = [
        case_of(0.004, 0.1, Overlap(1, 1, 3), nodules=Overlap(1, 1, 3)),
        case_of(0.1, 0.001, Overlap(3, 3, 3), nodules=Overlap(3, 3, 3), cavity=Overlap(0, 3, 1)),
    ]
    assert infection_dice(cases, 0.005).mean == 0.5 and infection_dice(cases).cases == 2
    found = kind_sensitivity(cases)
    assert found["nodules"].pooled == pytest.approx(4 / 6) and found["nodules"].mean == pytest.approx((1 / 3 + 1) / 2)
    assert found["cavity"].cases == 1


def test_false_infection_tells_the_detection_limit() -> None:
    found = false_infection(np.arange(101) / 1000)
    assert (found.mean, found.limit, found.worst, found.cases) == pytest.approx((0.05, 0.095, 0.1, 101))
    assert math.isnan(false_infection([]).limit)


def test_calibrated_cut_offs_follow_a_segmenter_that_finds_twice_as_much() -> None:
    true = np.geomspace(0.0003, 0.2, 200)
    cases = [case_of(float(r), 2 * float(r), Overlap(0, 0, 1)) for r in true]
    normals = [case_of(0.0, 0.3, Overlap())] * 50
    found = calibrated_cut_offs(cases + normals)
    assert (found.minimal, found.small, found.large) == pytest.approx((0.002, 0.010, 0.060), rel=0.05)
