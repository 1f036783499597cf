"""Lesions: each kind looks as it must in HU, kinds and infection agree, variety takes away what it says."""

import functools

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from DualSamplingCOVIDLib.diagnosis import CAP, COVID
from DualSamplingCOVIDLib.phantom import NORMAL, LesionKind, Phantom, Variety, make_phantom
from DualSamplingCOVIDLib.phantom.lesions import cap, covid, effusion, paint
from DualSamplingCOVIDLib.phantom.variety import FULL, TAUGHT, TYPICAL

faint_patch = covid.faint_patch
COARSE, FINE = (4.0, 4.0, 5.0), (2.5, 2.5, 2.5)
OPACITIES = (LesionKind.GROUND_GLASS, LesionKind.CRAZY_PAVING, LesionKind.CONSOLIDATION)


def array(image: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(image)


@functools.cache
def forced(kind: LesionKind, spacing=COARSE, ratio: float = 0.03, seed: int = 7) -> Phantom:
    label = COVID if kind in (1, 2) else CAP
    return make_phantom(seed, label, ratio=ratio, spacing_mm=spacing, kind=kind, variety=Variety(distractors=False))


def infected_hu(phantom: Phantom) -> np.ndarray:
    return array(phantom.ct)[array(phantom.kinds) > 0]


def lungs(phantom: Phantom) -> np.ndarray:
    return (array(phantom.right_lung) | array(phantom.left_lung)).astype(bool)


@pytest.mark.parametrize("kind", LesionKind)
@pytest.mark.parametrize("label", [COVID, CAP])
def test_a_forced_kind_is_the_only_one_and_fills_the_wanted_ratio(kind, label):
    phantom = make_phantom(3, label, ratio=0.02, spacing_mm=COARSE, kind=kind)
    assert set(np.unique(array(phantom.kinds))) == {0, kind}
    assert phantom.ratio == pytest.approx(0.02, rel=0.02)


@pytest.mark.parametrize(("label", "seed"), [(COVID, 1), (COVID, 2), (CAP, 3), (CAP, 4), (NORMAL, 5)])
def test_kinds_are_zero_exactly_where_nothing_is_infected(label, seed):
    phantom = make_phantom(seed, label, spacing_mm=COARSE)
    kinds = array(phantom.kinds)
    assert kinds.dtype == np.uint8
    assert phantom.kinds.GetOrigin() == phantom.ct.GetOrigin()
    np.testing.assert_array_equal(kinds > 0, array(phantom.infection) == 1)


def test_the_same_seed_gives_the_same_kinds_and_another_seed_others():
    first, again, other = (array(make_phantom(seed, CAP, ratio=0.04, spacing_mm=COARSE).kinds) for seed in (8, 8, 9))
    np.testing.assert_array_equal(first, again)
    assert first.shape != other.shape or np.any(first != other)


def test_ground_glass_is_a_veil_and_consolidation_is_solid():
    glass, solid = (
        np.median(infected_hu(forced(kind))) for kind in (LesionKind.GROUND_GLASS, LesionKind.CONSOLIDATION)
    )
    assert -800 < glass < -400
    assert -100 < solid < 70


def test_vessels_stay_visible_through_ground_glass_and_drown_in_consolidation():
    def contrast(kind: LesionKind) -> float:
        hu = infected_hu(forced(kind, FINE))
        return float(np.percentile(hu, 99) - np.median(hu))

    assert contrast(LesionKind.GROUND_GLASS) > 250
    assert contrast(LesionKind.CONSOLIDATION) < 200


def test_crazy_paving_has_more_fine_structure_than_ground_glass():
    def fine_structure(kind: LesionKind) -> float:
        spreads = []
        for seed in (1, 2, 3):
            phantom = forced(kind, FINE, seed=seed)
            hu = array(phantom.ct).astype(float)
            inside = ndimage.binary_erosion(array(phantom.kinds) > 0)
            spreads.append(np.subtract(*np.percentile((hu - ndimage.gaussian_filter(hu, 1.5))[inside], (75, 25))))
        return float(np.mean(spreads))

    assert fine_structure(LesionKind.CRAZY_PAVING) > 1.1 * fine_structure(LesionKind.GROUND_GLASS)


@pytest.mark.parametrize(
    ("step", "kind"), [("_open_airways", LesionKind.CONSOLIDATION), ("_draw_bronchi", LesionKind.BRONCHIECTASIS)]
)
def test_airways_stay_open_inside_the_label(step, kind, monkeypatch):
    def make(seed: int) -> Phantom:
        return make_phantom(seed, CAP, ratio=0.06, spacing_mm=FINE, kind=kind)

    shown = [make(seed) for seed in range(3)]
    monkeypatch.setattr(paint, step, lambda *_: None)
    shares = []
    for phantom, plain in zip(shown, map(make, range(3)), strict=True):
        np.testing.assert_array_equal(array(phantom.kinds), array(plain.kinds))
        darker = array(plain.ct).astype(int) - array(phantom.ct) > 150
        near = ndimage.binary_dilation(array(phantom.kinds) > 0)
        assert not np.any(darker & ~near)
        shares.append(np.count_nonzero(darker) / np.count_nonzero(near))
    assert max(shares) > 0.002


@pytest.mark.parametrize(("kind", "least"), [(LesionKind.NODULES, 8), (LesionKind.TREE_IN_BUD, 15)])
def test_nodules_and_buds_are_many_small_parts(kind, least):
    counts, largest = [], []
    for seed in range(1, 6):
        sizes = np.bincount(ndimage.label(array(forced(kind, FINE, 0.004, seed).kinds) > 0)[0].ravel())[1:]
        counts.append(len(sizes))
        largest.append(sizes.max() / sizes.sum())
    assert np.median(counts) >= least
    assert np.median(largest) < 0.5
    solid = ndimage.label(array(forced(LesionKind.CONSOLIDATION, FINE).kinds) > 0)[0]
    assert np.bincount(solid.ravel())[1:].max() > 0.5 * np.count_nonzero(solid)


def test_a_cavity_is_air_inside_a_wall():
    phantom = forced(LesionKind.CAVITY, FINE, seed=3)
    hu, infected = array(phantom.ct), array(phantom.kinds) > 0
    parts, _ = ndimage.label((hu < -800) & infected)
    hole = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
    assert hole.sum() > 200
    ring = ndimage.binary_dilation(hole, iterations=2) & ~ndimage.binary_dilation(hole)
    assert np.mean(infected[ring]) > 0.9
    assert np.median(hu[ring]) > -150


def test_bronchiectasis_has_air_and_walls_in_one_diseased_region():
    hu = np.concatenate([infected_hu(forced(LesionKind.BRONCHIECTASIS, FINE, seed=seed)) for seed in (1, 2, 3)])
    assert np.mean(hu < -800) > 0.01
    assert np.mean(hu > -350) > 0.1


def test_an_effusion_is_fluid_outside_lungs_and_infection(monkeypatch):
    dry = make_phantom(12, CAP, ratio=0.02, spacing_mm=COARSE, variety=Variety(distractors=False))
    monkeypatch.setattr(effusion, "FREQUENCY", {CAP: 1.0})
    wet = make_phantom(12, CAP, ratio=0.02, spacing_mm=COARSE)
    lost = lungs(dry) & ~lungs(wet)
    assert 0.005 < lost.sum() / lungs(dry).sum() < 0.5
    assert not np.any(lungs(wet) & ~lungs(dry))
    assert not np.any(array(wet.infection)[lost])
    assert -40 < np.median(array(wet.ct)[ndimage.binary_erosion(lost)]) < 60
    assert wet.ratio == pytest.approx(0.02, rel=0.02)
    j = np.nonzero(lungs(dry))[1].mean()
    assert np.nonzero(lost)[1].mean() > j + 5


def test_effusions_are_rarer_in_normal_lungs_than_in_pneumonia():
    assert 0 < effusion.FREQUENCY[NORMAL] < effusion.FREQUENCY[COVID] < effusion.FREQUENCY[CAP] < 0.5


def test_cap_has_every_kind_and_covid_the_opacities():
    def seen(label: str) -> set[int]:
        phantoms = [make_phantom(seed, label, ratio=0.01, spacing_mm=(5.0, 5.0, 6.0)) for seed in range(30)]
        return set().union(*(np.unique(array(phantom.kinds)).tolist() for phantom in phantoms)) - {0}

    assert seen(COVID) == set(OPACITIES)
    assert seen(CAP) >= set(LesionKind) - {LesionKind.CRAZY_PAVING}


def test_covid_lies_low_and_where_a_segmenter_learns_anywhere_in_half_of_the_people():
    def above(variety: Variety) -> list[float]:
        shares = []
        for seed in range(10):
            phantom = make_phantom(seed, COVID, ratio=0.01, spacing_mm=(5.0, 5.0, 6.0), variety=variety)
            levels = np.flatnonzero(lungs(phantom).any((1, 2)))
            infected = np.nonzero(array(phantom.kinds))[0]
            shares.append(np.mean(infected > (levels[0] + levels[-1]) / 2))
        return shares

    usual, taught = above(FULL), above(TAUGHT)
    assert np.mean(usual) < 0.2 < 0.3 < np.mean(taught)
    assert 3 <= np.sum(np.array(taught) < 0.2) <= 7


def test_typical_covid_is_in_both_lungs_and_typical_cap_mostly_in_one_without_ground_glass_alone():
    def made(label: str, variety: Variety) -> list[Phantom]:
        each = {"ratio": 0.006, "spacing_mm": (6.0, 6.0, 7.0), "variety": variety}
        return [make_phantom(seed, label, **each) for seed in range(20)]

    def in_both(phantoms: list[Phantom]) -> int:
        sides = ((array(p.right_lung), array(p.left_lung), array(p.infection)) for p in phantoms)
        return sum(bool((right & infected).any() and (left & infected).any()) for right, left, infected in sides)

    usual, typical = made(COVID, FULL), made(COVID, TYPICAL)
    assert in_both(usual) < in_both(typical) == 20
    usual, typical = made(CAP, FULL), made(CAP, TYPICAL)
    assert in_both(typical) <= 2 < in_both(usual)
    glass = [
        [np.mean(array(p.kinds)[array(p.kinds) > 0] == LesionKind.GROUND_GLASS) for p in ps] for ps in (usual, typical)
    ]
    assert np.mean(glass[1]) < 0.6 * np.mean(glass[0])


@pytest.mark.parametrize("label", [COVID, CAP])
def test_without_lesion_kinds_there_is_ground_glass_and_consolidation_only(label):
    for seed in range(12):
        phantom = make_phantom(seed, label, ratio=0.01, spacing_mm=(5.0, 5.0, 6.0), variety=Variety(lesion_kinds=False))
        assert set(np.unique(array(phantom.kinds))) <= {0, LesionKind.GROUND_GLASS, LesionKind.CONSOLIDATION}


@pytest.mark.parametrize("label", [COVID, CAP])
def test_without_faint_no_lesion_is_small_and_faint(label, monkeypatch):
    def faint(variety: Variety) -> int:
        made = []
        for module in (covid, cap):
            monkeypatch.setattr(module, "faint_patch", lambda *a: made.append(faint_patch(*a)) or made[-1])
        for seed in range(8):
            make_phantom(seed, label, ratio=0.03, spacing_mm=(6.0, 6.0, 6.0), variety=variety)
        assert all(lesion.unit_mm < 9 and lesion.rise < 215 for lesion in made)
        return len(made)

    assert faint(Variety(faint=False)) == 0
    assert faint(Variety()) >= 4
