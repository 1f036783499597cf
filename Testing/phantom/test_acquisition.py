"""The scanner: thick slices, kernels, noise, HU shifts, export steps and padding, measured on simple objects."""

import dataclasses

import numpy as np
import pytest

from DualSamplingCOVIDLib.phantom.acquisition import Nuisances, draw_nuisances, scan
from DualSamplingCOVIDLib.phantom.fields import Grid

QUIET = Nuisances((2.0, 2.0, 1.0), noise_hu=0.0, kernel=0.0, body_scale=1.0, fat_mm=20.0, slice_mm=1.0)
GRID = Grid.between((-80, -60, 0), (80, 60, 40), QUIET.spacing_mm)


def scanned(hu: np.ndarray, seen: np.ndarray | None = None, **changes: object) -> np.ndarray:
    nuisances = dataclasses.replace(QUIET, **changes)
    return scan(hu.astype(np.float32), GRID, nuisances, np.random.default_rng(3), seen).astype(float)


def flat(value: float) -> np.ndarray:
    return np.full(GRID.shape, value)


def step_along(axis: int) -> np.ndarray:
    hu = np.moveaxis(flat(-1000.0), axis, 0)
    hu[len(hu) // 2 :] = 0
    return np.moveaxis(hu, 0, axis)


@pytest.mark.parametrize(("slice_mm", "between"), [(1.0, 0), (3.0, 2), (4.0, 4), (6.0, 6)])
def test_a_slice_is_the_mean_over_its_thickness(slice_mm, between):
    profile = scanned(step_along(0), slice_mm=slice_mm)[:, 30, 40]
    assert np.sum((profile > -995) & (profile < -5)) == between
    assert profile.mean() == pytest.approx(-500, abs=1)


@pytest.mark.parametrize("noise_hu", [6.0, 40.0])
@pytest.mark.parametrize("kernel", [-0.9, 0.0, 0.9])
def test_the_noise_has_the_drawn_level_in_the_middle(noise_hu, kernel):
    assert scanned(flat(0), noise_hu=noise_hu, kernel=kernel).std() == pytest.approx(noise_hu, rel=0.12)


def test_sharp_kernels_have_finer_noise_and_steeper_edges():
    def correlation(kernel: float) -> float:
        noise = scanned(flat(0), noise_hu=30, kernel=kernel)
        return float(np.corrcoef(noise[:, :, 1:].ravel(), noise[:, :, :-1].ravel())[0, 1])

    assert correlation(-0.9) > 0.35 > -0.05 > correlation(0.9)
    soft, sharp = (scanned(step_along(2), kernel=kernel)[20, 30] for kernel in (-1.0, 1.0))
    assert np.abs(np.diff(sharp)).max() > 1.5 * np.abs(np.diff(soft)).max()
    assert sharp.max() > 20 > soft.max()


def test_values_are_scaled_about_air_and_shifted():
    assert scanned(flat(0), offset_hu=30.0, scale=0.96).mean() == pytest.approx(-10, abs=0.5)
    assert scanned(flat(-900), offset_hu=-20.0, scale=1.04).mean() == pytest.approx(-916, abs=0.5)


def test_an_export_of_grey_values_has_steps_and_a_window():
    values = np.unique(scanned(step_along(2) + 20, noise_hu=30, step_hu=8))
    assert np.all(values % 8 == 0)
    assert (values.min(), scanned(flat(3000), step_hu=8).max()) == (-1024, 1016)


def test_padding_stands_outside_the_reconstructed_circle_alone():
    x, y, _ = GRID.axes
    seen = np.hypot(x, y) < 50
    ct = scanned(flat(-700), seen, padding_hu=-1500)
    assert np.all((ct == -1500) == np.broadcast_to(~seen, ct.shape))


def test_a_wide_body_starves_its_rows_of_photons():
    grid = Grid.between((-200, -60, 0), (200, 60, 20), (4.0, 4.0, 4.0))
    hu = np.full(grid.shape, -1000, np.float32)
    hu[:, 15:] = 100
    noise = [
        scan(hu, grid, dataclasses.replace(QUIET, noise_hu=10.0, starvation=share), np.random.default_rng(1))
        for share in (0.0, 1.0)
    ]
    assert noise[1][:, 15:].std() > 2 * noise[0][:, 15:].std()
    assert noise[1][:, 18:].std(2).mean() < noise[1][:, 18:].std()


def test_metal_throws_streaks():
    hu = flat(0)
    hu[20, 30, 40] = 2600
    ct = scanned(hu)
    assert ct[20, 30, 55] < -10 < 10 < ct[20, 45, 40]
    assert np.all(ct[5] == 0)


def test_scanners_differ_within_their_bounds():
    drawn = [draw_nuisances(seed) for seed in range(400)]
    assert 3.99 < min(n.noise_hu for n in drawn) < 5
    assert 34 < max(n.noise_hu for n in drawn) <= 40
    assert max(n.slice_mm for n in drawn) > 4.5 and min(n.slice_mm for n in drawn) < 1.0
    assert max(n.spacing_mm[2] for n in drawn) > 4.5
    assert all(abs(n.offset_hu) <= 40 and 0.96 <= n.scale <= 1.04 for n in drawn)
    assert {n.padding_hu for n in drawn} >= {-1024, -2000}
    assert 0.01 < np.mean([n.step_hu == 8 for n in drawn]) < 0.08
