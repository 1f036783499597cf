"""CT and masks on the network's grid: geometry, windowing, masking and the way back."""

from __future__ import annotations

import itertools
import math
import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from DualSamplingCOVIDLib.diagnosis import on_ct_grid
from DualSamplingCOVIDLib.errors import InputError
from DualSamplingCOVIDLib.preprocessing import GridSpec, NetworkGrid, network_grid, prepare

SPEC = GridSpec((40, 48, 48), (3.0, 3.0, 4.0))
SPACING = (1.3, 1.1, 2.7)
SIZE = (90, 80, 40)
IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def rotation(degrees_x: float, degrees_z: float) -> tuple[float, ...]:
    a, b = math.radians(degrees_x), math.radians(degrees_z)
    about_x = np.array([[1, 0, 0], [0, math.cos(a), -math.sin(a)], [0, math.sin(a), math.cos(a)]])
    about_z = np.array([[math.cos(b), -math.sin(b), 0], [math.sin(b), math.cos(b), 0], [0, 0, 1]])
    return tuple((about_x @ about_z).ravel())


def image_of(array: np.ndarray, spacing=SPACING, origin=(-50.0, 17.0, -300.0), direction=IDENTITY) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    image.SetDirection(direction)
    return image


def ellipsoid(size=SIZE, centre=None, radii=(35.0, 30.0, 15.0)) -> np.ndarray:
    centre = centre or tuple((n - 1) / 2 for n in size)
    k, j, i = np.ogrid[: size[2], : size[1], : size[0]]
    parts = [((x - c) / r) ** 2 for x, c, r in zip((i, j, k), centre, radii, strict=True)]
    return (sum(parts) <= 1).astype(np.uint8)


def textured_ct() -> np.ndarray:
    rng = np.random.default_rng(3)
    return rng.integers(-1000, 300, SIZE[::-1]).astype(np.int16)


def share_of_lung(ct: sitk.Image, lungs: sitk.Image) -> np.ndarray:
    share = prepare(ct, lungs, SPEC, lungs).infection
    assert share is not None
    return share


def centroid_mm(weights: np.ndarray, image: sitk.Image) -> np.ndarray:
    k, j, i = (np.average(axis, weights=weights) for axis in np.indices(weights.shape))
    return np.array(image.TransformContinuousIndexToPhysicalPoint((float(i), float(j), float(k))))


@pytest.mark.parametrize("direction", [IDENTITY, rotation(0, 180), rotation(20, 10), rotation(-35, 50)])
def test_the_network_grid_is_centred_on_the_lungs_in_patient_axes(direction: tuple[float, ...]) -> None:
    lungs = image_of(ellipsoid(centre=(30, 45, 18), radii=(20, 20, 12)), direction=direction)
    grid = network_grid(lungs, SPEC)
    image = grid.to_image(np.zeros(grid.shape_kji, np.float32))
    middle = image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in image.GetSize()])
    assert image.GetDirection() == IDENTITY
    assert grid.scale == 1.0
    assert middle == pytest.approx(lungs.TransformContinuousIndexToPhysicalPoint((30, 45, 18)), abs=1e-6)


def test_the_field_of_view_around_the_lungs_does_not_matter() -> None:
    ct, lungs = image_of(textured_ct()), image_of(ellipsoid())
    wide = [sitk.ConstantPad(image, (9, 3, 5), (2, 11, 1), value) for image, value in ((ct, -3024), (lungs, 0))]
    near, far = prepare(ct, lungs, SPEC), prepare(wide[0], wide[1], SPEC)
    assert far.grid.origin_xyz == pytest.approx(near.grid.origin_xyz, abs=1e-9)
    np.testing.assert_allclose(far.image, near.image, atol=1e-6)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("flips", [(True, False, True), (True, True, True)])
