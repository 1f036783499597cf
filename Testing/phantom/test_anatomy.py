"""Healthy chests: pose, field of view, what each part of the variety adds, and gas that is not lung."""

import dataclasses

import numpy as np
import pytest
import SimpleITK as sitk

from DualSamplingCOVIDLib.phantom import NORMAL, make_phantom, vessels
from DualSamplingCOVIDLib.phantom.anatomy import Chest, draw_body, shape_chest
from DualSamplingCOVIDLib.phantom.extent import draw_extent
from DualSamplingCOVIDLib.phantom.fields import Grid, capsule
from DualSamplingCOVIDLib.phantom.mediastinum import draw_blood, paint_mediastinum
from DualSamplingCOVIDLib.phantom.parenchyma import paint_parenchyma
from DualSamplingCOVIDLib.phantom.tissue import paint_healthy
from DualSamplingCOVIDLib.phantom.variety import FULL, TAUGHT, Variety
from DualSamplingCOVIDLib.phantom.vessels import Stem, grow_tree

COARSE = (6.0, 6.0, 6.0)
PLAIN = Variety(distractors=False, surroundings=False)


def chest_of(seed: int, room_mm: float = 40.0) -> Chest:
    plan = draw_body(1.0, 20.0, np.random.default_rng([seed, 2]))
    low = (-plan.half_width - room_mm, -plan.half_depth - room_mm, -80.0)
    high = (plan.half_width + room_mm, plan.half_depth + room_mm + 60, plan.height + 40)
    return shape_chest(plan, Grid.between(low, high, COARSE), np.random.default_rng(seed))


@pytest.fixture(scope="module")
def chest() -> Chest:
    return chest_of(5)


def healthy(chest: Chest, seed: int, variety: Variety) -> np.ndarray:
    return paint_healthy(chest, np.random.default_rng(seed), variety).hu


def test_a_body_position_lies_where_its_voxel_is():
    plan = dataclasses.replace(
        draw_body(1.0, 20.0, np.random.default_rng(1)), pose_deg=(9.0, -7.0, 11.0), scoliosis=(10.0, 1.0), kyphosis=60.0
    )
    grid = Grid.between((-100, -80, -20), (100, 90, 250), (20.0, 20.0, 20.0))
    body = np.stack(plan.body_axes(grid), axis=-1).reshape(-1, 3).astype(float)
    patient = grid.points(np.ones(grid.shape, bool))
    assert np.abs(body - patient).max() > 15
    np.testing.assert_allclose(plan.place(body), patient, atol=0.01)
    np.testing.assert_allclose(plan.rotation @ plan.rotation.T, np.eye(3), atol=1e-12)


def test_the_same_stream_gives_the_same_chest(chest):
    np.testing.assert_array_equal(healthy(chest, 3, FULL), healthy(chest, 3, FULL))


def test_without_vessels_the_lungs_lose_their_bright_voxels_and_nothing_else_changes(chest):
    full = healthy(chest, 4, PLAIN)
    bare = healthy(chest, 4, dataclasses.replace(PLAIN, vessels=False))
    inside = chest.depth > 8
    assert np.mean(full[inside] > -700) > 2 * np.mean(bare[inside] > -700) > 0
    far = chest.depth < -25
    np.testing.assert_allclose(full[far], bare[far], atol=0.5)


def test_distractors_densify_and_empty_the_lungs(chest):
    def spread(distractors: bool) -> np.ndarray:
        tissue = [
            paint_parenchyma(chest, np.random.default_rng(seed), distractors=distractors)[chest.depth > 6]
            for seed in range(12)
        ]
        return np.array([np.percentile(hu, [0.5, 50, 99.5]) for hu in tissue])

    plain, varied = spread(False), spread(True)
    assert -940 < plain[:, 1].min() < plain[:, 1].max() < -800
    assert plain[:, 2].max() < -680
    assert varied[:, 1].max() > -780
    assert varied[:, 2].max() > plain[:, 2].max() + 50
    assert varied[:, 2].mean() > plain[:, 2].mean() + 30
    assert varied[:, 0].min() < -970


def test_plain_surroundings_have_no_metal_no_bowel_gas_and_no_contrast():
    metal, gas = [], []
    for variety in (PLAIN, dataclasses.replace(PLAIN, surroundings=True)):
        hu, below = [], []
        for seed in range(8):
            chest = chest_of(seed)
            hu.append(healthy(chest, seed, variety))
            abdomen = (chest.above_diaphragm < -8) & (chest.cavity > 6)
            below.append(np.sum(hu[-1][abdomen] < -800) * 0.216)
        metal.append(max(image.max() for image in hu))
        gas.append(below)
    assert metal[0] < 1300 < metal[1]
    assert max(gas[0]) < 60
    assert max(gas[1]) > 1.5 * max(gas[0])
    assert min(gas[1]) < 0.7 * max(gas[1])


def test_contrast_medium_comes_in_a_third_and_raises_the_heart(chest):
    blood = np.array([draw_blood(np.random.default_rng(seed), contrast=True) for seed in range(300)])
    assert 0.25 < np.mean(blood >= 60) < 0.42
    assert all(35 <= draw_blood(np.random.default_rng(seed), contrast=False) <= 50 for seed in range(50))
    means = []
    for value in (40.0, 300.0):
        hu = np.full(chest.grid.shape, -100, np.float32)
        paint_mediastinum(hu, chest, value, np.random.default_rng(1))
        means.append(hu[chest.heart < -8].mean())
    assert 20 < means[0] < 60
    assert means[1] > means[0] + 90


