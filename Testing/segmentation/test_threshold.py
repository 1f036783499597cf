"""The threshold segmenter on a small analytic thorax whose lungs and infection are known."""

import functools
import math

import numpy as np
import pytest
import SimpleITK as sitk

from DualSamplingCOVIDLib.diagnosis import Segmentation, volume_ml
from DualSamplingCOVIDLib.errors import InputError
from DualSamplingCOVIDLib.segmentation import GivenMasks, segmenter, working_grid
from DualSamplingCOVIDLib.segmentation.given import split_by_geometry

SPACING = (2.0, 2.0, 2.5)
SIZE = (160, 130, 96)
ORIGIN = (-160.0, -130.0, -120.0)


def ellipsoid(x, y, z, centre, radii):
    return sum(((a - c) / r) ** 2 for a, c, r in zip((x, y, z), centre, radii, strict=True)) < 1


@functools.cache
def thorax() -> dict[str, sitk.Image]:
    """CT and true masks: body, lungs, an infection ball in the right lung, trachea, bowel gas, table."""
    k, j, i = np.indices(SIZE[::-1])
    x, y, z = (n * s + o for n, s, o in zip((i, j, k), SPACING, ORIGIN, strict=True))
    ct = np.full(x.shape, -1000.0)
    ct[(x / 140) ** 2 + (y / 100) ** 2 < 1] = 40
    ct[(np.abs(y - 112) < 4) & (np.abs(x) < 130)] = 200
    right = ellipsoid(x, y, z, (-65, 0, 15), (48, 70, 85))
    left = ellipsoid(x, y, z, (65, 0, 15), (48, 70, 85))
    ct[right | left] = -850
    infection = ellipsoid(x, y, z, (-75, 25, 0), (20, 20, 20))
    ct[infection] = -450
    trachea = ((x**2 + (y - 5) ** 2) < 8**2) & (z > 20)
    ct[trachea] = -1000
    gas = ellipsoid(x, y, z, (30, -50, -95), (35, 25, 18))
    ct[gas] = -1000
    ct += np.random.default_rng(0).normal(0, 15, ct.shape)
    named = {"ct": ct.astype(np.int16), "right": right, "left": left, "infection": infection}
    named |= {"trachea": trachea, "gas": gas}
    images = {name: sitk.GetImageFromArray(voxels.astype(np.int16)) for name, voxels in named.items()}
    for image in images.values():
        image.SetSpacing(SPACING)
        image.SetOrigin(ORIGIN)
    return images


@functools.cache
def found() -> Segmentation:
    return segmenter("threshold").segment(thorax()["ct"])


def dice(one: sitk.Image, other: sitk.Image) -> float:
    a, b = (sitk.GetArrayViewFromImage(mask) > 0 for mask in (one, other))
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def overlap(one: sitk.Image, other: sitk.Image) -> int:
    return int(np.count_nonzero((sitk.GetArrayViewFromImage(one) > 0) & (sitk.GetArrayViewFromImage(other) > 0)))


def test_each_lung_is_found_on_its_own_side():
    assert dice(found().right_lung, thorax()["right"]) > 0.97
    assert dice(found().left_lung, thorax()["left"]) > 0.97
    assert overlap(found().right_lung, found().left_lung) == 0


def test_the_infection_is_found_with_its_volume():
    assert dice(found().infection, thorax()["infection"]) > 0.85
    assert volume_ml(found().infection) == pytest.approx(4 / 3 * math.pi * 20**3 / 1000, rel=0.2)


def test_a_level_is_cut_between_the_working_voxels():
    level = np.broadcast_to(np.float32(10.7) - 2 * np.arange(16, dtype=np.float32), (16, 16, 16)).copy()
    grid = sitk.GetImageFromArray(level)
    grid.SetSpacing((working_grid.SPACING_MM,) * 3)
    ct = sitk.Image(60, 60, 60, sitk.sitkInt16)
    ct.SetSpacing((0.5, 0.5, 0.5))
    inside = sitk.GetArrayFromImage(working_grid.cut_on_ct(level, 0.0, grid, ct))
    assert inside.sum((0, 1)).tolist() == [60 * 60] * 22 + [0] * 38


def test_lungs_include_the_infection():
    assert overlap(found().lungs, found().infection) == np.count_nonzero(sitk.GetArrayViewFromImage(found().infection))
    assert overlap(found().right_lung, thorax()["infection"]) > 0.98 * np.count_nonzero(
        sitk.GetArrayViewFromImage(thorax()["infection"])
    )


@pytest.mark.parametrize("hollow", ["trachea", "gas"])
def test_trachea_and_bowel_gas_are_no_lung(hollow):
    assert overlap(found().lungs, thorax()[hollow]) < 0.02 * np.count_nonzero(
        sitk.GetArrayViewFromImage(thorax()[hollow])
    )