@pytest.mark.parametrize("direction", [IDENTITY, rotation(15, 0), rotation(20, 10)])
def test_flips_and_axis_permutations_give_the_same_network_input(direction, flips, order: tuple[int, ...]) -> None:
    def turned(image: sitk.Image) -> sitk.Image:
        return sitk.Flip(sitk.PermuteAxes(image, order), flips, False)

    ct, lungs = image_of(textured_ct(), direction=direction), image_of(ellipsoid(), direction=direction)
    infection = image_of(ellipsoid(radii=(9, 4, 3)), direction=direction)
    expected = prepare(ct, lungs, SPEC, infection)
    found = prepare(turned(ct), turned(lungs), SPEC, turned(infection))
    assert found.grid.origin_xyz == pytest.approx(expected.grid.origin_xyz, abs=1e-9)
    np.testing.assert_allclose(found.image, expected.image, rtol=0, atol=1e-6)
    assert found.infection is not None and expected.infection is not None
    np.testing.assert_allclose(found.infection, expected.infection, rtol=0, atol=1e-6)


def test_an_oblique_lattice_agrees_with_the_exact_average_where_both_apply() -> None:
    k, j, i = np.indices(SIZE[::-1])
    smooth = (-700 + 200 * np.sin(i / 6) + 150 * np.cos(j / 7) + 50 * np.sin(k / 3)).astype(np.float32)
    exact = prepare(image_of(smooth), image_of(ellipsoid()), SPEC)
    barely = rotation(0.05, 0.05)
    oblique = prepare(image_of(smooth, direction=barely), image_of(ellipsoid(), direction=barely), SPEC)
    inner = exact.image > 0.2
    assert np.mean(np.abs(oblique.image - exact.image)[inner]) < 0.01


def test_the_window_runs_from_0_to_1_and_keeps_its_middle() -> None:
    lungs = image_of(ellipsoid())
    for hounsfield, expected in ((-1350, 0.0), (-600, 0.5), (150, 1.0), (3000, 1.0), (-3024, 0.0)):
        ct = image_of(np.full(SIZE[::-1], hounsfield, np.int16))
        prepared = prepare(ct, lungs, SPEC)
        assert prepared.image[20, 24, 24] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("direction", [IDENTITY, rotation(15, 5)])
@pytest.mark.parametrize("outside", [-3024, 0, 3000])
def test_nothing_outside_the_lungs_leaks_in(outside: int, direction: tuple[float, ...]) -> None:
    mask = ellipsoid()
    lungs = image_of(mask, direction=direction)
    ct = image_of(np.where(mask, -600, outside).astype(np.int16), direction=direction)
    neutral = image_of(np.full(SIZE[::-1], -600, np.int16), direction=direction)
    prepared = prepare(ct, lungs, SPEC)
    np.testing.assert_array_equal(prepared.image, prepare(neutral, lungs, SPEC).image)
    assert prepared.image.max() == pytest.approx(0.5, abs=1e-6)
    assert prepared.image[0, 0, 0] == 0.0 and prepared.image.dtype == np.float32


def test_cells_without_lung_are_exactly_zero() -> None:
    ct, lungs = image_of(np.full(SIZE[::-1], 100, np.int16)), image_of(ellipsoid())
    share = share_of_lung(ct, lungs)
    image = prepare(ct, lungs, SPEC).image
    assert np.all(image[share == 0] == 0.0)
    assert np.all(image[share > 0.9999] > 0.5)
    assert np.count_nonzero(share == 0) > share.size / 2


def test_slices_thicker_than_the_grid_are_interpolated_not_repeated() -> None:
    size = (40, 40, 12)
    ramp = np.broadcast_to((-1200 + 100 * np.arange(12))[:, None, None], size[::-1]).astype(np.int16)
    spacing = (2.0, 2.0, 10.0)
    prepared = prepare(image_of(ramp, spacing), image_of(np.ones(size[::-1], np.uint8), spacing), SPEC)
    column = prepared.image[:, 24, 24][8:32]
    steps = np.diff(column)
    assert steps == pytest.approx(np.full(len(steps), 4.0 * 10 / 1500), abs=1e-5)


def test_fine_detail_is_averaged_not_aliased() -> None:
    size = (120, 60, 30)
    stripes = np.broadcast_to(np.where(np.arange(120) % 2, 0, -1200), size[::-1]).astype(np.int16)
    spacing = (0.75, 1.5, 3.0)
    prepared = prepare(image_of(stripes, spacing), image_of(np.ones(size[::-1], np.uint8), spacing), SPEC)
    row = prepared.image[20, 24, 12:36]
    assert row == pytest.approx(np.full(24, 0.5), abs=1e-4)