def test_gas_under_the_diaphragm_and_air_round_the_body_are_not_lung():
    gas = air = 0
    for seed in range(4):
        chest = chest_of(seed)
        hu = healthy(chest, seed, FULL)
        below, outside = chest.above_diaphragm < 0, chest.cavity < 0
        assert not np.any(chest.lungs & (below | outside))
        gas += np.sum((hu < -900) & below & ~outside)
        air += np.sum((hu < -900) & outside)
        assert 1200 < chest.lungs.sum() * 0.216 < 8000
    assert gas > 50
    assert air > 5000


def test_hilar_vessels_are_blood_beside_the_bronchi_and_no_lung_covers_them():
    radii = []
    for seed in range(6):
        plan = draw_body(1.0, 20.0, np.random.default_rng([seed, 2]))
        centre = (plan.hilum(1) + plan.hilum(-1)) / 2
        grid = Grid.between(
            tuple(centre - np.array([75, 45, 60])), tuple(centre + np.array([75, 45, 45])), (2.5, 2.5, 2.5)
        )
        chest = shape_chest(plan, grid, np.random.default_rng(seed))
        hu = healthy(chest, seed, PLAIN)
        inside = np.zeros(grid.shape, bool)
        for points, widths in plan.hilar_vessels():
            for part in zip(points[:-1], points[1:], widths[:-1], widths[1:], strict=True):
                inside |= capsule(plan.body_axes(grid), *part) > 3
        assert inside.sum() > 200 and not np.any(chest.lungs & inside)
        assert np.mean(hu[inside] > 0) > 0.9 and np.median(hu[inside]) > 25
        bare = shape_chest(dataclasses.replace(plan, hilar=0.0), grid, np.random.default_rng(seed))
        assert bare.lungs[inside].mean() > 0.1
        radii.append(plan.hilar)
    assert 6 <= min(radii) < max(radii) <= 11.5


def test_hila_come_with_every_phantom_but_where_they_are_left_out():
    def lungs(variety: Variety) -> int:
        made = make_phantom(3, NORMAL, spacing_mm=(4.0, 4.0, 4.0), variety=variety)
        return int(sitk.GetArrayFromImage(sitk.Or(made.right_lung, made.left_lung)).sum())

    assert lungs(Variety(hila=False)) > lungs(FULL) == lungs(TAUGHT)


def test_fields_of_view_differ_and_hold_the_lungs_but_for_a_few():
    wide, tall, cut, circles = [], [], [], []
    for seed in range(60):
        plan = draw_body(1.0, 20.0, np.random.default_rng([seed, 2]))
        view = draw_extent(plan, (8.0, 8.0, 8.0), (240, 220, 220), np.random.default_rng([seed, 3]))
        chest = shape_chest(plan, view.grid, np.random.default_rng(seed), view.seen)
        wide.append(np.ptp(view.grid.x))
        tall.append(np.ptp(view.grid.z))
        sides = [np.take(chest.lungs, end, axis).any() for axis in range(3) for end in (0, -1)]
        cut.append(sides)
        circles.append(view.seen is not None)
    assert min(wide) < 310 and max(wide) > 400
    assert max(tall) - min(tall) > 100
    assert 0 < np.mean(np.any(cut, axis=1)) < 0.12
    # never at the apex or at the front
    assert not np.any(np.array(cut)[:, 1])
    assert 0.25 < np.mean(circles) < 0.7


def test_padding_fills_the_corners_outside_the_circle_and_no_lung_lies_there():
    for seed in range(12):
        phantom = make_phantom(seed, NORMAL, spacing_mm=(8.0, 8.0, 8.0))
        hu = sitk.GetArrayFromImage(phantom.ct)
        padding = phantom.nuisances.padding_hu
        if padding < -1024 and np.all(hu[:, 0, 0] == padding):
            lungs = sitk.GetArrayFromImage(phantom.right_lung) | sitk.GetArrayFromImage(phantom.left_lung)
            assert not np.any(lungs[hu == padding])
            return
    pytest.fail("no phantom of twelve has a circle")


def test_branches_of_a_stem_leave_from_its_end_and_stems_stay_as_wide_as_they_say() -> None:
    rng = np.random.default_rng(1)
    down = np.linspace([0.0, 0, -10], [0.0, 0, -60], 6)
    fan = np.linspace([8.0, 0, -66], [40.0, 0, -90], 5)
    stems = [Stem(down, (0.8, 0.4)), Stem(fan, (0.45, 0.2), 0)]
    targets, twigs = (rng.uniform([-20, -40, -120], [60, 40, 10], (n, 3)) for n in (120, 300))
    tree = grow_tree(np.zeros(3), stems, targets, twigs, 8.0, rng)
    assert tree.parent[7] == 6 and np.array_equal(tree.position[1:12], np.vstack([down, fan]))
    assert np.all(tree.radius[1:7] >= np.linspace(6.4, 3.2, 6) - 1e-9)
    assert np.all(tree.radius[7:12] >= np.linspace(3.6, 1.6, 5) - 1e-9)


def test_wide_branches_run_straight(monkeypatch) -> None:
    def turning() -> float:
        rng = np.random.default_rng(2)
        targets, twigs = (rng.uniform(-60, 60, (n, 3)) for n in (200, 500))
        tree = grow_tree(np.zeros(3), [], targets, twigs, 8.0, rng)
        inner = np.nonzero(~tree.leaf & (tree.parent > 0) & (tree.radius > 2))[0]
        middle = tree.parent[inner]
        before = tree.position[middle] - tree.position[tree.parent[middle]]
        along = tree.position[inner] - tree.position[middle]
        cosine = np.sum(before * along, 1) / np.linalg.norm(before, axis=1) / np.linalg.norm(along, axis=1)
        return float(np.degrees(np.arccos(cosine.mean())))

    straight = turning()
    monkeypatch.setattr(vessels, "STRAIGHTENED", 0)
    assert straight < turning() - 10
