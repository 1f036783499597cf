"""Phantoms: repeatable, true to the wanted ratio, the right way round, and told apart as the diseases are."""

import hashlib

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from DualSamplingCOVIDLib.diagnosis import CAP, COVID
from DualSamplingCOVIDLib.phantom import NORMAL, Phantom, make_phantom

COARSE = (4.0, 4.0, 5.0)


def array(image: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(image)


def lungs(phantom: Phantom) -> np.ndarray:
    return (array(phantom.right_lung) | array(phantom.left_lung)).astype(bool)


def hashes(phantom: Phantom) -> list[str]:
    images = (phantom.ct, phantom.right_lung, phantom.left_lung, phantom.infection)
    return [hashlib.sha256(array(image).tobytes()).hexdigest() for image in images]


@pytest.fixture(scope="module")
def a_covid_phantom() -> Phantom:
    return make_phantom(11, COVID, ratio=0.08, spacing_mm=COARSE)


def test_the_same_seed_gives_the_same_voxels(a_covid_phantom):
    again = make_phantom(11, COVID, ratio=0.08, spacing_mm=COARSE)
    assert hashes(again) == hashes(a_covid_phantom)
    assert again.ct.GetOrigin() == a_covid_phantom.ct.GetOrigin()


def test_another_seed_gives_another_person(a_covid_phantom):
    other = make_phantom(12, COVID, ratio=0.08, spacing_mm=COARSE)
    assert not set(hashes(other)) & set(hashes(a_covid_phantom))


def test_images_share_geometry_and_have_the_documented_types(a_covid_phantom):
    ct = a_covid_phantom.ct
    assert ct.GetPixelID() == sitk.sitkInt16
    assert ct.GetDirection() == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    np.testing.assert_allclose(ct.GetSpacing(), COARSE, rtol=1e-4)
    for mask in (a_covid_phantom.right_lung, a_covid_phantom.left_lung, a_covid_phantom.infection):
        assert mask.GetPixelID() == sitk.sitkUInt8
        assert (mask.GetSize(), mask.GetSpacing(), mask.GetOrigin()) == (ct.GetSize(), ct.GetSpacing(), ct.GetOrigin())
        assert set(np.unique(array(mask))) == {0, 1}


@pytest.mark.parametrize(
    ("label", "ratio"), [(COVID, 0.003), (COVID, 0.02), (COVID, 0.3), (CAP, 0.002), (CAP, 0.02), (CAP, 0.15)]
)
def test_the_infection_ratio_is_the_wanted_one(label, ratio):
    phantom = make_phantom(21, label, ratio=ratio, spacing_mm=COARSE)
    inside = lungs(phantom)
    infected = array(phantom.infection).astype(bool)
    assert phantom.ratio == pytest.approx(infected.sum() / inside.sum())
    assert phantom.ratio == pytest.approx(ratio, rel=0.05)


@pytest.mark.parametrize("label", [COVID, CAP])
def test_lungs_include_the_infection_and_infection_is_denser_than_lung(label):
    phantom = make_phantom(31, label, ratio=0.1, spacing_mm=COARSE)
    inside, infected = lungs(phantom), array(phantom.infection).astype(bool)
    assert not np.any(infected & ~inside)
    hu = array(phantom.ct)
    assert np.median(hu[infected]) > np.median(hu[inside & ~infected]) + 100


def test_normal_lungs_have_no_infection_and_look_like_air():
    phantom = make_phantom(41, NORMAL, spacing_mm=COARSE)
    assert (phantom.ratio, array(phantom.infection).max()) == (0.0, 0)
    assert -920 < np.median(array(phantom.ct)[lungs(phantom)]) < -760
    litres = lungs(phantom).sum() * np.prod(phantom.ct.GetSpacing()) / 1e6
    assert 2.0 < litres < 7.5


@pytest.mark.parametrize("seed", range(51, 55))
def test_the_right_lung_lies_at_smaller_x_and_each_lung_is_one_piece_inside_the_grid(seed):
    phantom = make_phantom(seed, NORMAL, spacing_mm=COARSE)
    right, left = array(phantom.right_lung).astype(bool), array(phantom.left_lung).astype(bool)
    assert not np.any(right & left)
    # row by row: a body that lies askew brings one lung over the other's columns elsewhere
    rows = right.any(2) & left.any(2)
    last, first = right.shape[2] - 1 - np.argmax(right[:, :, ::-1], axis=2), np.argmax(left, axis=2)
    assert np.all(last[rows] < first[rows])
    for lung in (right, left):
        assert ndimage.label(lung)[1] == 1
        edges = [np.take(lung, end, axis) for axis in range(3) for end in (0, -1)]
        assert not any(edge.any() for edge in edges)


def test_the_liver_is_under_the_right_lung_and_the_head_at_the_top():
    phantom = make_phantom(61, NORMAL, spacing_mm=COARSE)
    hu, right = array(phantom.ct), array(phantom.right_lung).astype(bool)
    column = np.argmax(right.sum(0)[right.sum(0).shape[0] // 2])
    row = right.shape[1] // 2
    k = np.nonzero(right[:, row, column])[0]
    assert 20 < hu[: max(k[0] - 2, 1), row, column].mean() < 110


def test_covid_is_more_bilateral_more_peripheral_and_lower_than_cap():
    def traits(label: str) -> np.ndarray:
        rows = []
        for seed in range(70, 80):
            phantom = make_phantom(seed, label, ratio=0.03, spacing_mm=(5.0, 5.0, 7.0))
            inside, infected = lungs(phantom), array(phantom.infection).astype(bool)
            share = (infected & array(phantom.right_lung).astype(bool)).sum() / infected.sum()
            depth = ndimage.distance_transform_edt(inside, sampling=(7.0, 5.0, 5.0))
            k = np.nonzero(inside.any((1, 2)))[0]
            height = (np.nonzero(infected)[0].mean() - k[0]) / (k[-1] - k[0])
            rows.append((min(share, 1 - share), depth[infected].mean(), height))
        return np.mean(rows, axis=0)

    covid, cap = traits(COVID), traits(CAP)
    assert covid[0] > cap[0] + 0.1
    assert covid[1] < cap[1]
    assert covid[2] < cap[2]


def test_the_diseased_sides_do_not_give_the_label_of_small_disease_away():
    def bilateral(label: str) -> float:
        shares = []
        for seed in range(100, 124):
            phantom = make_phantom(seed, label, ratio=0.002, spacing_mm=(6.0, 6.0, 6.0))
            infected = array(phantom.infection).astype(bool)
            shares.append(infected[array(phantom.right_lung).astype(bool)].sum() / infected.sum())
        return float(np.mean([0.03 < share < 0.97 for share in shares]))

    assert 0.5 < bilateral(COVID) < 0.9
    assert 0.15 < bilateral(CAP) < 0.5


def test_voxels_grow_where_the_body_does_not_fit():
    phantom = make_phantom(91, CAP, ratio=0.02, spacing_mm=(2.0, 2.0, 2.0), max_size=(90, 80, 50))
    assert all(size <= most for size, most in zip(phantom.ct.GetSize(), (90, 80, 50), strict=True))
    assert phantom.nuisances.spacing_mm == pytest.approx(phantom.ct.GetSpacing())


@pytest.mark.parametrize(("label", "ratio"), [("flu", None), (COVID, 0.0), (CAP, 1.2)])
def test_impossible_requests_are_refused(label, ratio):
    with pytest.raises(ValueError, match="must"):
        make_phantom(1, label, ratio=ratio)