@pytest.mark.parametrize("direction", [IDENTITY, rotation(25, -15)])
def test_a_single_voxel_lesion_stays_and_keeps_its_volume(direction: tuple[float, ...]) -> None:
    lungs, ct = image_of(ellipsoid(), direction=direction), image_of(textured_ct(), direction=direction)
    for voxel in ((20, 40, 45), (15, 33, 40), (25, 50, 60)):
        array = np.zeros(SIZE[::-1], np.uint8)
        array[voxel] = 1
        prepared = prepare(ct, lungs, SPEC, image_of(array, direction=direction))
        assert prepared.infection is not None
        volume = prepared.infection.sum() * np.prod(prepared.grid.spacing_xyz)
        tolerance = 1e-5 if direction == IDENTITY else 0.12
        assert volume == pytest.approx(np.prod(SPACING), rel=tolerance)


@pytest.mark.parametrize("direction", [IDENTITY, rotation(0, 180), rotation(20, 10)])
def test_the_volume_of_lungs_and_infection_is_kept(direction: tuple[float, ...]) -> None:
    ct, lungs = image_of(textured_ct(), direction=direction), image_of(ellipsoid(), direction=direction)
    volume = share_of_lung(ct, lungs).sum() * np.prod(SPEC.spacing_xyz)
    assert volume == pytest.approx(ellipsoid().sum() * np.prod(SPACING), rel=2e-3)


def test_infection_outside_the_lungs_is_left_out() -> None:
    ct, lungs = image_of(textured_ct()), image_of(ellipsoid())
    prepared = prepare(ct, lungs, SPEC, image_of(np.ones(SIZE[::-1], np.uint8)))
    np.testing.assert_array_equal(prepared.infection, share_of_lung(ct, lungs))


def test_lungs_far_from_the_centre_are_never_cut() -> None:
    mask = ellipsoid(centre=(14, 12, 30), radii=(14, 12, 9))
    ct, lungs = image_of(textured_ct()), image_of(mask)
    volume = share_of_lung(ct, lungs).sum() * np.prod(SPEC.spacing_xyz)
    assert volume == pytest.approx(mask.sum() * np.prod(SPACING), rel=1e-4)


def test_lungs_larger_than_the_grid_shrink_by_one_common_factor() -> None:
    spec = GridSpec((40, 20, 48), SPEC.spacing_xyz)
    ct, lungs = image_of(textured_ct()), image_of(ellipsoid())
    prepared = prepare(ct, lungs, spec, lungs)
    extent_y = 60 * SPACING[1]
    assert prepared.grid.scale == pytest.approx(extent_y / (20 * 3.0), rel=1e-9)
    assert prepared.grid.spacing_xyz == pytest.approx(tuple(prepared.grid.scale * s for s in spec.spacing_xyz))
    assert prepared.infection is not None
    volume = prepared.infection.sum() * np.prod(prepared.grid.spacing_xyz)
    assert volume == pytest.approx(ellipsoid().sum() * np.prod(SPACING), rel=1e-4)


@pytest.mark.parametrize(
    "direction", [IDENTITY, rotation(0, 180), (0, 0, 1, 1, 0, 0, 0, -1, 0), rotation(20, 10), rotation(-40, 30)]
)
def test_a_blob_stays_at_its_physical_point_there_and_back(direction: tuple[float, ...]) -> None:
    lungs = image_of(ellipsoid(), direction=direction)
    for centre in ((45, 40, 20), (25, 45, 18), (60, 30, 24)):
        blob = ellipsoid(centre=centre, radii=(6, 6, 3))
        ct = image_of(np.where(blob, 150, -1350).astype(np.int16), direction=direction)
        truth = np.array(ct.TransformContinuousIndexToPhysicalPoint(centre))
        prepared = prepare(ct, lungs, SPEC)
        there = prepared.grid.to_image(prepared.image)
        back = on_ct_grid(there, ct)
        assert np.abs(centroid_mm(prepared.image, there) - truth).max() < 0.1
        assert np.abs(centroid_mm(sitk.GetArrayFromImage(back), ct) - truth).max() < 0.1