def test_padding_outside_the_field_of_view_changes_nothing():
    voxels = sitk.GetArrayFromImage(thorax()["ct"])
    j, i = np.indices(voxels.shape[1:])
    voxels[:, ((i - 80) * 2) ** 2 + ((j - 65) * 2) ** 2 > 150**2] = -3024
    padded = sitk.GetImageFromArray(voxels)
    padded.CopyInformation(thorax()["ct"])
    assert dice(segmenter("threshold").segment(padded).lungs, found().lungs) > 0.999


def test_a_ct_without_air_gives_empty_masks():
    ct = sitk.Image(40, 40, 20, sitk.sitkInt16) + 40
    empty = segmenter("threshold").segment(ct)
    assert volume_ml(empty.lungs) == 0
    assert empty.ratio == 0
    assert empty.infection.GetSize() == ct.GetSize()


def test_progress_rises_to_one():
    heard: list[float] = []
    segmenter("threshold").segment(thorax()["ct"], lambda stage, fraction: heard.append(fraction))
    assert heard == sorted(heard)
    assert heard[-1] == 1.0


def test_an_unknown_segmenter_is_named():
    with pytest.raises(InputError, match="nonesuch"):
        segmenter("nonesuch")


def test_given_lungs_are_parted_by_place_and_infection_is_cut_to_them():
    truth = thorax()
    lungs = sitk.Or(truth["right"], truth["left"])
    everywhere = sitk.Image(lungs.GetSize(), sitk.sitkUInt8) + 1
    everywhere.CopyInformation(lungs)
    given = GivenMasks(segmenter("threshold"), lungs, everywhere)
    result = given.segment(truth["ct"])
    assert dice(result.right_lung, truth["right"]) == 1
    assert dice(result.left_lung, truth["left"]) == 1
    assert result.ratio == 1
    assert (given.card.name, given.card.version, given.card.detection_limit) == ("given masks", "", 0)


def test_given_infection_goes_with_the_others_lungs():
    result = GivenMasks(segmenter("threshold"), infection=thorax()["infection"]).segment(thorax()["ct"])
    assert result.segmenter.name == "threshold with given infection" and result.segmenter.detection_limit == 0
    assert dice(result.lungs, found().lungs) == 1
    assert dice(result.infection, thorax()["infection"]) > 0.98


def test_one_given_lung_stays_whole_and_empty_lungs_are_no_error_where_they_are_parted():
    truth = thorax()
    right, left = split_by_geometry(truth["left"])
    assert volume_ml(right) == 0 and dice(left, truth["left"]) == 1
    right, left = split_by_geometry(truth["right"])
    assert volume_ml(left) == 0 and dice(right, truth["right"]) == 1
    assert [volume_ml(side) for side in split_by_geometry(truth["right"] * 0)] == [0, 0]


def test_a_given_lung_in_two_parts_stays_on_its_side():
    lung = thorax()["left"]
    lung = sitk.Paste(lung, lung[:, :, 40:46] * 0, [lung.GetSize()[0], lung.GetSize()[1], 6], [0, 0, 0], [0, 0, 40])
    right, left = split_by_geometry(lung)
    assert volume_ml(right) == 0 and dice(left, lung) == 1


def test_given_lungs_that_touch_are_parted_at_their_middle():
    lungs = sitk.Or(thorax()["right"], thorax()["left"])
    joined = sitk.BinaryMorphologicalClosing(sitk.Cast(lungs, sitk.sitkUInt8), [25, 25, 25])
    right, left = split_by_geometry(joined)
    assert dice(right, thorax()["right"]) > 0.9 and dice(left, thorax()["left"]) > 0.9


def test_given_lungs_with_right_and_left_exchanged_are_refused():
    truth = thorax()
    with pytest.raises(InputError, match="1 on the patient's left and 2 on the right"):
        GivenMasks(segmenter("threshold"), lungs=truth["left"] + 2 * truth["right"]).segment(truth["ct"])
    sides = GivenMasks(segmenter("threshold"), truth["right"] + 2 * truth["left"], truth["infection"])
    assert dice(sides.segment(truth["ct"]).right_lung, truth["right"]) == 1


def test_given_infection_outside_the_lungs_is_refused_and_an_empty_one_is_not():
    truth = thorax()
    lungs = sitk.Or(truth["right"], truth["left"])
    with pytest.raises(InputError, match="the given infection lies outside the lungs"):
        GivenMasks(segmenter("threshold"), lungs, truth["gas"]).segment(truth["ct"])
    assert GivenMasks(segmenter("threshold"), lungs, truth["gas"] * 0).segment(truth["ct"]).ratio == 0


def test_given_lungs_of_another_scan_are_refused():
    nothing = sitk.Image(thorax()["ct"].GetSize(), sitk.sitkUInt8)
    with pytest.raises(InputError, match="lung mask is empty"):
        GivenMasks(segmenter("threshold"), lungs=nothing).segment(thorax()["ct"])