def test_the_way_back_has_exactly_the_geometry_of_the_ct_and_zero_outside() -> None:
    direction = rotation(20, 10)
    ct = image_of(textured_ct(), direction=direction)
    grid = NetworkGrid((4, 5, 6), (3.0, 3.0, 4.0), ct.TransformIndexToPhysicalPoint((45, 40, 20)), 1.0)
    back = on_ct_grid(grid.to_image(np.ones((4, 5, 6), np.float32)), ct)
    assert back.GetPixelID() == sitk.sitkFloat32
    assert (back.GetSize(), back.GetOrigin(), back.GetSpacing(), back.GetDirection()) == (
        ct.GetSize(),
        ct.GetOrigin(),
        ct.GetSpacing(),
        ct.GetDirection(),
    )
    values = sitk.GetArrayFromImage(back)
    assert values[20, 40, 45] == 1.0 and values[0, 0, 0] == 0.0
    assert values.sum() * np.prod(SPACING) == pytest.approx(120 * 36.0, rel=0.1)


def test_an_empty_lung_mask_is_an_input_error() -> None:
    ct, none = image_of(textured_ct()), image_of(np.zeros(SIZE[::-1], np.uint8))
    with pytest.raises(InputError, match="lungs mask is empty"):
        prepare(ct, none, SPEC)


def test_masks_of_another_geometry_are_refused() -> None:
    ct, lungs = image_of(textured_ct()), image_of(ellipsoid())
    with pytest.raises(ValueError, match="lungs mask"):
        prepare(ct, image_of(ellipsoid(), origin=(0.0, 0.0, 0.0)), SPEC)
    with pytest.raises(ValueError, match="infection mask"):
        prepare(ct, lungs, SPEC, lungs[1:, :, :])


@pytest.mark.parametrize(
    ("shape", "spacing"), [((0, 4, 4), (1.0, 1.0, 1.0)), ((4, 4), (1.0, 1.0, 1.0)), ((4, 4, 4), (1.0, -1.0, 1.0))]
)
def test_impossible_grids_are_refused(shape, spacing) -> None:
    with pytest.raises(ValueError, match="must be three positive"):
        GridSpec(shape, spacing)


def test_arrays_of_another_shape_do_not_become_images() -> None:
    grid = network_grid(image_of(ellipsoid()), SPEC)
    with pytest.raises(ValueError, match="shape"):
        grid.to_image(np.zeros((48, 48, 40), np.float32))


def test_a_real_low_resolution_ct_keeps_its_lungs_and_leaks_no_padding() -> None:
    folder = os.environ.get("DUALSAMPLING_TEST_DATA")
    if not folder:
        pytest.skip("DUALSAMPLING_TEST_DATA names no folder of real CTs")
    ct = sitk.ReadImage(str(Path(folder) / "lungs" / "id001-ct.nii.gz"))
    lungs = sitk.ReadImage(str(Path(folder) / "lungs" / "id001-lungs.nii.gz"))
    prepared = prepare(ct, lungs, GridSpec(), lungs)
    assert prepared.infection is not None
    native = np.count_nonzero(sitk.GetArrayViewFromImage(lungs)) * np.prod(ct.GetSpacing())
    assert prepared.infection.sum() * np.prod(prepared.grid.spacing_xyz) == pytest.approx(native, rel=1e-3)
    assert np.all(prepared.image[prepared.infection == 0] == 0)
    inside = prepared.image[prepared.infection > 0.99]
    assert 0.2 < np.median(inside) < 0.5


def test_a_full_size_ct_comes_onto_the_papers_grid() -> None:
    size = (512, 512, 148)
    ct = image_of(np.full(size[::-1], -700, np.int16), (0.748, 0.748, 2.0))
    lungs = image_of(ellipsoid(size, radii=(200.0, 150.0, 70.0)), (0.748, 0.748, 2.0))
    prepared = prepare(ct, lungs, GridSpec())
    assert prepared.image.shape == (138, 256, 256)
